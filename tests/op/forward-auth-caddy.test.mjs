// Caddy before an application: forward_auth, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { documented, DOCUMENTATION, startDomain } from './application.mjs';
import { until } from './claimgate.mjs';

let domain;
let gate;
let application;
let caddy;
let folder;
let port;
let cookie;

before(async () => {
  domain = await startDomain();
  ({ gate, port, application, cookie } = domain);

  const configuration = documented('caddyfile');
  folder = mkdtempSync(join(tmpdir(), 'claimgate-caddy-'));
  // The same application for a team alone, as documented.
  const [, forTeam] = /`(uri \/auth\/redirect\?team=Administrators)`/.exec(DOCUMENTATION);
  const app = configuration.slice(configuration.indexOf('app.example.com {'));
  const admin = app.replace('app.example.com {', `http://admin.gate.localhost:${port} {\nbind 127.0.0.1`).replace('uri /auth/redirect?', forTeam);
  writeFileSync(join(folder, 'Caddyfile'), `{
  admin off
  auto_https off
  storage file_system ${folder}
}
${(configuration + admin)
    .replace('sso.example.com {', `http://sso.gate.localhost:${port} {\nbind 127.0.0.1`)
    .replace('app.example.com {', `http://app.gate.localhost:${port} {\nbind 127.0.0.1`)
    .replaceAll('claimgate:8080', `127.0.0.1:${gate.port}`)
    .replaceAll('app:3000', `127.0.0.1:${application.port}`)}`);
  caddy = spawn('caddy', ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  let log = '';
  caddy.stderr.on('data', (chunk) => { log += chunk; });
  await until('caddy answers', async () => {
    if (caddy.exitCode !== null) throw new Error(log);
    return ask('sso', '/healthz').then(({ status }) => status === 200, () => false);
  });
});

after(async () => {
  caddy?.kill();
  await domain.stop();
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

test('signed out: to the sign-in page, and back to what was asked for', async () => {
  const sent = await ask('app', '/reports?year=2026&team=nobody');
  assert.equal(sent.status, 303);
  const address = new URL(sent.headers.location);
  assert.equal(address.host, `sso.gate.localhost:${port}`);
  assert.equal(address.searchParams.get('return_to'), `http://app.gate.localhost:${port}/reports?year=2026&team=nobody`);
});

test('signed in: the application receives the user, and no identity header of the client', async () => {
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

// finding: F3
// attack: headers.from-the-client
test('no spelling of an identity header reaches the application', async () => {
  const forged = {};
  for (const field of ['User', 'Email', 'Teams', 'Name', 'Other']) {
    for (const spelling of ['X-Auth-', 'X_Auth_', 'X-Auth_', 'X_Auth-', 'x_auth_']) forged[`${spelling}${field}`] = 'forged';
  }
  const answer = await ask('app', '/', { cookie, ...forged });
  assert.equal(answer.status, 200);
  assert.ok(!answer.text.includes('forged'), answer.text);
  assert.equal(JSON.parse(answer.text).headers['x-auth-user'], 'joe');
});

// finding: S17
// attack: headers.session-for-the-application
test('the application receives the client’s cookies, and none of Claimgate’s', async () => {
  const received = async (sent) => JSON.parse((await ask('app', '/', { cookie: sent })).text).headers.cookie ?? '';
  for (const [sent, wanted] of [
    [cookie, ''],
    [`a=1; ${cookie}`, 'a=1'],
    [`${cookie}; b=2`, '; b=2'],
    [`a=1; ${cookie}; claimgate-login-x=1; __Host-claimgate-logout=2; ${cookie}; b=2`, 'a=1; b=2'],
    [`myclaimgate=1; ${cookie}`, 'myclaimgate=1'],
    [['a=1', cookie, 'b=2'], 'a=1; b=2'],
  ]) assert.equal((await received(sent)).replace(/^; (?=; )/, ''), wanted, `${sent}`);
});

// finding: A3
test('the refusal page has absolute addresses', async () => {
  const refused = await ask('admin', '/x', { cookie });
  assert.match(refused.text, /signed in as <b id="user">joe<\/b>/);
  assert.ok(refused.text.includes(`href="http://sso.gate.localhost:${port}/assets/claimgate.css"`));
  assert.ok(refused.text.includes(encodeURIComponent(`http://admin.gate.localhost:${port}/x`)));
});

test('the application’s own query demands no team', async () => {
  assert.equal((await ask('app', '/reports?team=nobody', { cookie })).status, 200);
});

test('for a team alone: others are refused, whatever their own query says', async () => {
  for (const query of ['', '?team=Lab', '?x&team=Lab', '?team=Administrators']) {
    assert.equal((await ask('admin', `/x${query}`, { cookie })).status, 403, query);
  }
  assert.equal((await ask('app', '/x?team=Administrators', { cookie })).status, 200);
});
