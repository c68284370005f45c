// PostgreSQL as processes of its own, with an empty database. Version 15 or later must be installed.

import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const INSTALLED = '/usr/lib/postgresql';

/** The folder of the newest version's programs, or undefined. */
export function binaries() {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).map(Number).filter((version) => version >= 15) : [];
  const folder = join(INSTALLED, String(Math.max(...versions)), 'bin');
  return existsSync(join(folder, 'initdb')) ? folder : undefined;
}

/** The user to run it as: it refuses to run as root. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const line = readFileSync('/etc/passwd', 'utf8').split('\n').find((entry) => entry.startsWith('postgres:'));
  const [, , uid, gid] = line.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

export class Postgres {
  constructor() {
    this.user = unprivileged();
    this.folder = mkdtempSync(join(tmpdir(), 'claimgate-postgres-'));
    if (this.user.uid !== undefined) chownSync(this.folder, this.user.uid, this.user.gid);
    this.data = join(this.folder, 'data');
    this.#run('initdb', ['--no-sync', '--auth=trust', '--username=claimgate', '--encoding=UTF8', '--pgdata', this.data]);
    this.start();
    this.#run('createdb', ['-h', this.folder, '-U', 'claimgate', 'claimgate']);
  }

  /** The table `[store]` of a configuration. */
  get store() {
    return { url: `postgres://claimgate@${encodeURIComponent(this.folder)}/claimgate` };
  }

  start() {
    const options = `-k ${this.folder} -c listen_addresses= -c fsync=off`;
    this.#run('pg_ctl', ['start', '--wait', '--pgdata', this.data, '--log', join(this.folder, 'log'), '--options', options]);
  }

  /** Stops it as a power failure does. */
  stop() {
    this.#run('pg_ctl', ['stop', '--mode', 'immediate', '--pgdata', this.data]);
  }

  /** Stops it and deletes its files. */
  close() {
    if (existsSync(join(this.data, 'postmaster.pid'))) this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a statement and returns the first column of its rows, one a line. */
  query(sql) {
    return this.#run('psql', ['-h', this.folder, '-U', 'claimgate', '-d', 'claimgate', '-Atc', sql]).trim();
  }

  #run(program, args) {
    const run = spawnSync(join(binaries(), program), args, { ...this.user, cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', program === 'pg_ctl' ? 'ignore' : 'pipe'] });
    if (run.status !== 0) throw new Error(`${program}: ${run.stderr ?? ''}${run.stdout}`);
    return run.stdout;
  }
}
