// The server under test, as a process of its own, and a browser without pictures.

import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const BINARY = resolve(process.env.CLAIMGATE ?? join(here, '../../target/debug/claimgate'));

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const toml = (value) => (Array.isArray(value) ? `[${value.map(toml).join(', ')}]` : JSON.stringify(value));
const table = (name, values) => `[${name}]\n${Object.entries(values).map(([key, value]) => `${key} = ${toml(value)}\n`).join('')}`;

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

  /** What was logged since `forgetLog`. A file, not a pipe: what the server wrote before it answered is in it when the answer is. */
  get log() {
    return readFileSync(this.logFile).subarray(this.logFrom).toString();
  }

  forgetLog() {
    this.logFrom = statSync(this.logFile).size;
  }

  static async prepare() {
    return new Claimgate(await freePort());
  }

  /** Writes the configuration: `providers` is a list of tables, `signIn` and `server` more settings. */
  write({ providers, signIn = {}, server = {}, identity = IDENTITY }) {
    const text = [
      table('server', { public_url: this.url, listen: `127.0.0.1:${this.port}`, ...server }),
      table('sign_in', { create_users: true, sync_profile: true, sync_teams: true, ...signIn }),
      ...providers.map((provider) => table('[provider]', provider)),
      identity,
    ].join('\n');
    writeFileSync(this.config, text);
    return this;
  }

  async start({ expectReady = true, logLevel = 'debug', logFormat = 'json', env = {} } = {}) {
    const log = openSync(this.logFile, 'a');
    this.process = spawn(BINARY, ['serve', '--config', this.config, '--log-level', logLevel, '--log-format', logFormat], { stdio: ['ignore', 'ignore', log], env: { ...process.env, ...this.env, ...env } });
    closeSync(log);
    this.exited = new Promise((done) => this.process.on('exit', (code, signal) => { this.exit = { code, signal }; done(); }));
    for (let tries = 0; tries < 200; tries += 1) {
      if (this.exit) {
        if (expectReady) throw new Error(`claimgate exited: ${JSON.stringify(this.exit)}\n${this.log}`);
        return this;
      }
      try {
        if ((await fetch(`http://127.0.0.1:${this.port}/healthz`)).ok) return this;
      } catch { /* not yet */ }
      await sleep(25);
    }
    throw new Error(`claimgate does not answer\n${this.log}`);
  }

  async stop(signal = 'SIGTERM') {
    if (this.process && !this.exit) {
      this.process.kill(signal);
      await this.exited;
    }
    const { exit } = this;
    this.exit = undefined;
    this.process = undefined;
    return exit;
  }

  /** Stops and forgets everything. */
  async close() {
    await this.stop('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.logFile, { force: true });
  }

  /** Runs the command on the same configuration. */
  command(args, input = '') {
    const run = spawnSync(BINARY, [...args, '--config', this.config], { input, encoding: 'utf8' });
    return { code: run.status, out: run.stdout, err: run.stderr };
  }

  /** Runs a command that may call the provider of this very process. */
  async commandBeside(args) {
    const run = spawn(BINARY, args);
    let out = '';
    run.stdout.on('data', (chunk) => { out += chunk; });
    run.stderr.on('data', (chunk) => { out += chunk; });
    const code = await new Promise((done) => run.on('exit', done));
    return { code, out };
  }

  /** Lines of the log with this code. */
  logged(code) {
    return this.log.split('\n').filter((line) => line.includes(`"code":"${code}"`));
  }
}

/** One request by hand: fetch() says about every one that a script made it (`sec-fetch-mode: cors`). */
function exchange(url, { method, headers, body }) {
  return new Promise((done, failed) => {
    const request = http.request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => { text += chunk; });
      response.on('error', failed);
      response.on('end', () => {
        const received = new Headers();
        for (let index = 0; index < response.rawHeaders.length; index += 2) received.append(response.rawHeaders[index], response.rawHeaders[index + 1]);
        done({ status: response.statusCode, headers: received, text });
      });
    });
    request.on('error', failed);
    request.end(body);
  });
}

/** A browser without pictures: cookies by host and port, redirects followed by hand. */
export class Agent {
  constructor() { this.jars = new Map(); }

  #jar(url) {
    const { host } = new URL(url);
    if (!this.jars.has(host)) this.jars.set(host, new Map());
    return this.jars.get(host);
  }

  cookies(url) { return this.#jar(url); }

  async request(url, { method = 'GET', form, json, headers = {} } = {}) {
    const jar = this.#jar(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const body = form ? new URLSearchParams(form).toString() : json && JSON.stringify(json);
    const type = body === undefined ? {} : { 'content-type': json ? 'application/json' : 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
    const response = await exchange(url, { method, body, headers: { accept: '*/*', ...(cookie && { cookie }), ...type, ...headers } });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const gone = attributes.some((attribute) => /^max-age=0$/i.test(attribute) || /^expires=.*1970/i.test(attribute));
      if (gone) jar.delete(pair.slice(0, at)); else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return { status: response.status, url, headers: response.headers, text: response.text, location: response.headers.has('location') ? new URL(response.headers.get('location'), url).href : undefined };
  }

  /** Follows redirects, and answers the provider's pages: `as` signs in, `deny` says no. */
  async walk(url, { as, deny, stopAt } = {}) {
    let response = await this.request(url);
    for (let steps = 0; steps < 25; steps += 1) {
      if (response.location) {
        if (stopAt && response.location.startsWith(stopAt)) return response;
        response = await this.request(response.location);
      } else if (response.text.includes('name="login"') || response.text.includes('name="consent"')) {
        const form = deny ? { deny: 'yes' } : response.text.includes('name="login"') ? { login: as } : { consent: 'yes' };
        response = await this.request(response.url, { method: 'POST', form });
      } else {
        return response;
      }
    }
    throw new Error(`too many redirects, at ${response.url}`);
  }

  /** Signs in and says who it is. */
  async signIn(gate, provider, as) {
    const landed = await this.walk(`${gate.url}/login/${provider}`, { as });
    if (landed.status !== 200) throw new Error(`sign-in ended with ${landed.status} at ${landed.url}: ${landed.text}`);
    return this.me(gate);
  }

  async me(gate) {
    const response = await this.request(`${gate.url}/api/v1/me`);
    return response.status === 200 ? JSON.parse(response.text) : undefined;
  }
}

/** Waits until a later second than this one has begun: the provider's clock has seconds. */
export async function nextSecond() {
  await sleep(1000 - (Date.now() % 1000) + 20);
}

export async function until(what, check, milliseconds = 10_000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await sleep(50);
  }
}

/** A client at the OP, and the provider's table in our configuration. */
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
      name,
      issuer: op.issuer,
      client_id: name,
      ...(isPublic && !(client.id_token_signed_response_alg ?? '').startsWith('HS') ? {} : { client_secret: secret }),
      algorithms: [client.id_token_signed_response_alg ?? 'RS256'],
      ...provider,
    },
  };
}
