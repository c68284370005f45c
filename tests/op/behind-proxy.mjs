// What every reverse proxy before an application on a host of its own must do, whichever it is.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { applicationAt, RULES, startDomain } from './application.mjs';
import { freePort, until } from './claimgate.mjs';
import { endWithTests } from './patience.mjs';
import { headersOf } from './proxies.mjs';
import { testRules } from './rules-behind-proxy.mjs';

/**
 * Every spelling of headers, in parts that one request holds. Applications that read headers as CGI does take each of
 * these characters for `_`.
 */
function forged(names) {
  const separators = [...'-_.!#$%&\'*+^`|~'];
  const spelt = (name, one, other) => { const [first, ...rest] = name.split('-'); return `${first}${one}${rest.join(other)}`; };
  return separators.map((one) => Object.fromEntries(names.flatMap((name) => separators.map((other) => [spelt(name, one, other), 'forged']))));
}

/**
 * Starts a proxy for a domain at a port, and waits until it `answers`. `ask` sends a request to a host of the domain, whose
 * name need not resolve.
 */
export async function startProxy({ configure }, domain, { port = domain.port, answers, ...options } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'claimgate-proxy-'));
  const ports = { port, claimgate: domain.gate.port, application: domain.application.port };
  const [command, ...args] = configure({ folder, ...ports, headers: headersOf('claimgate'), ...options });
  const proxy = endWithTests(spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } }));
  let log = '';
  for (const stream of [proxy.stdout, proxy.stderr]) stream.on('data', (chunk) => { log += chunk; });
  const stop = () => { proxy.kill(); rmSync(folder, { recursive: true, force: true }); };
  const ask = (host, path, headers = {}, { method = 'GET', localAddress = '127.0.0.1' } = {}) => new Promise((resolve, reject) => {
    const fields = { host: `${host}.gate.localhost:${port}`, accept: 'text/html', ...headers };
    const request = http.request({ host: '127.0.0.1', port, path, method, localAddress, headers: fields, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    request.on('upgrade', ({ statusCode, headers }, socket) => { socket.destroy(); resolve({ status: statusCode, headers, text: `{"headers":${headers['x-received']}}` }); });
    request.on('error', reject).end();
  });
  answers ??= async () => (await ask('app', '/', { accept: 'application/json' })).status === 401;
  try {
    await until('the proxy answers', async () => {
      if (proxy.exitCode !== null) throw new Error(log);
      return answers().catch(() => false);
    }, 30_000);
  } catch (error) {
    stop();
    throw error;
  }
  return { ask, stop };
}

/** What the application received, in an answer of it. */
export const received = ({ text }) => JSON.parse(text).headers;

/** Runs the tests on a proxy of `proxies.mjs`; `more` adds tests of its own. */
export function testProxy(proxy, more) {
  const { server = {}, skip = false, teamsByRules = false } = proxy;
  const on = { skip };
  const admin = applicationAt('admin', [{ teams: ['Administrators'] }]);
  let domain;
  let cookie;
  let port;
  let running;

  before(async () => {
    if (skip) return;
    domain = await startDomain({ server, applications: teamsByRules ? [applicationAt('app', [{ allow: 'signed_in' }]), admin] : [] });
    ({ port, cookie } = domain);
    running = await startProxy(proxy, domain);
  });

  after(async () => {
    running?.stop();
    await domain?.stop();
  });

  const ask = (...args) => running.ask(...args);

  test('signed out: to the sign-in page, and back to what was asked for', on, async () => {
    const sent = await ask('app', '/reports?year=2026&team=nobody');
    assert.equal(sent.status, 303);
    const address = new URL(sent.headers.location);
    assert.equal(address.host, `sso.gate.localhost:${port}`);
    assert.equal(address.searchParams.get('return_to'), `http://app.gate.localhost:${port}/reports?year=2026&team=nobody`);
  });

  test('signed in: the application receives the user, and no identity header of the client', on, async () => {
    const claimed = { 'x-auth-user': 'root', 'x-auth-teams': 'Administrators', 'x-auth-email': 'root@example.com', 'x-auth-name': 'Root' };
    const answer = await ask('app', '/', { cookie, ...claimed });
    assert.equal(answer.status, 200);
    const headers = received(answer);
    assert.equal(headers['x-auth-user'], 'joe');
    assert.equal(headers['x-auth-name'], 'joe');
    assert.equal(headers['x-auth-email'] ?? '', '');
    assert.equal(headers['x-auth-teams'], 'Lab');
    assert.equal((await ask('app', '/', claimed)).status, 303);
  });

  test('a program gets 401', on, async () => {
    for (const headers of [{ accept: 'application/json' }, { accept: '*/*' }, { 'x-requested-with': 'XMLHttpRequest' }, { 'sec-fetch-mode': 'cors' }, { authorization: 'Bearer x.y.z' }]) {
      const { status, headers: { location } } = await ask('app', '/', headers);
      assert.deepEqual([headers, status, location], [headers, 401, undefined]);
    }
  });

  // finding: F3
  // attack: headers.from-the-client
  test('no spelling of an identity header reaches the application', on, async () => {
    for (const headers of forged(headersOf('claimgate').all)) {
      const answer = await ask('app', '/', { cookie, ...headers });
      assert.equal(answer.status, 200);
      assert.ok(!answer.text.includes('forged'), answer.text);
      assert.equal(received(answer)['x-auth-user'], 'joe');
    }
  });

  // attack: headers.named-in-connection
  test('a client that names identity headers in Connection takes none away', on, async () => {
    for (const connection of ['close, X-Auth-User, x-auth-teams', 'X-AUTH-USER,X-Auth-Teams, close', ['X-Auth-User', 'x-auth-teams']]) {
      const answer = await ask('app', '/', { cookie, connection });
      assert.equal(answer.status, 200);
      const headers = received(answer);
      assert.deepEqual([headers['x-auth-user'], headers['x-auth-teams']], ['joe', 'Lab'], `${connection}`);
    }
  });

  // finding: S17
  // attack: headers.session-for-the-application
  test('the application receives the client’s cookies, and none of Claimgate’s', on, async () => {
    const seen = async (sent) => received(await ask('app', '/', { cookie: sent })).cookie ?? '';
    for (const [sent, wanted] of [
      [cookie, ''],
      [`a=1; ${cookie}`, 'a=1'],
      [`${cookie}; b=2`, 'b=2'],
      [`a=1; ${cookie}; claimgate-login-x=1; __Host-claimgate-logout=2; ${cookie}; b=2`, 'a=1; b=2'],
      [`myclaimgate=1; ${cookie}`, 'myclaimgate=1'],
      [['a=1', cookie, 'b=2'], 'a=1; b=2'],
    ]) assert.equal((await seen(sent)).replace(/^(; )+|;$/g, ''), wanted, `${sent}`);
  });

  test('a client is not given the cookies that are kept from scripts', on, async () => {
    // Nor anything else that the proxy alone asks for.
    for (const headers of [{}, { 'x-forwarded-uri': '/' }]) {
      for (const path of ['/auth', '/auth/', '/auth/redirect', '/auth/redirect/x']) {
        const answer = await ask('sso', path, { cookie: `a=1; ${cookie}`, ...headers });
        assert.deepEqual([path, answer.status, answer.headers.cookie, answer.headers['x-auth-user']], [path, 404, undefined, undefined]);
      }
    }
  });

  test('a client that repeats a header as often as the proxy allows ends nothing', on, async () => {
    for (const count of [90, 95, 97, 99]) {
      const repeated = await ask('app', '/', { 'x-requested-with': Array(count).fill('x'), cookie });
      assert.ok(repeated.status >= 200, `${repeated.status}`);
    }
    assert.equal((await ask('app', '/', { cookie })).status, 200);
  });

  // finding: A3
  test('the refusal page has absolute addresses', on, async () => {
    const refused = await ask('admin', '/x', { cookie });
    assert.match(refused.text, /signed in as <b id="user">joe<\/b>/);
    assert.ok(refused.text.includes(`href="http://sso.gate.localhost:${port}/assets/claimgate.css?v=`));
    assert.ok(refused.text.includes(encodeURIComponent(`http://admin.gate.localhost:${port}/x`)));
  });

  test('the application’s own query demands no team', on, async () => {
    assert.equal((await ask('app', '/reports?team=nobody', { cookie })).status, 200);
  });

  test('for a team alone: others are refused, whatever their own query says', on, async () => {
    for (const query of ['', '?team=Lab', '?x&team=Lab', '?team=Administrators']) {
      assert.equal((await ask('admin', `/x${query}`, { cookie })).status, 403, query);
    }
    assert.equal((await ask('app', '/x?team=Administrators', { cookie })).status, 200);
  });

  test('WebSockets pass with the user; without a session the handshake is refused, and not redirected', on, async () => {
    await testWebSockets(domain, ask, '/socket');
  });

  for (const preset of ['authelia', 'oauth2-proxy', 'grafana']) {
    // attack: headers.from-the-client
    test(`the headers of the preset ${preset}: the user, and no spelling of them that a client sends`, on, async () => {
      const headers = headersOf(preset);
      const other = await startProxy(proxy, domain, { port: await freePort(), headers });
      try {
        await domain.apply([applicationAt('app', [{ allow: 'signed_in' }], { headers: { preset } })]);
        for (const sent of forged(headers.all)) {
          const answer = await other.ask('app', '/', { cookie, ...sent });
          assert.equal(answer.status, 200);
          assert.ok(!answer.text.includes('forged'), answer.text);
          const got = received(answer);
          const values = (names) => names.map((name) => got[name.toLowerCase()] ?? '');
          assert.deepEqual(values(headers.username), headers.username.map(() => 'joe'));
          assert.deepEqual([values(headers.teams), values(headers.email), values(headers.name)], [['Lab'], [''], headers.name.map(() => 'joe')]);
          // What proxies write themselves stays.
          assert.notEqual(got.host, undefined);
        }
        const [user] = headers.username;
        const { status } = await other.ask('app', '/', { [user]: 'root', accept: 'application/json' });
        assert.equal(status, 401);
        // A client that names the headers in Connection takes none away.
        assert.equal(received(await other.ask('app', '/', { cookie, connection: `close, ${user}` }))[user.toLowerCase()], 'joe');
      } finally {
        other.stop();
        await domain.apply(teamsByRules ? [applicationAt('app', [{ allow: 'signed_in' }]), admin] : []);
      }
    });
  }

  if (more) more(() => ({ ask, ...domain }));

  describe('by the rules of the configuration', on, () => {
    before(() => domain.apply([applicationAt('app', RULES), admin]));
    testRules(() => ({ ask, ...domain }));
  });
}

/** A browser opens a WebSocket through a proxy, with and without a session. */
export async function testWebSockets({ cookie }, ask, path) {
  const handshake = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-fetch-mode': 'websocket', accept: '*/*' };
  const opened = await ask('app', path, { ...handshake, cookie, 'x-auth-user': 'root' });
  assert.equal(opened.status, 101);
  const { 'x-auth-user': user, 'x-auth-teams': teams, upgrade } = received(opened);
  assert.deepEqual([user, teams, upgrade], ['joe', 'Lab', 'websocket']);
  const refused = await ask('app', path, handshake);
  assert.deepEqual([refused.status, refused.headers.location], [401, undefined]);
}
