// Services that embed the library (examples/services): access tokens of a real provider as JWTs, its rotations,
// outages and logouts; and one that signs people in there.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { BINARY, nextSecond, until } from './claimgate.mjs';
import { firstLine } from './patience.mjs';
import { personsToken } from './access-tokens.mjs';
import { OpenIdProvider } from './provider.mjs';

const PROGRAM = join(dirname(BINARY), 'claimgate-services');
const API = 'https://api.example.com';
const CLIENT = { client_id: 'app', client_secret: 'a client secret: 0123456789abcdef', redirect_uris: ['http://127.0.0.1:9/callback'] };
const WEB = { client_id: 'web', client_secret: 'another secret: 0123456789abcdef' };
const INVALID = { status: 401, challenge: 'Bearer error="invalid_token"', text: '' };

let op;
let services;
let web;
before(async () => {
  op = await OpenIdProvider.start();
  op.tokenClaims = (token) => token.sid && { sid: token.sid };
  op.configure([CLIENT]);
  services = [await start('axum', API, { CLIENT_ID: CLIENT.client_id }), await start('actix', API)];
  web = await start('sign-in', WEB.client_id, { CLIENT_SECRET: WEB.client_secret });
  const backChannel = (service) => ({ backchannel_logout_uri: `${service.url}/backchannel-logout`, backchannel_logout_session_required: true });
  op.configure([
    { ...CLIENT, ...backChannel(services[0]) },
    { ...WEB, ...backChannel(web), redirect_uris: [`${web.url}/callback`], post_logout_redirect_uris: [`${web.url}/me`] },
  ]);
});
after(async () => { for (const service of [...services ?? [], web]) service?.child.kill(); await op?.stop(); });

/** Starts a service, and returns its process and its address. */
async function start(framework, audience, more = {}) {
  const child = spawn(PROGRAM, [framework, op.issuer, audience], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...more } });
  const service = { child, log: '' };
  child.stderr.setEncoding('utf8').on('data', (text) => { service.log += text; });
  service.url = await firstLine(child);
  return service;
}

const accessToken = (as, scope = 'openid orders:read') => personsToken(op, CLIENT, as, API, scope);

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

async function ask(service, path, token) {
  const response = await fetch(service.url + path, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '', text: await response.text() };
}

const ok = (text) => ({ status: 200, challenge: '', text });

// finding: R8
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

// finding: N1
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

const me = async (agent) => { const { status, text } = await agent.request(`${web.url}/me`); return status === 200 ? JSON.parse(text) : status; };

/** Begins a sign-in and answers the provider's pages. Returns the address of the callback, which is not opened yet. */
async function signInUpToCallback(agent, as) {
  const landed = await agent.walk(`${web.url}/login`, { as, stopAt: `${web.url}/callback` });
  assert.ok(landed.location?.startsWith(`${web.url}/callback?code=`), landed.text);
  return landed.location;
}

/** Confirms the provider's page of sign-out, and returns its answer. */
async function confirmSignOut(agent, address) {
  const { text } = await agent.request(address);
  const [, xsrf] = /name="xsrf" value="([^"]+)"/.exec(text);
  const [, action] = /action="([^"]+)"/.exec(text);
  return agent.request(action, { method: 'POST', form: { xsrf, logout: 'yes' } });
}

/** Waits for a line of the log: it is read apart from the answers. */
async function logged(pattern) {
  await until(`the log has ${pattern}`, () => pattern.test(web.log));
}

const FAILED = [400, 'The sign-in failed. Please begin again.'];
const answer = async (agent, address) => { const { status, text } = await agent.request(address); return [status, text]; };

