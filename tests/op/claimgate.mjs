// The server under test as a process of its own, and its configuration.

import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PASSWORD } from './agent.mjs';
import { SERVED, compareAnswer } from './openapi.mjs';
import { endWithTests, within } from './patience.mjs';

const here = dirname(fileURLToPath(import.meta.url));
/** Longest time for a server to start or to stop, and for a command, in milliseconds: a busy machine is slow. */
const PATIENCE = 60_000;

export const BINARY = resolve(process.env.CLAIMGATE ?? join(here, '../../target/debug/claimgate'));

/** The files by which this process has ports for itself: other test files run at the same time. */
const reserved = new Set();
process.on('exit', () => { for (const file of reserved) rmSync(file, { force: true }); });

/** Takes a port for this process, until it ends. Returns whether no other test file has it. */
function reserve(port) {
  const file = join(tmpdir(), `claimgate-test-port-${port}`);
  try {
    writeFileSync(file, `${process.pid}`, { flag: 'wx' });
    reserved.add(file);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns a port of loopback that nothing listens on, and that no other test file gets. It lies below the ports that the
 * system gives to outgoing connections.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (!reserve(port)) continue;
    const server = createServer();
    const free = await new Promise((done) => server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)));
    if (!free) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

const toml = (value) => {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
  if (value instanceof Object) return `{ ${Object.entries(value).map(([key, inner]) => `${key} = ${toml(inner)}`).join(', ')} }`;
  return JSON.stringify(value);
};
const table = (heading, values) => `${heading}\n${Object.entries(values).filter(([, value]) => value !== undefined).map(([key, value]) => `${key} = ${toml(value)}\n`).join('')}`;

/** What callers of /api/v1/verify send. */
export const VERIFY_SECRET = 'for services only, and of 32 characters at least';

export const IDENTITY = `
[identity]
username = "preferred_username"
groups = ["groups"]
[identity.profile]
email = "email"
given_name = "given_name"
family_name = "family_name"
phone_number = "phone_number"
[[identity.team]]
group = "crm-admin"
team = "Administrators"
[[identity.team]]
prefix = "/crm/"
team = "{rest}"
`;

