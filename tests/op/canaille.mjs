// Canaille, an OpenID Provider in Python, as processes of its own with a database of its own.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort, until } from './claimgate.mjs';
import { newKeys } from './jose.mjs';

/** Where `python-packages` installs it. */
export const CANAILLE = resolve(import.meta.dirname, '../../target/canaille');
export const PASSWORD = 'correct horse battery staple';

export class Canaille {
  /** Starts a provider with these models, in the form of `canaille dump`. */
  static async start(models) {
    const canaille = new Canaille();
    const port = await freePort();
    canaille.issuer = `http://127.0.0.1:${port}`;
    canaille.folder = mkdtempSync(join(tmpdir(), 'claimgate-canaille-'));
    const config = join(canaille.folder, 'canaille.toml');
    canaille.env = { ...process.env, PYTHONPATH: CANAILLE, CANAILLE_CONFIG: config };
    const { privateJwk } = newKeys('rsa', { modulusLength: 2048 });
    const key = Object.entries({ ...privateJwk, kid: 'first', use: 'sig', alg: 'RS256' });
    writeFileSync(config, `
SECRET_KEY = "for tests"
SERVER_NAME = "127.0.0.1:${port}"
PREFERRED_URL_SCHEME = "http"
[CANAILLE]
DATABASE = "sql"
[CANAILLE_SQL]
DATABASE_URI = "sqlite:///${canaille.folder}/canaille.db"
[CANAILLE_OIDC]
ACTIVE_JWKS = [{ ${key.map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(', ')} }]
`);
    canaille.command(['install']);
    canaille.command(['restore'], JSON.stringify(models));
    canaille.process = spawn(join(CANAILLE, 'bin/canaille'), ['run', '--bind', `127.0.0.1:${port}`], { env: canaille.env, cwd: canaille.folder, stdio: 'ignore' });
    await until('Canaille answers', () => {
      if (canaille.process.exitCode !== null) throw new Error(`Canaille ended with ${canaille.process.exitCode}`);
      return fetch(`${canaille.issuer}/.well-known/openid-configuration`).then((answer) => answer.ok, () => false);
    }, 30_000);
    return canaille;
  }

  /** Runs its command, also beside the server. */
  command(args, input = '') {
    const run = spawnSync(join(CANAILLE, 'bin/canaille'), args, { env: this.env, cwd: this.folder, input, encoding: 'utf8' });
    if (run.status !== 0) throw new Error(`canaille ${args.join(' ')}: ${run.stdout}${run.stderr}`);
  }

  stop() {
    this.process?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
