// Back-channel logout: by sid and by sub, refused requests, replays, logouts that overtake a sign-in, and
// many logouts at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, exchangeBytes } from './agent.mjs';
import { nextSecond, replace, until } from './claimgate.mjs';
import { LOGOUT_EVENT, MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

const PATHS = ['/api/v1/backchannelLogout', '/api/v1/Oidc/backchannelLogout', '/backchannel-logout'];

let op;
let bad;
let gate;
before(async () => { op = await OpenIdProvider.start(); bad = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); await bad?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

test('by sid: that session and no other', async () => {
  await serve();
  const [one, other] = [new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  const { sid } = gate.sessions()[0];
  assert.ok(sid);
  await other.signIn(gate, 'crm', 'ada');
  await op.logOut('crm', 'ada', sid);
  assert.equal(await one.me(gate), undefined);
  assert.equal((await other.me(gate)).username, 'ada');
});

test('by sub, for a client without sid: every session of that subject, no other subject’s', async () => {
  await serve({ client: { backchannel_logout_session_required: false } });
  const [one, other, grace] = [new Agent(), new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  await other.signIn(gate, 'crm', 'ada');
  await grace.signIn(gate, 'crm', 'grace');
  assert.deepEqual(gate.sessions().map((session) => session.sid), [null, null, null]);
  await op.logOut('crm', 'ada');
  assert.equal(await one.me(gate), undefined);
  assert.equal(await other.me(gate), undefined);
  assert.equal((await grace.me(gate)).username, 'grace');
});

test('by sub alone, where sessions have a sid', async () => {
  await serve();
  const [one, other] = [new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  await other.signIn(gate, 'crm', 'ada');
  const answer = await gate.logOut(await op.logoutToken('crm', 'ada'));
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(await one.me(gate), undefined);
  assert.equal(await other.me(gate), undefined);
});

test('pairwise subjects are logged out by their own name', async () => {
  await serve({ client: { subject_type: 'pairwise', backchannel_logout_session_required: false } });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  await op.logOut('crm', 'ada');
  assert.equal(await agent.me(gate), undefined);
});

test('each path takes logout tokens; one for an unknown subject is answered 200 too', async () => {
  await serve();
  for (const path of PATHS) {
    assert.equal((await gate.post(path, { logout_token: await op.logoutToken('crm', 'nobody') })).status, 200, path);
  }
});

// attack: back-channel.no-events, back-channel.events-of-a-wrong-type, back-channel.nonce, back-channel.nobody
// attack: back-channel.wrong-audience, back-channel.replayed, back-channel.get, back-channel.json-body
// attack: back-channel.two-fields, back-channel.large-body, back-channel.slow-body, typ.id-token-as-logout-token
// attack: typ.access-token-as-either
test('a request that is no logout request ends no session, and its answer is not stored', async () => {
  gate = (await replace(gate, bad)).gate;
  await nextSecond();
  const agent = new Agent();
  await agent.signIn(gate, 'bad');
  const good = () => bad.logoutToken();
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const refused = (claims, header) => [{ logout_token: bad.logoutToken(claims, header) }, 400];
  const used = bad.logoutToken({ sub: 'another' });
  assert.equal((await gate.post(PATHS[0], { logout_token: used })).status, 200);
  const cases = [
    ...[undefined, null, {}, [], [LOGOUT_EVENT], LOGOUT_EVENT, true, 7, { [LOGOUT_EVENT]: null }, { [LOGOUT_EVENT]: [] }, { [LOGOUT_EVENT]: 'x' }, { [LOGOUT_EVENT]: true }, { [`${LOGOUT_EVENT}/`]: {} }, { [LOGOUT_EVENT.toUpperCase()]: {} }].map((events) => refused({ events })),
    ...['n', '', null, 7].map((nonce) => refused({ nonce })),
    ...[{ sub: undefined }, { sub: '' }, { sub: null }, { sub: 7 }, { sub: ['s1'] }, { sub: undefined, sid: '' }, { sub: undefined, sid: 7 }, { sid: null }].map((claims) => refused(claims)),
    ...['other', 'BAD', 'bad ', [], [7], '', null, undefined, ['other', 'x'], { bad: 1 }].map((aud) => refused({ aud })),
    ...['at+jwt', 'application/at+jwt', 'dpop+jwt', ''].map((typ) => refused({}, { typ })),
    ...[undefined, '', 7, null].map((jti) => refused({ jti })),
    [{ logout_token: used }, 400],
    [{ logout_token: bad.idToken() }, 400], [{ logout_token: `${good()}x` }, 400], [{ logout_token: 'not.a.token' }, 400],
    [{}, 400], [{ logout_token: '' }, 400], [{ LOGOUT_TOKEN: good() }, 400], [{ 'logout_token[]': good() }, 400],
    [[['logout_token', good()], ['logout_token', good()]], 400], [[['logout_token', ''], ['logout_token', good()]], 400],
    [JSON.stringify({ logout_token: good() }), 400, { 'content-type': 'application/json' }],
    [good(), 400, { 'content-type': 'application/logout+jwt' }], [`logout_token=${good()}`, 400, { 'content-type': 'text/plain' }],
    [`logout_token=${good()}`, 400, { 'content-type': '' }], [`logout_token=${good()}`, 400, { 'content-type': 'multipart/form-data; boundary=x' }],
    [{ logout_token: 'x'.repeat(10 * 1024 * 1024) }, 413], [`x=${'y'.repeat(300_000)}&logout_token=${good()}`, 413, form],
  ];
  // The server waits ten seconds for a body.
  const slow = exchangeBytes(gate, `POST ${PATHS[0]} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 5000\r\n\r\nlogout_token=${good()}`);
  for (const [body, status, headers] of cases) {
    for (const path of PATHS) {
      const what = JSON.stringify(body).slice(0, 200);
      const text = typeof body === 'string' ? body : new URLSearchParams(body);
      // A server that refuses a large body closes the connection before all of it is sent.
      const answer = await fetch(`${gate.url}${path}`, { method: 'POST', body: text, headers }).catch(() => undefined);
      if (!answer) { assert.equal(status, 413, what); continue; }
      assert.equal(answer.status, status, `${path} ${what}`);
      assert.equal(answer.headers.get('cache-control'), 'no-store', what);
      if (status === 400) assert.equal((await answer.json()).error, 'invalid_request', what);
    }
  }
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await fetch(`${gate.url}${PATHS[0]}?logout_token=${good()}`, { method });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
  }
  const answered = await slow;
  assert.match(answered, /^HTTP\/1\.1 408 /);
  assert.match(answered, /cache-control: no-store/i);
  assert.equal((await agent.me(gate))?.username, 'ada', 'a session was ended');
  // A good logout token is accepted.
  assert.equal((await gate.post(PATHS[0], { logout_token: good() })).status, 200);
  assert.equal(await agent.me(gate), undefined);
});

// attack: back-channel.replayed
test('a replayed token is refused, and ends no newer session', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const token = await op.logoutToken('crm', 'ada');
  assert.equal((await gate.logOut(token)).status, 200);
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal((await gate.logOut(token)).status, 400);
  assert.equal(gate.logged('backchannel.replayed').length, 1);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('a token that was held back ends no newer session either', async () => {
  await serve({ provider: { leeway: '0s' } });
  const agent = new Agent();
  const old = await op.logoutToken('crm', 'ada');
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal((await gate.logOut(old)).status, 200);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('a logout that overtakes a sign-in wins', async () => {
  await serve();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  assert.equal((await gate.logOut(await op.logoutToken('crm', 'ada'))).status, 200);
  // Even where the code is exchanged, and the ID token issued, after the logout.
  await nextSecond();
  const landed = await agent.request(callback.location);
  assert.equal(landed.status, 403);
  assert.match(landed.text, /sign_in\.logged_out/);
  assert.equal(await agent.me(gate), undefined);
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('signing out at the provider ends the session here, by its own back-channel call', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const asked = await agent.request(`${op.issuer}/session/end`);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(asked.text)[1];
  await agent.request(/action="([^"]+)"/.exec(asked.text)[1], { method: 'POST', form: { xsrf, logout: 'yes' } });
  assert.equal(await agent.me(gate), undefined);
});

test('1,000 logouts at once', async () => {
  await serve();
  const agents = [];
  for (let index = 0; index < 20; index += 1) {
    const agent = new Agent();
    await agent.signIn(gate, 'crm', 'ada');
    agents.push(agent);
  }
  const sids = gate.sessions().map((session) => session.sid);
  const tokens = await Promise.all(Array.from({ length: 1000 }, (_, index) => op.logoutToken('crm', 'ada', sids[index] ?? `unknown-${index}`)));
  const answers = await Promise.all(tokens.map(async (logout_token) => (await gate.logOut(logout_token)).status));
  assert.deepEqual([...new Set(answers)], [200]);
  assert.deepEqual(gate.sessions(), []);
  for (const agent of agents) assert.equal(await agent.me(gate), undefined);
});

test('kill -9 in a storm of logouts: what was acknowledged stays ended', async () => {
  await serve();
  const agents = [];
  for (let index = 0; index < 40; index += 1) {
    const agent = new Agent();
    await agent.signIn(gate, 'crm', 'ada');
    agents.push({ agent });
  }
  const all = gate.sessions();
  const tokens = await Promise.all(all.map((session) => op.logoutToken('crm', 'ada', session.sid)));
  const acknowledged = new Set();
  let killed;
  const storm = tokens.map(async (logout_token, index) => {
    try {
      const answer = await gate.logOut(logout_token);
      if (answer.status === 200) acknowledged.add(all[index].id);
      if (acknowledged.size === 10) killed ??= gate.stop('SIGKILL');
    } catch { /* The server was killed. */ }
  });
  await Promise.all(storm);
  await killed;
  assert.ok(acknowledged.size >= 10, `${acknowledged.size}`);
  await gate.start();
  const live = new Set(gate.sessions().map((session) => session.id));
  for (const id of acknowledged) assert.ok(!live.has(id), `session ${id} came back`);
  // The server agrees with its database.
  let signedIn = 0;
  for (const { agent } of agents) if (await agent.me(gate)) signedIn += 1;
  assert.equal(signedIn, live.size);
});

test('thirty sign-ins under way and one logout in their midst: those begun before it end signed out', async () => {
  await serve();
  const agents = [];
  for (let index = 0; index < 30; index += 1) {
    const agent = new Agent();
    agents.push({ agent, callback: await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` }) });
  }
  const land = (group) => Promise.all(group.map(async ({ agent, callback }) => (await agent.request(callback.location)).status));
  assert.deepEqual([...new Set(await land(agents.slice(0, 10)))], [303]);
  // Ten exchange their codes while the logout arrives; either may come first.
  const release = op.hold('/token');
  const racing = land(agents.slice(10, 20));
  await until('the codes are being exchanged', () => op.requests['/token'] === 20);
  // A session whose ID token is of a later second than the logout token would stay.
  await nextSecond();
  release();
  assert.equal((await gate.logOut(await op.logoutToken('crm', 'ada'))).status, 200);
  for (const status of await racing) assert.ok([303, 403].includes(status), `${status}`);
  assert.deepEqual([...new Set(await land(agents.slice(20)))], [403]);
  for (const { agent } of agents) assert.equal(await agent.me(gate), undefined);
  assert.deepEqual(gate.sessions(), []);
});
