// The provider's keys: rotation, unknown key ids, outages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { nextSecond, replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { claimsOf, forge } from './jose.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
let bad;
before(async () => { op = await OpenIdProvider.start(); bad = await MisbehavingProvider.start(); });
after(async () => { await gate.close(); await op.stop(); await bad.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

async function serveMisbehaving(options) {
  gate = (await replace(gate, bad, options)).gate;
}

test('rotation: the first token by a new key fetches it', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  op.requests = {};
  await new Agent().signIn(gate, 'crm', 'ada');
  assert.equal(op.requests['/jwks'], 1);
});

test('rotation: the first token by a new key may be a logout token', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  op.rotateKeys();
  await op.logOut('crm', 'ada', gate.sessions()[0].sid);
  assert.equal(await agent.me(gate), undefined);
});

test('the provider goes down: sessions and logouts go on, sign-in is answered 503, until it is back', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const token = await op.logoutToken('crm', 'ada', 'another session');
  const begun = new Agent();
  const callback = await begun.walk(`${gate.url}/login/crm`, { as: 'grace', stopAt: `${gate.url}/callback` });
  op.down = true;
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.equal((await gate.logOut(token)).status, 200);
  const failed = await begun.request(callback.location);
  assert.equal(failed.status, 503);
  assert.match(failed.text, /fetch\.unreachable/);
  op.down = false;
  await nextSecond();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
});

test('the provider is down at the start: the server runs, answers logouts 503, and recovers', async () => {
  await serve({ start: false });
  const token = await op.logoutToken('crm', 'ada');
  op.down = true;
  await gate.start();
  const failed = await new Agent().request(`${gate.url}/login/crm`);
  assert.equal(failed.status, 503);
  assert.match(failed.text, /cannot be reached/);
  const refused = await gate.logOut(token);
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after'));
  const ready = await (await fetch(`${gate.url}/readyz`)).json();
  assert.equal(ready.store, true);
  assert.equal(ready.providers.crm.discovered, false);
  op.down = false;
  await until('the provider is found', async () => (await (await fetch(`${gate.url}/readyz`)).json()).providers.crm.keys > 0);
  assert.equal((await gate.logOut(token)).status, 200);
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'grace');
});

test('an unstable provider: logouts by known keys are not affected', async () => {
  await serve();
  await gate.keysFetched();
  const statuses = [];
  for (let round = 0; round < 10; round += 1) {
    op.down = round % 2 === 0;
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => op.logoutToken('crm', 'nobody', `${round}-${index}`)));
    // A token by an unknown key causes a fetch, which fails in every second round.
    const unknown = forge({ alg: 'RS256', kid: `gone-${round}` }, claimsOf(tokens[0]));
    const answers = await Promise.all([unknown, ...tokens].map((token) => gate.logOut(token)));
    assert.equal(answers[0].status, 400);
    statuses.push(...answers.slice(1).map((answer) => answer.status));
  }
  op.down = false;
  assert.equal(statuses.length, 200);
  assert.deepEqual([...new Set(statuses)], [200]);
});

test('a reload while the provider is down loses no keys', async () => {
  const provider = await serve();
  await gate.keysFetched();
  const token = await op.logoutToken('crm', 'ada');
  op.down = true;
  gate.write({ providers: [{ ...provider, display_name: 'Still There' }] });
  gate.process.kill('SIGHUP');
  await until('the new title', async () => (await fetch(`${gate.url}/login`).then((page) => page.text())).includes('Still There'));
  const answer = await gate.logOut(token);
  op.down = false;
  assert.equal(answer.status, 200);
});

// attack: key-fetch.invented-kids
test('10,000 invented kids at once are one fetch per cool-down, and delay no good token', async () => {
  await serveMisbehaving();
  await gate.keysFetched();
  bad.requests = {};
  const claims = claimsOf(bad.logoutToken());
  const begun = Date.now();
  let number = 0;
  const answers = new Set();
  const worker = async () => {
    while (number < 10_000) {
      number += 1;
      const answer = await gate.logOut(forge({ alg: 'RS256', kid: `invented-${number}` }, claims));
      await answer.arrayBuffer();
      answers.add(answer.status);
    }
  };
  const flood = Promise.all(Array.from({ length: 24 }, worker));
  await until('the flood runs', () => number > 100);
  assert.equal((await gate.logOut(bad.logoutToken())).status, 200);
  await flood;
  assert.deepEqual([...answers], [400]);
  const seconds = (Date.now() - begun) / 1000;
  assert.ok((bad.requests['/jwks'] ?? 0) <= 1 + Math.floor(seconds / 30), `${bad.requests['/jwks']} fetches in ${seconds} s`);
});

// attack: key-fetch.out-of-date
test('keys of a provider that has been gone for longer than the grace are used no more, nor after a reload', async () => {
  const { set, env } = clock();
  await serveMisbehaving({ start: { env } });
  await gate.keysFetched();
  const later = Math.floor(Date.now() / 1000) + 26 * 3600;
  const logout = async (header) => (await gate.logOut(bad.logoutToken({ iat: later, exp: later + 600 }, header))).status;
  set('+26h');
  assert.equal(await logout(), 200, 'until a fetch has failed they are used');
  bad.overrides = { jwks: (response) => response.destroy() };
  await logout({ kid: 'unknown' });
  assert.ok(gate.log.includes('the last good keys are too old'), gate.log);
  assert.equal(await logout(), 503);
  await gate.reload();
  const answers = [];
  for (let index = 0; index < 20; index += 1) answers.push(await logout());
  assert.deepEqual([...new Set(answers)], [503]);
});