export class Claimgate {
  constructor(port) {
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), 'claimgate-test-'));
    this.url = `http://127.0.0.1:${port}`;
    this.config = join(this.folder, 'claimgate.toml');
    this.logFile = `${this.folder}.log`;
    writeFileSync(this.logFile, '');
    this.logFrom = 0;
  }

  /** The log since `forgetLog`. It is a file, not a pipe: lines written before an answer are in it when the answer arrives. */
  get log() {
    return readFileSync(this.logFile).subarray(this.logFrom).toString();
  }

  forgetLog() {
    this.logFrom = statSync(this.logFile).size;
  }

  static async prepare() {
    return new Claimgate(await freePort());
  }

  /** Writes the configuration: `providers`, `applications` and `adminClients` are lists of tables, `signIn` and `server` are further settings, `store` and `pages` are tables. */
  write({ providers, applications = [], adminClients = [], signIn = {}, server = {}, store, pages, identity = IDENTITY }) {
    const text = [
      table('[server]', { public_url: this.url, listen: `127.0.0.1:${this.port}`, verify_secret: VERIFY_SECRET, ...server }),
      store ? table('[store]', store) : '',
      pages ? table('[pages]', pages) : '',
      table('[sign_in]', { create_users: true, sync_profile: true, sync_teams: true, ...signIn }),
      ...providers.map((provider) => table('[[provider]]', provider)),
      ...applications.map((application) => table('[[application]]', application)),
      ...adminClients.map((client) => table('[[admin_client]]', client)),
      identity,
    ].join('\n');
    writeFileSync(this.config, text);
    return this;
  }

  /** Starts the server and waits until it answers, or, without `expectReady`, until it ends. */
  async start({ expectReady = true, logLevel = 'debug', logFormat = 'json', env = {} } = {}) {
    SERVED.add(`http://127.0.0.1:${this.port}`);
    const log = openSync(this.logFile, 'a');
    this.process = endWithTests(spawn(BINARY, ['serve', '--config', this.config, '--log-level', logLevel, '--log-format', logFormat], { stdio: ['ignore', 'ignore', log], env: { ...process.env, ...env } }));
    closeSync(log);
    this.exited = new Promise((done) => {
      this.process.on('exit', (code, signal) => { this.exit = { code, signal }; done(); });
      // It did not start: the program is not there, say.
      this.process.on('error', ({ message }) => { this.exit ??= { code: null, signal: null, message }; done(); });
    });
    for (const end = Date.now() + PATIENCE; Date.now() < end;) {
      if (this.exit) {
        if (expectReady) throw new Error(`claimgate exited: ${JSON.stringify(this.exit)}\n${this.log}`);
        return this;
      }
      try {
        if ((await fetch(`http://127.0.0.1:${this.port}/healthz`, { signal: AbortSignal.timeout(PATIENCE / 4) })).ok) return this;
      } catch { /* not yet */ }
      await sleep(25);
    }
    const { log: text } = this;
    await this.stop('SIGKILL');
    throw new Error(`claimgate does not answer\n${text}`);
  }

  /** Ends the process and returns its exit code and signal. */
  async stop(signal = 'SIGTERM') {
    if (this.process && !this.exit) {
      this.process.kill(signal);
      await within(PATIENCE, `the server stops by ${signal}`, this.exited);
    }
    const { exit } = this;
    this.exit = undefined;
    this.process = undefined;
    return exit;
  }

  /** Ends the process and deletes its files. */
  async close() {
    await this.stop('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.logFile, { force: true });
  }

  /** Sends SIGHUP and waits until the log has this text. */
  async reload(text = 'configuration reloaded') {
    this.forgetLog();
    this.process.kill('SIGHUP');
    await until(`the log has: ${text}`, () => this.log.includes(text));
  }

  /** Waits until the provider's keys have been fetched. */
  keysFetched() {
    return until('the keys are fetched', () => this.log.includes('keys fetched'));
  }

  /** Posts a form; to /api/v1/verify as a service does. */
  async post(path, form, options = {}) {
    const headers = path === '/api/v1/verify' ? { authorization: `Bearer ${VERIFY_SECRET}` } : {};
    const url = `${this.url}${path}`;
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers, ...options });
    compareAnswer('POST', url, { status: answer.status, headers: answer.headers, text: await answer.clone().text() });
    return answer;
  }

  /** Verifies a token as a service does. Returns the document. */
  async verify(token) {
    return (await this.post('/api/v1/verify', { token })).json();
  }

  /** Posts a logout token to the back channel. */
  logOut(token) {
    return this.post('/backchannel-logout', { logout_token: token });
  }

  /** Runs the command on the same configuration. */
  command(args, input = '') {
    const run = spawnSync(BINARY, [...args, '--config', this.config], { input, encoding: 'utf8', timeout: PATIENCE });
    if (run.error?.code === 'ETIMEDOUT') throw run.error;
    return { code: run.status, out: run.stdout, err: run.stderr };
  }

  sessions() { return JSON.parse(this.command(['session', 'list', '--format', 'json']).out); }

  /** The recorded events, the oldest first. */
  events(...args) {
    return this.command(['log', '--format', 'json', '--limit', '5000', ...args]).out.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  users() { return JSON.parse(this.command(['user', 'list', '--format', 'json']).out); }

  /** Adds a user whose password is `PASSWORD`. */
  addUser(name, kind = 'regular', ...more) {
    const run = this.command(['user', 'add', name, '--kind', kind, '--password-stdin', ...more], `${PASSWORD}\n`);
    if (run.code !== 0) throw new Error(run.err);
  }

  /** The server's memory in MiB: `VmRSS` now, `VmHWM` at its highest. */
  memory(field) {
    return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${this.process.pid}/status`, 'utf8'))[1]) / 1024;
  }

  /** Runs a command without blocking, so that a provider of this process can answer it. */
  async commandBeside(args) {
    const run = endWithTests(spawn(BINARY, args));
    let out = '';
    run.stdout.on('data', (chunk) => { out += chunk; });
    run.stderr.on('data', (chunk) => { out += chunk; });
    const code = await within(2 * PATIENCE, `the command ends: ${args.join(' ')}`, new Promise((done) => run.on('close', done)));
    return { code, out };
  }

  /** The lines of the log with this code. */
  logged(code) {
    return this.log.split('\n').filter((line) => line.includes(`"code":"${code}"`));
  }
}

/** Waits until the next second begins: tokens have times in whole seconds. */
export async function nextSecond() {
  await sleep(1000 - (Date.now() % 1000) + 20);
}

/** Waits for a condition, and fails where it does not hold in time, also where the question itself is not answered. */
export async function until(what, check, milliseconds = 30_000) {
  let over = false;
  const holds = async () => {
    while (!over && !await check()) await sleep(50);
  };
  try {
    await within(milliseconds, what, holds());
  } finally {
    over = true;
  }
}

/** A client at the provider, and the provider's table of the configuration. */
export function pair(op, gate, name, { client = {}, provider = {} } = {}) {
  const secret = `a secret of ${name} that is long enough for HS512: 0123456789abcdef0123456789abcdef`;
  const isPublic = client.token_endpoint_auth_method === 'private_key_jwt' || client.token_endpoint_auth_method === 'none';
  return {
    client: {
      client_id: name,
      ...(isPublic && !(client.id_token_signed_response_alg ?? '').startsWith('HS') ? {} : { client_secret: secret }),
      redirect_uris: [`${gate.url}/callback/${name}`],
      post_logout_redirect_uris: [`${gate.url}/logged-out`],
      backchannel_logout_uri: `${gate.url}/api/v1/backchannelLogout`,
      backchannel_logout_session_required: true,
      ...client,
    },
    provider: {
      id: name,
      issuer: op.issuer,
      client_id: name,
      ...(isPublic && !(client.id_token_signed_response_alg ?? '').startsWith('HS') ? {} : { client_secret: secret }),
      algorithms: [client.id_token_signed_response_alg ?? 'RS256'],
      ...provider,
    },
  };
}

/**
 * Starts a server with an empty database and one client at the provider, in place of the server before it.
 * `client` and `provider` are further settings of either, `overrides` those of a misbehaving provider, `start`
 * those of the process or false; the rest is for `write`. Returns the server and the provider's table.
 */
export async function replace(before, op, { client: clientSettings, provider: providerSettings, overrides, start = {}, ...configuration } = {}) {
  await before?.close();
  const gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, op.clientName, { client: clientSettings, provider: providerSettings });
  op.configure([client], overrides);
  gate.write({ providers: [provider], ...configuration });
  try {
    if (start) await gate.start(start);
  } catch (error) {
    await gate.close();
    throw error;
  }
  return { gate, provider };
}