test('a service signs people in, and has their claims and the scope of their tokens', async () => {
  const agent = new Agent();
  assert.equal(await me(agent), 401);
  const begun = await agent.request(`${web.url}/login`);
  const [cookie] = begun.headers.getSetCookie();
  assert.match(cookie, /^sign-in=[\w-]+; HttpOnly; SameSite=Lax; Path=\/; Max-Age=900$/);
  const address = new URL(begun.location);
  for (const name of ['state', 'nonce', 'code_challenge']) assert.ok(!cookie.includes(address.searchParams.get(name)), name);
  const callback = await signInUpToCallback(agent, 'ada');
  const opened = await agent.request(callback);
  assert.deepEqual([opened.status, opened.location], [303, `${web.url}/me`], web.log);
  assert.deepEqual(await me(agent), { sub: 'ada', name: 'Ada Lovelace', scope: 'openid profile' });
  assert.deepEqual([...agent.cookies(web.url).keys()], ['session']);
});

test('a changed, foreign or absent cookie of the sign-in is refused, and so is a replayed callback', async () => {
  const agent = new Agent();
  const callback = await signInUpToCallback(agent, 'ada');
  const cookies = agent.cookies(web.url);
  const sealed = cookies.get('sign-in');
  for (const at of [0, 20, Math.floor(sealed.length / 2), sealed.length - 2]) {
    const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
    cookies.set('sign-in', changed);
    assert.deepEqual(await answer(agent, callback), FAILED, `character ${at}`);
  }
  const other = new Agent();
  assert.deepEqual(await answer(other, callback), FAILED, 'another browser');
  await other.request(`${web.url}/login`);
  assert.deepEqual(await answer(other, callback), FAILED, 'another browser that is signing in');
  assert.equal(await me(agent), 401);
  await logged(/\[callback\.state\]/);

  cookies.set('sign-in', sealed);
  assert.equal((await agent.request(callback)).status, 303, web.log);
  // The attacker has kept the cookie, too: state and code are used.
  const thief = new Agent();
  thief.cookies(web.url).set('sign-in', sealed);
  assert.deepEqual(await answer(thief, callback), FAILED);
  await logged(/\[callback\.used\]/);
  const replaced = new URL(callback);
  const fresh = await signInUpToCallback(thief, 'grace');
  const mixed = new URL(fresh);
  mixed.searchParams.set('code', replaced.searchParams.get('code'));
  assert.deepEqual(await answer(thief, mixed.href), FAILED, 'the code of another sign-in');
  await logged(/invalid_grant.*\[token\.refused\]/);
  assert.equal(await me(thief), 401);
});

test('sign-out ends the session here and at the provider, which ends those of its other services', async () => {
  const [ada, grace] = [new Agent(), new Agent()];
  for (const [agent, as] of [[ada, 'ada'], [grace, 'grace']]) await agent.walk(`${web.url}/login`, { as });
  const secret = ada.cookies(web.url).get('session');
  const sent = await ada.request(`${web.url}/logout`, { method: 'POST' });
  assert.ok(sent.location.startsWith(`${op.issuer}/session/end?id_token_hint=`), sent.location);
  ada.cookies(web.url).set('session', secret);
  assert.equal(await me(ada), 401, 'the secret opens nothing any more');
  const back = await confirmSignOut(ada, sent.location);
  assert.ok(back.location.startsWith(`${web.url}/me?state=`), back.location);

  // A sign-out that begins at the provider arrives by the back channel.
  await ada.walk(`${web.url}/login`, { as: 'ada' });
  assert.equal((await me(ada)).sub, 'ada', web.log);
  await confirmSignOut(ada, `${op.issuer}/session/end`);
  assert.equal(await me(ada), 401);
  assert.equal((await me(grace)).sub, 'grace');

  // A logout by `sub` ends every session.
  const token = await op.logoutToken('web', 'grace');
  const post = () => fetch(`${web.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  assert.equal((await post()).status, 200);
  assert.equal(await me(grace), 401);
  assert.equal((await fetch(`${web.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: `${token}x` }) })).status, 400);
  await nextSecond();
  await grace.walk(`${web.url}/login`, { as: 'grace' });
  assert.equal((await me(grace)).sub, 'grace');
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
