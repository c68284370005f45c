// The provider's keys: rotation, unknown key ids, outages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { nextSecond, replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { claimsOf, forge, rsaKey } from './jose.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
let bad;
before(async () => { op = await OpenIdProvider.start(); bad = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); await bad?.stop(); });

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
    assert.equal(answers[0].status, 503, 'it may be by a key that is not known yet');
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
  await until('the new title', async () => (await fetch(`${gate.url}/login/password`).then((page) => page.text())).includes('Still There'));
  const answer = await gate.logOut(token);
  op.down = false;
  assert.equal(answer.status, 200);
});

// attack: key-fetch.invented-kids
test('10,000 invented kids at once are one fetch per cool-down, and delay no good token', async () => {
  // From a thousand addresses: one whose requests are refused again and again waits for each further answer.
  await serveMisbehaving({ server: { trusted_proxies: ['127.0.0.1'] } });
  await gate.keysFetched();
  bad.requests = {};
  const claims = claimsOf(bad.logoutToken());
  const begun = Date.now();
  let number = 0;
  const answers = new Set();
  const worker = async () => {
    while (number < 10_000) {
      number += 1;
      const body = new URLSearchParams({ logout_token: forge({ alg: 'RS256', kid: `invented-${number}` }, claims) });
      const client = `10.0.${number % 4}.${(number >> 2) % 250}`;
      const answer = await gate.post('/backchannel-logout', body, { headers: { 'x-forwarded-for': client } });
      await answer.arrayBuffer();
      answers.add(answer.status);
    }
  };
  const flood = Promise.all(Array.from({ length: 24 }, worker));
  await until('the flood runs', () => number > 100);
  assert.equal((await gate.logOut(bad.logoutToken())).status, 200);
  await flood;
  // Those for which keys were fetched are refused; the others cannot be judged within the cool-down.
  assert.ok([...answers].every((status) => [400, 503].includes(status)), [...answers].join());
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

const nameless = (key) => ({ ...key.jwk, kid: undefined });
const signIn = () => new Agent().walk(`${gate.url}/login/bad`);

// finding: S12, F1
test('rotation without kid: one fetch, then sign-ins and logouts go on', () => rotate(nameless, undefined));

// finding: F1
test('rotation under the same kid: one fetch, then sign-ins and logouts go on', () => rotate((key) => ({ ...key.jwk, kid: 'one' }), 'one'));

async function rotate(jwk, kid) {
  await serveMisbehaving({ overrides: { keys: () => [jwk(bad.key)], header: { kid } } });
  assert.equal((await signIn()).status, 200);
  bad.overrides = { keys: () => [jwk(bad.other)], header: { kid }, signer: () => bad.other };
  bad.requests = {};
  assert.equal((await gate.logOut(bad.logoutToken({ sub: 'nobody' }, { kid }, bad.other))).status, 200);
  assert.equal((await signIn()).status, 200);
  assert.equal(bad.requests['/jwks'], 1);
  // Its signature is by no known key, and the keys have just changed: they may have changed again.
  assert.equal((await gate.logOut(bad.logoutToken({}, { kid }, bad.key))).status, 503, 'the withdrawn key');
  assert.equal(bad.requests['/jwks'], 1, 'one fetch per cool-down');
}

test('a second rotation within the cool-down: a logout is answered 503 until the keys are fetched, and is not lost', async () => {
  const { set, env } = clock();
  const named = (key) => ({ ...key.jwk, kid: 'one' });
  const header = { kid: 'one' };
  await serveMisbehaving({ start: { env }, overrides: { keys: () => [named(bad.key)] } });
  await gate.keysFetched();
  bad.overrides = { keys: () => [named(bad.other)] };
  assert.equal((await gate.logOut(bad.logoutToken({ sub: 'nobody' }, header, bad.other))).status, 200);
  const third = rsaKey('one');
  bad.overrides = { keys: () => [third.jwk] };
  const token = bad.logoutToken({ sub: 'nobody' }, header, third);
  assert.equal((await gate.logOut(token)).status, 503);
  set('+31s');
  assert.equal((await gate.logOut(token)).status, 200);
});

test('a signature that the keys fetched for it do not verify is refused, and so are those after it', async () => {
  await serveMisbehaving();
  await gate.keysFetched();
  bad.requests = {};
  for (let round = 0; round < 3; round += 1) {
    assert.equal((await gate.logOut(bad.logoutToken({}, {}, bad.other))).status, 400);
  }
  assert.equal(bad.requests['/jwks'], 1);
});

// finding: S12
test('rotation without kid: the first token by the new key may be an ID token', async () => {
  await serveMisbehaving({ overrides: { keys: () => [nameless(bad.key)] } });
  assert.equal((await signIn()).status, 200);
  bad.overrides = { keys: () => [nameless(bad.other)], signer: () => bad.other };
  assert.equal((await signIn()).status, 200);
});

// finding: S16
test('a withdrawn key is gone after a reload', async () => {
  await serveMisbehaving({ overrides: { keys: () => [bad.key.jwk, bad.other.jwk] } });
  assert.equal((await signIn()).status, 200);
  bad.overrides = { keys: () => [bad.other.jwk] };
  assert.equal((await signIn()).status, 200, 'until the keys are fetched anew');
  await gate.reload();
  await gate.keysFetched();
  const refused = await signIn();
  assert.equal(refused.status, 403);
  assert.match(refused.text, /sign_in\.token/);
  assert.equal((await gate.logOut(bad.logoutToken())).status, 503, 'until the cool-down is over');
});

// finding: F2
test('a token by an unknown key while the key set cannot be fetched is answered 503', async () => {
  await serveMisbehaving();
  assert.equal((await signIn()).status, 200);
  bad.overrides = { jwks: (response) => response.writeHead(503).end(), header: { kid: 'two' }, signer: () => bad.other };
  for (let round = 0; round < 2; round += 1) {
    const answer = await gate.logOut(bad.logoutToken({}, { kid: 'two' }, bad.other));
    assert.equal(answer.status, 503);
    assert.ok(answer.headers.get('retry-after'));
    assert.equal((await answer.json()).error, 'provider.no_keys');
    const page = await signIn();
    assert.equal(page.status, 503);
    assert.match(page.text, /Provider unavailable/);
  }
  // Neither can a signature by a key of the same name be judged.
  assert.equal((await gate.logOut(bad.logoutToken({}, {}, bad.other))).status, 503);
  assert.equal((await gate.logOut(bad.logoutToken())).status, 200, 'known keys serve');
});

// finding: F2
test('a token that arrives before its key is published is answered 503 until it can be judged', async () => {
  await serveMisbehaving();
  await gate.keysFetched();
  const early = (jti) => gate.logOut(bad.logoutToken({ jti }, { kid: 'two' }, bad.other));
  assert.equal((await early('first')).status, 400, 'judged by keys that were fetched for it');
  bad.overrides = { keys: () => [bad.key.jwk, bad.other.jwk], header: { kid: 'two' }, signer: () => bad.other };
  assert.equal((await early('second')).status, 503);
  assert.equal((await signIn()).status, 503);
});

// finding: F2
test('the client secret is no key for a token by RS256', async () => {
  await serveMisbehaving({ provider: { algorithms: ['RS256', 'HS256'] }, overrides: { jwks: (response) => response.writeHead(503).end() } });
  assert.equal((await gate.logOut(bad.logoutToken())).status, 503);
  const secret = await gate.logOut(forge({ alg: 'HS256' }, claimsOf(bad.logoutToken())));
  assert.equal(secret.status, 400, 'the secret is known, and the signature is wrong');
});

// finding: F2
test('the first fetch spends no cool-down', async () => {
  await serveMisbehaving({ start: false });
  const release = bad.hold('/jwks');
  await gate.start();
  await until('the first fetch is under way', () => bad.requests['/jwks'] === 1);
  const signedIn = signIn();
  const waits = gate.logOut(bad.logoutToken({ sub: 'nobody' }));
  release();
  assert.equal((await signedIn).status, 200);
  assert.equal((await waits).status, 200);
  bad.overrides = { keys: () => [bad.other.jwk], header: { kid: 'two' }, signer: () => bad.other };
  assert.equal((await gate.logOut(bad.logoutToken({}, { kid: 'two' }, bad.other))).status, 200);
  assert.equal(bad.requests['/jwks'], 2);
});

// finding: F6
test('without usable keys the browser is told that the provider is unavailable', async () => {
  await serveMisbehaving({ overrides: { jwks: (_response, send) => send('no keys here') } });
  const page = await signIn();
  assert.equal(page.status, 503);
  assert.match(page.text, /Provider unavailable/);
});

// finding: F6
test('the log says which member of a key is wrong, when the keys are fetched and at the refusal', async () => {
  const unusable = () => ({ ...bad.key.jwk, key_ops: 1 });
  await serveMisbehaving({ start: { logLevel: 'info' }, overrides: { keys: () => [unusable()] } });
  await until('a warning', () => gate.log.includes('no usable key, or fewer than before'));
  assert.match(gate.log, /"level":"WARN"[^\n]*key_ops/);
  gate.forgetLog();
  assert.equal((await signIn()).status, 503);
  assert.match(gate.log, /"code":"provider\.no_keys"[^\n]*key_ops/);
  const keys = () => [{ ...unusable(), kid: 'two' }, bad.key.jwk];
  await serveMisbehaving({ start: { logLevel: 'info' }, overrides: { keys, header: { kid: 'two' } } });
  await gate.keysFetched();
  gate.forgetLog();
  assert.equal((await signIn()).status, 403);
  assert.match(gate.log, /"code":"key\.member"[^\n]*key_ops/);
});

test('a key set without a usable key replaces no good keys: they serve through the grace', async () => {
  const { set, env } = clock();
  await serveMisbehaving({ start: { env } });
  await gate.keysFetched();
  for (const keys of [[], [{ ...bad.key.jwk, use: 'enc' }], [{ ...bad.key.jwk, key_ops: 1 }]]) {
    bad.overrides = { keys: () => keys };
    gate.forgetLog();
    await gate.reload();
    await until('the refusal in the log', () => gate.log.includes('"code":"key.none_usable"'));
    assert.equal((await signIn()).status, 200, JSON.stringify(keys));
    const { providers } = await (await fetch(`${gate.url}/readyz`)).json();
    assert.equal(Object.values(providers)[0].keys, 1);
  }
  set('+26h');
  const later = Math.floor(Date.now() / 1000) + 26 * 3600;
  const logout = async (header) => (await gate.logOut(bad.logoutToken({ iat: later, exp: later + 600 }, header))).status;
  await logout({ kid: 'unknown' });
  await until('the end of the grace', () => gate.log.includes('the last good keys are too old'));
  assert.equal(await logout(), 503);
});

// finding: D6
test('published secret keys are warned of at each fetch', async () => {
  const secret = { kty: 'oct', kid: 'shared', k: 'c2VjcmV0LXRoYXQtaXMtbG9uZy1lbm91Z2gtZm9yLUhTMjU2' };
  const exposed = () => ({ ...bad.key.privateKey.export({ format: 'jwk' }), kid: 'one' });
  await serveMisbehaving({ overrides: { keys: () => [exposed(), secret] } });
  await gate.keysFetched();
  assert.match(gate.log, /"level":"WARN"[^\n]*publishes secret keys/);
  assert.equal((await signIn()).status, 200, 'the public half serves');
  await gate.reload();
  await gate.keysFetched();
  assert.match(gate.log, /publishes secret keys/);
  assert.ok(!gate.log.includes(exposed().d) && !gate.log.includes(secret.k));
});

// finding: S10
test('a logout token without kid where several named keys fit costs no check of a signature, and no fetch', async () => {
  await serveMisbehaving({ overrides: { keys: () => [bad.key.jwk, bad.other.jwk], header: { kid: undefined } } });
  await gate.keysFetched();
  assert.equal((await gate.logOut(bad.logoutToken({}, { kid: undefined }))).status, 400);
  assert.equal(gate.logged('key.kid_required').length, 1);
  assert.equal(bad.requests['/jwks'], 1);
  assert.equal((await signIn()).status, 200, 'an ID token from the token endpoint is tried with each');
});

// finding: S22
test('a client that hangs up neither wastes a fetch nor causes another', async () => {
  await serveMisbehaving();
  await gate.keysFetched();
  bad.overrides = { keys: () => [bad.other.jwk], header: { kid: 'two' }, signer: () => bad.other };
  bad.requests = {};
  const release = bad.hold('/jwks');
  const gone = new AbortController();
  const hangsUp = gate.post('/backchannel-logout', { logout_token: bad.logoutToken({}, { kid: 'two' }, bad.other) }, { signal: gone.signal });
  await until('the fetch is under way', () => bad.requests['/jwks'] === 1);
  gone.abort();
  await assert.rejects(hangsUp);
  gate.forgetLog();
  release();
  await gate.keysFetched();
  assert.equal((await gate.logOut(bad.logoutToken({}, { kid: 'two' }, bad.other))).status, 200);
  assert.equal(bad.requests['/jwks'], 1);
});

// finding: S22
test('a provider that hangs at the start costs one attempt, those beyond the bound no wait, and existing sessions nothing', async () => {
  await serveMisbehaving({ start: false, server: { trusted_proxies: ['127.0.0.1'] } });
  const discovery = '/.well-known/openid-configuration';
  const release = bad.hold(discovery);
  await gate.start();
  await until('the first attempt is under way', () => bad.requests[discovery] === 1);
  let answered = 0;
  const statuses = new Set();
  const signIn = async (client) => {
    const answer = await fetch(`${gate.url}/login/bad`, { redirect: 'manual', headers: { 'x-forwarded-for': client } });
    await answer.arrayBuffer();
    answered += 1;
    statuses.add(answer.status);
  };
  const waiting = Array.from({ length: 20 }, () => signIn('192.0.2.1'));
  await until('those beyond the share of one address are answered', () => answered >= 20 - 16);
  for (let index = 0; index < 9 * 16; index += 1) waiting.push(signIn(`192.0.2.${2 + (index % 9)}`));
  await until('those beyond the bound are answered', () => answered >= waiting.length - 128);
  assert.equal(answered, waiting.length - 128);
  assert.equal((await fetch(`${gate.url}/auth`)).status, 401);
  assert.equal((await fetch(`${gate.url}/healthz`)).status, 200);
  // The attempt ends by its time limit; all that waited are answered by its result.
  await Promise.all(waiting);
  assert.deepEqual([...statuses], [503]);
  assert.ok(bad.requests[discovery] <= 2, `${bad.requests[discovery]} attempts`);
  release();
});
