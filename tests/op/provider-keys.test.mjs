// The provider's keys: rotation, unknown key ids, outages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, Claimgate, nextSecond, pair, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { BadOp, json } from './misbehaving-provider.mjs';
import { Op } from './provider.mjs';

let op;
let gate;
let bad;
before(async () => { op = await Op.start(); bad = await BadOp.start(); });
after(async () => { await gate.close(); await op.stop(); await bad.stop(); });

async function serve(rest = {}, settings = {}) {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm', settings);
  op.configure([client]);
  await gate.write({ providers: [provider], ...rest }).start();
  return provider;
}

async function serveMisbehaving(start = {}) {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  bad.wrong = {};
  bad.calls = {};
  await gate.write({ providers: [pair(bad, gate, 'bad').provider] }).start(start);
}

const post = (form) => fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams(form) });

test('rotation: the first token by a new key fetches it', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  op.hits = {};
  await new Agent().signIn(gate, 'crm', 'ada');
  assert.equal(op.hits['/jwks'], 1);
});

test('rotation: the first token by a new key may be a logout token', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  await op.logOut('crm', 'ada', JSON.parse(gate.command(['session', 'list', '--format', 'json']).out)[0].sid);
  assert.equal(await agent.me(gate), undefined);
});

// attack: key-fetch.invented-kids
test('a flood of invented kids is one fetch', async () => {
  await serve();
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
  await serve();
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
  await serve();
  await gate.stop();
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

test('keys that come and go: logouts by known keys never notice', async () => {
  await serve();
  await until('keys are there', () => gate.log.includes('keys fetched'));
  const statuses = [];
  for (let round = 0; round < 10; round += 1) {
    op.down = round % 2 === 0;
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => op.logoutToken('crm', 'nobody', `${round}-${index}`)));
    // One by an unknown key asks for keys, in vain every other time.
    const unknown = tokens[0].replace(/^[^.]+/, Buffer.from(JSON.stringify({ alg: 'RS256', kid: `gone-${round}` })).toString('base64url'));
    const answers = await Promise.all([unknown, ...tokens].map((logout_token) => post({ logout_token })));
    assert.equal(answers[0].status, 400);
    statuses.push(...answers.slice(1).map((answer) => answer.status));
  }
  op.down = false;
  assert.equal(statuses.length, 200);
  assert.deepEqual([...new Set(statuses)], [200]);
});

test('a reload while the provider is down loses no keys', async () => {
  const provider = await serve();
  await until('keys are there', () => gate.log.includes('keys fetched'));
  const token = await op.logoutToken('crm', 'ada');
  op.down = true;
  gate.write({ providers: [{ ...provider, title: 'Still There' }] });
  gate.process.kill('SIGHUP');
  await until('the new title', async () => (await fetch(`${gate.url}/login`).then((page) => page.text())).includes('Still There'));
  const answer = await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  op.down = false;
  assert.equal(answer.status, 200);
});

// attack: key-fetch.invented-kids
test('10,000 invented kids at once are one fetch per cool-down, and hold up no good token', async () => {
  await serveMisbehaving();
  await until('keys are there', () => gate.log.includes('keys fetched'));
  bad.calls = {};
  const [, claims] = bad.logoutToken().split('.');
  const begun = Date.now();
  let number = 0;
  const answers = new Set();
  const worker = async () => {
    while (number < 10_000) {
      number += 1;
      const token = `${json({ alg: 'RS256', kid: `invented-${number}` })}.${claims}.${'A'.repeat(342)}`;
      const answer = await post({ logout_token: token });
      await answer.arrayBuffer();
      answers.add(answer.status);
    }
  };
  const flood = Promise.all(Array.from({ length: 24 }, worker));
  await until('the flood runs', () => number > 500);
  assert.equal((await post({ logout_token: bad.logoutToken() })).status, 200);
  await flood;
  assert.deepEqual([...answers], [400]);
  const seconds = (Date.now() - begun) / 1000;
  assert.ok((bad.calls['/jwks'] ?? 0) <= 1 + Math.floor(seconds / 30), `${bad.calls['/jwks']} fetches in ${seconds} s`);
});

// attack: key-fetch.out-of-date
test('keys of a provider that has been gone for longer than the grace are used no more, nor after a reload', async () => {
  const { set, env } = clock();
  await serveMisbehaving({ env });
  await until('the keys are there', () => gate.log.includes('keys fetched'));
  const later = Math.floor(Date.now() / 1000) + 26 * 3600;
  const logout = async (header) => (await post({ logout_token: bad.logoutToken({ iat: later, exp: later + 600 }, header) })).status;
  set('+26h');
  assert.equal(await logout(), 200, 'until a fetch has failed they are used');
  bad.wrong = { jwks: (response) => response.destroy() };
  await logout({ kid: 'unknown' });
  assert.ok(gate.log.includes('the last good keys are too old'), gate.log);
  assert.equal(await logout(), 503);
  gate.process.kill('SIGHUP');
  await until('it is reloaded', () => gate.log.includes('configuration reloaded'));
  const answers = [];
  for (let index = 0; index < 20; index += 1) answers.push(await logout());
  assert.deepEqual([...new Set(answers)], [503]);
});
