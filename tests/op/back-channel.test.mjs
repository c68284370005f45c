// Back-channel logout: by sid and by sub, refused requests, replays, logouts that overtake a sign-in, and
// many logouts at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, Claimgate, nextSecond, pair } from './claimgate.mjs';
import { Op } from './provider.mjs';

const PATHS = ['/api/v1/backchannelLogout', '/api/v1/Oidc/backchannelLogout', '/backchannel-logout'];

let op;
let gate;
before(async () => { op = await Op.start(); });
after(async () => { await gate.close(); await op.stop(); });

async function serve(rest = {}, settings = {}) {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm', settings);
  op.configure([client]);
  await gate.write({ providers: [provider], ...rest }).start();
  return provider;
}

const sessions = () => JSON.parse(gate.command(['session', 'list', '--format', 'json']).out);
const post = (path, form, options = {}) => fetch(`${gate.url}${path}`, { method: 'POST', body: new URLSearchParams(form), ...options });

test('by sid: that session and no other', async () => {
  await serve();
  const [one, other] = [new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  const { sid } = sessions()[0];
  assert.ok(sid);
  await other.signIn(gate, 'crm', 'ada');
  await op.logOut('crm', 'ada', sid);
  assert.equal(await one.me(gate), undefined);
  assert.equal((await other.me(gate)).username, 'ada');
});

test('by sub, for a client without sid: every session of that subject, nobody else’s', async () => {
  await serve({}, { client: { backchannel_logout_session_required: false } });
  const [one, other, grace] = [new Agent(), new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  await other.signIn(gate, 'crm', 'ada');
  await grace.signIn(gate, 'crm', 'grace');
  assert.deepEqual(sessions().map((session) => session.sid), [null, null, null]);
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
  const answer = await post(PATHS[0], { logout_token: await op.logoutToken('crm', 'ada') });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(await one.me(gate), undefined);
  assert.equal(await other.me(gate), undefined);
});

test('pairwise subjects are logged out by their own name', async () => {
  await serve({}, { client: { subject_type: 'pairwise', backchannel_logout_session_required: false } });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  await op.logOut('crm', 'ada');
  assert.equal(await agent.me(gate), undefined);
});

test('each path takes logout tokens; a good one for nobody is answered 200 too', async () => {
  await serve();
  for (const path of PATHS) {
    assert.equal((await post(path, { logout_token: await op.logoutToken('crm', 'nobody') })).status, 200, path);
  }
});

// attack: back-channel.two-fields, back-channel.json-body, back-channel.get, back-channel.large-body
// attack: typ.id-token-as-logout-token
test('what is no logout request', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const good = await op.logoutToken('crm', 'ada');
  const refused = async (response, status = 400) => {
    assert.equal(response.status, status);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal((await response.json()).error, 'invalid_request');
  };
  await refused(await post(PATHS[0], {}));
  await refused(await post(PATHS[0], [['logout_token', good], ['logout_token', good]]));
  await refused(await post(PATHS[0], { logout_token: `${good}x` }));
  await refused(await post(PATHS[0], { logout_token: 'not.a.token' }));
  await refused(await fetch(`${gate.url}${PATHS[0]}`, { method: 'POST', body: JSON.stringify({ logout_token: good }), headers: { 'content-type': 'application/json' } }));
  const get = await fetch(`${gate.url}${PATHS[0]}?logout_token=${good}`);
  assert.equal(get.status, 405);
  assert.equal(get.headers.get('cache-control'), 'no-store');
  const huge = await post(PATHS[0], { logout_token: 'x'.repeat(10 * 1024 * 1024) }).catch(() => ({ status: 413 }));
  assert.equal(huge.status, 413);
  assert.equal((await agent.me(gate)).username, 'ada');
  // An ID token is none.
  const idToken = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  const hint = new URL(idToken.location).searchParams.get('id_token_hint');
  await refused(await post(PATHS[0], { logout_token: hint }));
});

// attack: back-channel.replayed
test('a replayed token is refused, and ends no newer session', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const token = await op.logoutToken('crm', 'ada');
  assert.equal((await post(PATHS[0], { logout_token: token })).status, 200);
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal((await post(PATHS[0], { logout_token: token })).status, 400);
  assert.equal(gate.logged('backchannel.replayed').length, 1);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('a token that was held back ends no newer session either', async () => {
  await serve();
  const agent = new Agent();
  const old = await op.logoutToken('crm', 'ada');
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal((await post(PATHS[0], { logout_token: old })).status, 200);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('a logout that overtakes a sign-in wins', async () => {
  await serve();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  assert.equal((await post(PATHS[0], { logout_token: await op.logoutToken('crm', 'ada') })).status, 200);
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
  const sids = sessions().map((session) => session.sid);
  const tokens = await Promise.all(Array.from({ length: 1000 }, (_, index) => op.logoutToken('crm', 'ada', sids[index] ?? `unknown-${index}`)));
  const answers = await Promise.all(tokens.map(async (logout_token) => (await post(PATHS[0], { logout_token })).status));
  assert.deepEqual([...new Set(answers)], [200]);
  assert.deepEqual(sessions(), []);
  for (const agent of agents) assert.equal(await agent.me(gate), undefined);
});

test('kill -9 in a storm of logouts: what was acknowledged stays ended', async () => {
  await serve();
  const agents = [];
  for (let index = 0; index < 40; index += 1) {
    const agent = new Agent();
    await agent.signIn(gate, 'crm', 'ada');
    agents.push({ agent, secret: agent.cookies(gate.url).get('claimgate') });
  }
  const all = sessions();
  const tokens = await Promise.all(all.map((session) => op.logoutToken('crm', 'ada', session.sid)));
  const acknowledged = new Set();
  let killed;
  const storm = tokens.map(async (logout_token, index) => {
    try {
      const answer = await post(PATHS[0], { logout_token });
      if (answer.status === 200) acknowledged.add(all[index].id);
      if (acknowledged.size === 10) killed ??= gate.stop('SIGKILL');
    } catch { /* the server is gone */ }
  });
  await Promise.all(storm);
  await killed;
  assert.ok(acknowledged.size >= 10, `${acknowledged.size}`);
  await gate.start();
  const live = new Set(sessions().map((session) => session.id));
  for (const id of acknowledged) assert.ok(!live.has(id), `session ${id} came back`);
  // And through the front door: exactly the live ones open it.
  let open = 0;
  for (const { agent } of agents) if (await agent.me(gate)) open += 1;
  assert.equal(open, live.size);
});

test('thirty sign-ins under way and one logout in their midst: whoever began before it is out', async () => {
  await serve();
  const agents = [];
  for (let index = 0; index < 30; index += 1) {
    const agent = new Agent();
    agents.push({ agent, callback: await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` }) });
  }
  // A session whose ID token is of a later second than the logout token stays: all is to be of one.
  await nextSecond();
  const landed = agents.map(async ({ agent, callback }, index) => {
    await sleep(index * 20);
    return (await agent.request(callback.location)).status;
  });
  await sleep(300);
  const answer = await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('crm', 'ada') }) });
  assert.equal(answer.status, 200);
  const statuses = await Promise.all(landed);
  assert.deepEqual([...new Set(statuses)].sort(), [303, 403], 'the logout came too early or too late to show anything');
  for (const { agent } of agents) assert.equal(await agent.me(gate), undefined);
  assert.deepEqual(JSON.parse(gate.command(['session', 'list', '--format', 'json']).out), []);
});
