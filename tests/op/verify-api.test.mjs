// Token verification for services: POST /api/v1/verify.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { VERIFY_SECRET, replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let bad;
let gate;
before(async () => { op = await OpenIdProvider.start(); bad = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); await bad?.stop(); });

async function serveMisbehaving(options) {
  gate = (await replace(gate, bad, options)).gate;
}

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

test('verification for services in any language', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const sent = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  const token = new URL(sent.location).searchParams.get('id_token_hint');
  const ask = async (form, headers = { authorization: `Bearer ${VERIFY_SECRET}` }) => { const answer = await gate.post('/api/v1/verify', form, { headers }); return { status: answer.status, body: await answer.json() }; };
  const good = await ask({ token });
  assert.equal(good.body.active, true);
  assert.equal(good.body.sub, 'ada');
  assert.equal(good.body.username, 'ada');
  assert.deepEqual(good.body.teams, ['Administrators', 'sales']);
  for (const bad of [`${token.slice(0, -4)}AAAA`, 'x', '', token.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url'))]) {
    assert.deepEqual(await ask({ token: bad }), { status: 200, body: { active: false } });
  }
  assert.equal((await ask({})).status, 400);
  const wrong = `${VERIFY_SECRET.slice(0, -1)}x`;
  assert.equal((await ask({ token }, {})).status, 401);
  assert.equal((await ask({ token }, { authorization: `Bearer ${wrong}` })).status, 401);
});

// finding: S8
test('without verify_secret no caller is answered', async () => {
  await serveMisbehaving({ server: { verify_secret: undefined } });
  for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: 'Bearer undefined' }]) {
    assert.equal((await gate.post('/api/v1/verify', { token: bad.idToken() }, { headers })).status, 401);
  }
});

const active = async (claims = {}, header = {}) => {
  bad.overrides.claims = claims;
  bad.overrides.header = header;
  return (await gate.verify(bad.idToken())).active;
};
const now = () => Math.floor(Date.now() / 1000);

// finding: S8, O-F5
// finding: N1
test('a token is inactive once its session is logged out', async () => {
  await serveMisbehaving();
  await gate.keysFetched();
  const iat = now();
  bad.overrides.claims = { sid: 'A', iat };
  const token = bad.idToken();
  for (let round = 0; round < 2; round += 1) assert.equal((await gate.verify(token)).active, true, 'the second time from the cache');
  const others = [{ sid: 'B', iat }, { sub: 's2', sid: 'A2', iat }].map((claims) => { bad.overrides.claims = claims; return bad.idToken(); });
  assert.equal((await gate.logOut(bad.logoutToken({ sid: 'A', iat }))).status, 200);
  assert.deepEqual(await gate.verify(token), { active: false });
  for (const other of others) assert.equal((await gate.verify(other)).active, true);
  assert.equal(await active({ iat }), false, 'a token without sid, by its subject');
  // By sub alone: every token of the subject that is no newer.
  assert.equal((await gate.logOut(bad.logoutToken({ sub: 's2', iat }))).status, 200);
  assert.deepEqual(await gate.verify(others[1]), { active: false });
  assert.equal(await active({ sub: 's2', sid: 'A3', iat: iat + 1 }), true, 'issued after the logout');
  const levels = gate.logged('verify.logged_out').map((line) => JSON.parse(line).level);
  assert.deepEqual(levels.sort(), ['DEBUG', 'DEBUG', 'DEBUG', 'INFO'], 'each at debug, and one line of their count');
  await gate.stop();
  await gate.start();
  await gate.keysFetched();
  assert.deepEqual(await gate.verify(token), { active: false }, 'after a restart');
});

// finding: S8
test('a logout is remembered for as long as a token can live', async () => {
  const { set, env } = clock();
  await serveMisbehaving({ start: { env } });
  await gate.keysFetched();
  const iat = now();
  const exp = iat + 3 * 24 * 3600;
  bad.overrides.claims = { sid: 'A', iat, exp };
  const token = bad.idToken();
  bad.overrides.claims = { sid: 'B', iat, exp };
  const other = bad.idToken();
  assert.equal((await gate.logOut(bad.logoutToken({ sid: 'A', iat }))).status, 200);
  assert.ok(rememberedUntil() >= iat + 24 * 3600 + 60, 'and the leeway');
  set('+23h');
  await gate.stop();
  await gate.start({ env });
  await until('keys', async () => (await gate.verify(other)).active === true);
  assert.deepEqual(await gate.verify(token), { active: false });
  set('+25h');
  assert.deepEqual(await gate.verify(token), { active: false }, 'too old');
  assert.deepEqual(await gate.verify(other), { active: false }, 'too old');
});

// finding: S8
test('where no token is verified, a logout is remembered for a sign-in under way alone', async () => {
  await serveMisbehaving({ server: { verify_secret: undefined } });
  assert.equal((await gate.logOut(bad.logoutToken())).status, 200);
  assert.ok(rememberedUntil() < now() + 3600);
});

/** When the record of the last logout ends, in seconds since 1970. */
function rememberedUntil() {
  const script = 'import sqlite3, sys\nprint(sqlite3.connect(sys.argv[1]).execute("SELECT max(until) FROM logout_batch").fetchone()[0])';
  return Number(spawnSync('python3', ['-c', script, `${gate.folder}/claimgate.db`], { encoding: 'utf8' }).stdout);
}

// finding: S8, O-F5
test('a token of a user who is switched off is inactive', async () => {
  await serveMisbehaving();
  assert.equal((await new Agent().walk(`${gate.url}/login/bad`)).status, 200);
  assert.equal(await active(), true);
  assert.equal(gate.command(['user', 'deactivate', 'ada']).code, 0);
  await until('the server follows', async () => await active() === false);
  assert.equal(await active({ sub: 'nobody here' }), true, 'a person without a user is judged by the token');
  assert.equal(gate.command(['user', 'activate', 'ada']).code, 0);
  await until('the server follows', async () => await active() === true);
});

// finding: S24
test('a logout token is no bearer token, whatever the kind', async () => {
  for (const kind of ['jwt', 'id_token', 'access_token']) {
    await serveMisbehaving({ provider: { verify: { kind } } });
    await gate.keysFetched();
    assert.deepEqual(await gate.verify(bad.logoutToken()), { active: false });
    assert.deepEqual(await gate.verify(bad.logoutToken({}, { typ: 'JWT' })), { active: false });
    assert.equal(await active({}, { typ: kind === 'access_token' ? 'at+jwt' : 'JWT' }), true);
  }
});

// finding: F2
test('a token by a key that cannot be fetched is neither active nor inactive', async () => {
  await serveMisbehaving({ overrides: { jwks: (response) => response.writeHead(503).end() } });
  const answer = await gate.post('/api/v1/verify', { token: bad.idToken() });
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get('retry-after'));
});
