// Envoy before an application: ext_authz, configured as docs/guide/forward-auth.md prints it. `run` installs
// Envoy; without it these tests are skipped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { documented, startDomain } from './application.mjs';
import { forgedIdentities } from './behind-proxy.mjs';
import { until } from './claimgate.mjs';

const BINARY = process.env.ENVOY ?? fileURLToPath(new URL('../../target/envoy/envoy/_bin/envoy', import.meta.url));
const skip = existsSync(BINARY) ? false : 'Envoy is not installed';

let domain;
let gate;
let application;
let envoy;
let folder;
let port;
let cookie;

before(async () => {
  if (skip) return;
  domain = await startDomain();
  ({ gate, port, application, cookie } = domain);

  const filters = documented('yaml', 'http_filters');
  const cluster = (name, port) => `  - name: ${name}
    type: STATIC
    load_assignment: { cluster_name: ${name}, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }] }
`;
  folder = mkdtempSync(join(tmpdir(), 'claimgate-envoy-'));
  writeFileSync(join(folder, 'envoy.yaml'), `
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: test
          use_remote_address: true
          route_config:
${documented('yaml', 'virtual_hosts').replace('sso.example.com', '"sso.gate.localhost", "sso.gate.localhost:*"').replace(/^/gm, '            ').trimEnd()}
            - { name: app, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: app } }] }
          upgrade_configs: [{ upgrade_type: websocket }]
${filters.replace(/^/gm, '          ')}
  clusters:
${cluster('claimgate', gate.port)}${cluster('app', application.port)}`);
  envoy = spawn(BINARY, ['-c', join(folder, 'envoy.yaml'), '--concurrency', '1', '--disable-hot-restart', '-l', 'warning'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  envoy.stderr.on('data', (chunk) => { log += chunk; });
  await until('Envoy answers', async () => {
    if (envoy.exitCode !== null) throw new Error(log);
    return ask('/').then(({ status }) => status === 303, () => false);
  }, 30_000);
});

after(async () => {
  if (skip) return;
  envoy?.kill();
  await domain.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

function ask(path, headers = {}, localAddress = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, localAddress, path, headers: { host: `app.gate.localhost:${port}`, accept: 'text/html', ...headers }, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', reject);
  });
}

test('signed out: to the sign-in page, and back to what was asked for; programs get 401', { skip }, async () => {
  const sent = await ask('/reports?year=2026');
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.headers.location).searchParams.get('return_to'), `http://app.gate.localhost:${port}/reports?year=2026`);
  for (const headers of [{ accept: '*/*' }, { 'x-requested-with': 'XMLHttpRequest' }, { 'sec-fetch-mode': 'cors' }]) assert.equal((await ask('/', headers)).status, 401);
});

// finding: F3
// attack: headers.from-the-client
test('signed in: the user, and no spelling of an identity header of the client', { skip }, async () => {
  for (const forged of forgedIdentities()) {
    const answer = await ask('/?team=nobody', { cookie, ...forged });
    assert.equal(answer.status, 200);
    assert.ok(!answer.text.includes('forged'), answer.text);
    const { headers } = JSON.parse(answer.text);
    assert.equal(headers['x-auth-user'], 'joe');
    assert.equal(headers['x-auth-teams'], 'Lab');
  }
  // Claimgate is asked about headers that override the method under their own names only.
  for (const name of ['X_HTTP_Method_Override', 'X.HTTP.Method.Override', 'X_Original_URL']) {
    const { headers } = JSON.parse((await ask('/', { cookie, [name]: 'odd' })).text);
    assert.ok(!Object.values(headers).includes('odd'), name);
  }
});

// finding: S17
// attack: headers.session-for-the-application
test('the application receives the client’s cookies, and none of Claimgate’s', { skip }, async () => {
  for (const [sent, wanted] of [
    [cookie, ''],
    [`a=1; ${cookie}`, 'a=1'],
    [`${cookie}; b=2`, 'b=2'],
    [`a=1; ${cookie}; claimgate-login-x=1; __Host-claimgate-logout=2; ${cookie}; b=2`, 'a=1; b=2'],
    [`myclaimgate=1;${cookie}`, 'myclaimgate=1'],
    [['a=1', cookie, 'b=2'], 'a=1; b=2'],
  ]) assert.equal(JSON.parse((await ask('/', { cookie: sent })).text).headers.cookie ?? '', wanted, `${sent}`);
});

// attack: headers.assertion-asked-by-a-script
test('at Claimgate’s own host no client asks what Envoy asks', { skip }, async () => {
  const host = `sso.gate.localhost:${port}`;
  assert.equal((await ask('/login', { host })).status, 200);
  const said = { host, cookie, 'x-forwarded-host': 'bank.example.com', 'x-forwarded-uri': '/', 'x-forwarded-method': 'GET' };
  for (const path of ['/auth', '/auth/redirect', '/auth/redirect/x']) {
    const { status, headers } = await ask(path, said);
    assert.deepEqual([path, status, headers['x-auth-user']], [path, 404, undefined]);
  }
  assert.equal((await ask('/api/v1/me', said)).status, 200);
});

test('the bearer token of a program reaches Claimgate', { skip }, async () => {
  // A request without one is a browser's, which is redirected.
  assert.equal((await ask('/')).status, 303);
  const { status, headers } = await ask('/', { authorization: 'Bearer x.y.z' });
  assert.deepEqual([status, headers['www-authenticate']], [401, 'Cookie realm="claimgate"']);
});

test('the client counts by its own address, whatever it claims', { skip }, async () => {
  gate.forgetLog();
  assert.equal((await ask('/', { accept: '*/*', 'x-forwarded-for': '203.0.113.9' }, '127.0.0.5')).status, 401);
  await until('the refusal is logged', () => gate.log.includes('"client":"127.0.0.5"'));
  assert.doesNotMatch(gate.log, /"client":"(203\.0\.113\.9|127\.0\.0\.1)"/);
});
