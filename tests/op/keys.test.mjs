// Keys and outages: rotation in the middle, unknown kids, the provider down and back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, Claimgate, nextSecond, pair, until } from './claimgate.mjs';
import { Op } from './op.mjs';

let op;
let gate;
before(async () => { op = await Op.start(); });
after(async () => { await gate.close(); await op.stop(); });

async function prepare(settings = {}) {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm', settings);
  op.configure([client]);
  gate.write({ providers: [provider] });
}

test('rotation: the first token by a new key fetches it', async () => {
  await prepare();
  await gate.start();
  await new Agent().signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  op.hits = {};
  await new Agent().signIn(gate, 'crm', 'ada');
  assert.equal(op.hits['/jwks'], 1);
});

test('rotation: the first token by a new key may be a logout token', async () => {
  await prepare();
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  await op.logOut('crm', 'ada', JSON.parse(gate.command(['session', 'list', '--format', 'json']).out)[0].sid);
  assert.equal(await agent.me(gate), undefined);
});

// attack: key-fetch.invented-kids
test('a flood of invented kids is one fetch', async () => {
  await prepare();
  await gate.start();
  await until('keys are there', () => gate.log.includes('keys fetched'));
  op.hits = {};
  const genuine = await op.logoutToken('crm', 'ada');
  const claims = genuine.split('.')[1];
  const invented = (index) => `${Buffer.from(JSON.stringify({ alg: 'RS256', kid: `invented-${index}` })).toString('base64url')}.${claims}.${'A'.repeat(342)}`;
  const answers = await Promise.all(Array.from({ length: 500 }, async (_, index) => (await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: invented(index) }) })).status));
  assert.deepEqual([...new Set(answers)], [400]);
  assert.ok(op.hits['/jwks'] <= 1, `${op.hits['/jwks']} fetches`);
  assert.equal((await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: genuine }) })).status, 200);
});

test('the provider goes down: sessions and logouts go on, sign-in says so; it comes back', async () => {
  await prepare();
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const token = await op.logoutToken('crm', 'ada', 'another session');
  const begun = new Agent();
  const callback = await begun.walk(`${gate.url}/login/crm`, { as: 'grace', stopAt: `${gate.url}/callback` });
  op.down = true;
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.equal((await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) })).status, 200);
  const failed = await begun.request(callback.location);
  assert.equal(failed.status, 503);
  assert.match(failed.text, /fetch\.unreachable/);
  op.down = false;
  await nextSecond();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
});

test('the provider is down at the start: the server runs, says 503 to logouts, and recovers', async () => {
  await prepare();
  const token = await op.logoutToken('crm', 'ada');
  op.down = true;
  await gate.start();
  const failed = await new Agent().request(`${gate.url}/login/crm`);
  assert.equal(failed.status, 503);
  assert.match(failed.text, /cannot be reached/);
  const logout = () => fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  const refused = await logout();
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after'));
  const ready = await (await fetch(`${gate.url}/readyz`)).json();
  assert.equal(ready.store, true);
  assert.equal(ready.providers.crm.discovered, false);
  op.down = false;
  await until('the provider is found', async () => (await (await fetch(`${gate.url}/readyz`)).json()).providers.crm.keys > 0);
  assert.equal((await logout()).status, 200);
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'grace');
});

test('config check --online: what works, what does not, and what to register', async () => {
  await prepare();
  const online = () => gate.commandBeside(['config', 'check', '--online', gate.config]);
  const good = await online();
  assert.equal(good.code, 0, good.out);
  assert.match(good.out, /redirect URI: http:\/\/127\.0\.0\.1:\d+\/callback\/crm/);
  assert.match(good.out, /back-channel logout URI: .*\/api\/v1\/backchannelLogout/);
  assert.match(good.out, /ok {7}it knows the client and accepts how it proves itself/);
  const table = pair(op, gate, 'crm').provider;
  gate.write({ providers: [{ ...table, client_secret: 'not the secret that the provider knows', scopes: ['profile', 'no_such_scope'] }] });
  const wrong = await online();
  assert.equal(wrong.code, 1, wrong.out);
  assert.match(wrong.out, /PROBLEM {2}it refuses the client/);
  assert.match(wrong.out, /note {5}it does not list the scope no_such_scope/);
  assert.ok(!wrong.out.includes('not the secret'));
  gate.write({ providers: [table] });
  op.down = true;
  const down = await online();
  op.down = false;
  assert.equal(down.code, 1, down.out);
  assert.match(down.out, /PROBLEM {2}127\.0\.0\.1 cannot be reached/);
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  gate.write({ providers: [{ ...provider, issuer: `${op.issuer}/` }] });
  const slash = await online();
  assert.equal(slash.code, 1);
  assert.match(slash.out, /must be equal to the letter/);
});

test('SIGHUP: a new configuration without a dropped request, a bad one is not taken', async () => {
  await prepare();
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const { provider } = pair(op, gate, 'crm');
  const title = async () => /Sign in with ([^<]+)</.exec((await fetch(`${gate.url}/login`).then((page) => page.text())))[1];
  let going = true;
  let answered = 0;
  const traffic = (async () => { while (going) { assert.equal((await fetch(`${gate.url}/healthz`)).status, 200); answered += 1; } })();
  gate.write({ providers: [{ ...provider, title: 'The Company' }] });
  gate.process.kill('SIGHUP');
  await until('the new title', async () => (await title()) === 'The Company');
  gate.write({ providers: [{ ...provider, algorithms: ['RS257'] }] });
  gate.process.kill('SIGHUP');
  await until('the refusal', () => gate.logged('config.value').length === 1);
  going = false;
  await traffic;
  assert.ok(answered > 10);
  assert.equal(await title(), 'The Company');
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('a reload while the provider is down loses no keys', async () => {
  const token = await op.logoutToken('crm', 'ada');
  op.down = true;
  const { provider } = pair(op, gate, 'crm');
  gate.write({ providers: [{ ...provider, title: 'Still There' }] });
  gate.process.kill('SIGHUP');
  await until('the new title', async () => (await fetch(`${gate.url}/login`).then((page) => page.text())).includes('Still There'));
  const answer = await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  op.down = false;
  assert.equal(answer.status, 200);
});

test('SIGTERM finishes and stops with success', async () => {
  assert.deepEqual(await gate.stop('SIGTERM'), { code: 0, signal: null });
});
