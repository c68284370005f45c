// Services that embed the library (examples/services): access tokens of a real provider as JWTs, its rotations,
// outages and logouts.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { BINARY, nextSecond } from './claimgate.mjs';
import { personsToken } from './access-tokens.mjs';
import { OpenIdProvider } from './provider.mjs';

const PROGRAM = join(dirname(BINARY), 'claimgate-services');
const API = 'https://api.example.com';
const CLIENT = { client_id: 'app', client_secret: 'a client secret: 0123456789abcdef', redirect_uris: ['http://127.0.0.1:9/callback'] };
const INVALID = { status: 401, challenge: 'Bearer error="invalid_token"', text: '' };

let op;
let services;
before(async () => {
  op = await OpenIdProvider.start();
  op.tokenClaims = (token) => token.sid && { sid: token.sid };
  op.configure([CLIENT]);
  services = [await start('axum', { CLIENT_ID: CLIENT.client_id }), await start('actix')];
  op.configure([{ ...CLIENT, backchannel_logout_uri: `${services[0].url}/backchannel-logout`, backchannel_logout_session_required: true }]);
});
after(async () => { for (const { child } of services) child.kill(); await op.stop(); });

/** Starts a service, and returns its process and its address. */
async function start(framework, more = {}) {
  const child = spawn(PROGRAM, [framework, op.issuer, API], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...more } });
  const service = { child, log: '' };
  child.stderr.setEncoding('utf8').on('data', (text) => { service.log += text; });
  [service.url] = await once(createInterface({ input: child.stdout }), 'line');
  return service;
}

const accessToken = (as, scope = 'openid orders:read') => personsToken(op, CLIENT, as, API, scope);

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

async function ask(service, path, token) {
  const response = await fetch(service.url + path, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '', text: await response.text() };
}

const ok = (text) => ({ status: 200, challenge: '', text });

test('access tokens of the provider are accepted, and a guard admits by scope', async () => {
  const token = await accessToken('ada');
  const without = await accessToken('grace', 'openid');
  for (const service of services) {
    assert.deepEqual(await ask(service, '/me', token), ok('ada'), service.log);
    assert.deepEqual(await ask(service, '/me'), { status: 401, challenge: 'Bearer realm="api"', text: '' });
    assert.deepEqual(await ask(service, '/me', `${token}x`), INVALID);
    assert.deepEqual(await ask(service, '/orders', token), ok('orders:read'));
    assert.deepEqual(await ask(service, '/orders', without), { status: 403, challenge: 'Bearer error="insufficient_scope", scope="orders:read"', text: '' });
  }
});

test('a logout at the provider ends the session’s tokens, and a new sign-in works', async () => {
  const [service] = services;
  const [token, other] = [await accessToken('ada'), await accessToken('ada')];
  const { sid } = claims(token);
  assert.ok(sid && sid !== claims(other).sid);
  await op.logOut('app', 'ada', sid);
  assert.deepEqual(await ask(service, '/me', token), INVALID);
  assert.deepEqual(await ask(service, '/', token), INVALID, 'also where a token is optional');
  assert.deepEqual(await ask(service, '/me', other), ok('ada'));
  const response = await fetch(`${service.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('app', 'ada') }) });
  assert.deepEqual([response.status, response.headers.get('cache-control')], [200, 'no-store']);
  assert.deepEqual(await ask(service, '/me', other), INVALID, 'by sub, every session');
  await nextSecond();
  assert.deepEqual(await ask(service, '/me', await accessToken('ada')), ok('ada'));
});

test('rotated keys are fetched once, the last good ones serve through an outage, and an unknown one is 503 then', async () => {
  op.rotateKeys();
  const rotated = await accessToken('grace');
  for (const service of services) assert.deepEqual(await ask(service, '/me', rotated), ok('grace'), service.log);
  op.rotateKeys();
  const unknown = await accessToken('grace');
  op.down = true;
  for (const service of services) {
    assert.deepEqual(await ask(service, '/me', rotated), ok('grace'));
    const { status, challenge } = await ask(service, '/me', unknown);
    assert.deepEqual([status, challenge], [503, '']);
  }
  op.down = false;
});
