// What every reverse proxy before an application on a host of its own must do, whichever it is.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startDomain } from './application.mjs';
import { until } from './claimgate.mjs';

/**
 * Every spelling of an identity header, in parts that one request holds. Applications that read headers as CGI does take
 * each of these characters for `_`.
 */
export function forgedIdentities() {
  const separators = [...'-_.!#$%&\'*+^`|~'];
  return separators.map((one) => Object.fromEntries(['User', 'Email', 'Teams', 'Name'].flatMap((field) => separators.map((other) => [`X${one}Auth${other}${field}`, 'forged']))));
}

/**
 * Runs the tests. `configure` gets the ports and a folder, and returns the command line of a proxy for the hosts `sso`
 * (Claimgate), `app` (the application) and `admin` (the same for the team Administrators) of `gate.localhost`; `server`
 * are further settings of Claimgate.
 */
export function testProxy({ configure, server = {}, skip = false }) {
  const on = { skip };
  let domain;
  let cookie;
  let port;
  let folder;
  let proxy;

  before(async () => {
    if (skip) return;
    domain = await startDomain(server);
    ({ port, cookie } = domain);
    folder = mkdtempSync(join(tmpdir(), 'claimgate-proxy-'));
    const [command, ...options] = configure({ folder, port, claimgate: domain.gate.port, application: domain.application.port });
    proxy = spawn(command, options, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
    let log = '';
    for (const stream of [proxy.stdout, proxy.stderr]) stream.on('data', (chunk) => { log += chunk; });
    await until('the proxy answers', async () => {
      if (proxy.exitCode !== null) throw new Error(log);
      return ask('sso', '/healthz').then(({ status }) => status === 200, () => false);
    });
  });

  after(async () => {
    proxy?.kill();
    await domain?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  /** Sends a request to a host of the domain, whose name need not resolve. */
  function ask(host, path, headers = {}) {
    return new Promise((resolve, reject) => {
      http.get({ host: '127.0.0.1', port, path, headers: { host: `${host}.gate.localhost:${port}`, accept: 'text/html', ...headers }, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      }).on('error', reject);
    });
  }

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
    const { headers } = JSON.parse(answer.text);
    assert.equal(headers['x-auth-user'], 'joe');
    assert.equal(headers['x-auth-name'], 'joe');
    assert.equal(headers['x-auth-email'] ?? '', '');
    assert.equal(headers['x-auth-teams'], 'Lab');
    assert.equal((await ask('app', '/', claimed)).status, 303);
  });

  test('a program gets 401', on, async () => {
    assert.equal((await ask('app', '/', { accept: 'application/json' })).status, 401);
  });

  // finding: F3
  // attack: headers.from-the-client
  test('no spelling of an identity header reaches the application', on, async () => {
    for (const forged of forgedIdentities()) {
      const answer = await ask('app', '/', { cookie, ...forged });
      assert.equal(answer.status, 200);
      assert.ok(!answer.text.includes('forged'), answer.text);
      assert.equal(JSON.parse(answer.text).headers['x-auth-user'], 'joe');
    }
  });

  // attack: headers.named-in-connection
  test('a client that names identity headers in Connection takes none away', on, async () => {
    for (const connection of ['close, X-Auth-User, x-auth-teams', 'X-AUTH-USER,X-Auth-Teams, close', ['X-Auth-User', 'x-auth-teams']]) {
      const answer = await ask('app', '/', { cookie, connection });
      assert.equal(answer.status, 200);
      const { headers } = JSON.parse(answer.text);
      assert.deepEqual([headers['x-auth-user'], headers['x-auth-teams']], ['joe', 'Lab'], `${connection}`);
    }
  });

  // finding: S17
  // attack: headers.session-for-the-application
  test('the application receives the client’s cookies, and none of Claimgate’s', on, async () => {
    const received = async (sent) => JSON.parse((await ask('app', '/', { cookie: sent })).text).headers.cookie ?? '';
    for (const [sent, wanted] of [
      [cookie, ''],
      [`a=1; ${cookie}`, 'a=1'],
      [`${cookie}; b=2`, 'b=2'],
      [`a=1; ${cookie}; claimgate-login-x=1; __Host-claimgate-logout=2; ${cookie}; b=2`, 'a=1; b=2'],
      [`myclaimgate=1; ${cookie}`, 'myclaimgate=1'],
      [['a=1', cookie, 'b=2'], 'a=1; b=2'],
    ]) assert.equal((await received(sent)).replace(/^(; )+/, ''), wanted, `${sent}`);
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
}
