// Two servers on one PostgreSQL: sign-ins, logouts, limits and replays over both, and a database that stops.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from './agent.mjs';
import { Claimgate, IDENTITY, pair, until } from './claimgate.mjs';
import { Postgres, binaries } from './postgres.mjs';
import { OpenIdProvider } from './provider.mjs';

/** `revocation_bound`, its default, in milliseconds. */
const BOUND = 1000;
/** Between the answer of a server and the next question, in milliseconds. */
const SLACK = 500;
const options = { skip: binaries() ? false : 'PostgreSQL 15 or later is not installed' };

let op;
let postgres;
let a;
let b;
before(async () => {
  if (options.skip) return;
  op = await OpenIdProvider.start();
  postgres = new Postgres();
  a = await Claimgate.prepare();
  b = await Claimgate.prepare();
  const { client, provider } = pair(op, a, 'crm');
  op.configure([client]);
  // One configuration, as behind a load balancer; only the port differs.
  for (const gate of [a, b]) {
    const identity = IDENTITY.replace('groups = ["groups"]', 'groups = ["groups"]\nadmin_groups = ["root"]');
    gate.write({ providers: [provider], server: { public_url: a.url }, store: postgres.store, signIn: { password_fallback_regular: true, allow_admins: true }, identity });
    await gate.start();
    await gate.keysFetched();
  }
});
after(async () => {
  if (options.skip) return;
  await a.close();
  await b.close();
  await op.stop();
  postgres.close();
});

/** A person who is signed in at `a`, and whom a load balancer sends to either. */
async function signedIn(who) {
  const agent = new Agent();
  assert.equal((await agent.signIn(a, 'crm', who)).username, who);
  carry(agent);
  return agent;
}

/** Gives a browser the cookies of `a` for `b` too: browsers know one address. */
function carry(agent) {
  const [from, to] = [agent.cookies(a.url), agent.cookies(b.url)];
  to.clear();
  for (const [name, value] of from) to.set(name, value);
}

const me = (agent, gate) => agent.request(`${gate.url}/api/v1/me`);
const status = async (agent, gate) => (await me(agent, gate)).status;

/**
 * Asks both servers until both answer so, and returns all statuses seen, and the milliseconds until the question that they
 * answered so. However long an answer takes, a question that is asked after the limit is answered so.
 */
async function both(agent, wanted, limit) {
  const [begun, seen] = [performance.now(), new Set()];
  for (;;) {
    const took = performance.now() - begun;
    const answers = await Promise.all([status(agent, a), status(agent, b)]);
    answers.forEach((answer) => seen.add(answer));
    if (answers.every((answer) => answer === wanted)) return { took, seen: [...seen].sort() };
    assert.ok(took < limit, `${wanted} after ${took} ms: ${answers}`);
    await sleep(10);
  }
}

test('groups make and unmake an administrator: the sessions of before end at both servers', options, async () => {
  const before = await signedIn('grace');
  for (const [groups, kind] of [[['root'], 'admin'], [['/crm/support'], 'regular']]) {
    op.claims = { grace: { groups } };
    const agent = new Agent();
    assert.equal((await agent.signIn(a, 'crm', 'grace')).kind, kind);
    op.claims = undefined;
  }
  const changes = a.events('--kind', 'administration', '--user', 'grace');
  assert.deepEqual(changes.map(({ by, detail }) => [by, detail]), [
    ['(provider crm)', 'kind regular to admin, by groups'],
    ['(provider crm)', 'kind admin to regular, by groups'],
  ]);
  await both(before, 401, BOUND + SLACK);
});

test('a person who signed in at one server is signed in at the other with the next request', options, async () => {
  const agent = await signedIn('ada');
  assert.equal(await status(agent, b), 200);
  const auth = await agent.request(`${b.url}/auth`);
  assert.deepEqual([auth.status, auth.headers.get('x-auth-user')], [200, 'ada']);
});

// finding: R6
test('a back-channel logout at one server ends the session at the other within the bound', options, async () => {
  const agent = await signedIn('ada');
  const other = await signedIn('grace');
  assert.deepEqual(await Promise.all([status(agent, a), status(agent, b)]), [200, 200]);
  const { sid } = a.sessions().find((session) => session.username === 'ada');
  const token = await op.logoutToken('crm', 'ada', sid);
  assert.equal((await b.logOut(token)).status, 200);
  const { took, seen } = await both(agent, 401, BOUND + SLACK);
  assert.ok(took < BOUND + SLACK, `${took} ms`);
  assert.ok(!seen.includes(503), String(seen));
  assert.deepEqual(await Promise.all([status(other, a), status(other, b)]), [200, 200]);
  const replay = await a.logOut(token);
  assert.deepEqual([replay.status, (await replay.json()).error], [400, 'invalid_request']);
  assert.equal(a.logged('backchannel.replayed').length, 1, 'the other server took the token');
  await until('either server records what it has done', () => a.events('--user', 'ada', '--kind', 'logout').length > 0);
  assert.deepEqual(b.events('--user', 'ada').slice(-2).map(({ kind, provider }) => [kind, provider]), [['sign_in', 'crm'], ['logout', 'crm']]);
});

test('a logout by sid alone is recorded as that of the user of the session', options, async () => {
  const agent = await signedIn('linus');
  const { sid } = a.sessions().find((session) => session.username === 'linus');
  assert.equal((await b.logOut(await op.logoutToken('crm', undefined, sid))).status, 200);
  await both(agent, 401, BOUND + SLACK);
  await until('the logout is recorded', () => b.events('--user', 'linus', '--kind', 'logout').length > 0);
  assert.equal(b.events('--user', 'linus').at(-1).detail, `sid ${sid}`);
});

test('a sign-out at one server ends the session there at once, and at the other', options, async () => {
  const agent = await signedIn('ada');
  assert.equal(await status(agent, b), 200);
  const copy = new Agent();
  for (const [name, value] of agent.cookies(a.url)) copy.cookies(a.url).set(name, value);
  carry(copy);
  await agent.request(`${a.url}/logout`, { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } });
  assert.equal(await status(copy, a), 401);
  await both(copy, 401, BOUND + SLACK);
});

test('a sign-in begun at one server is completed at the other, once', options, async () => {
  const agent = new Agent();
  const back = await agent.walk(`${a.url}/login/crm`, { as: 'linus', stopAt: `${a.url}/callback/` });
  carry(agent);
  const pending = new Map(agent.cookies(b.url));
  const callback = new URL(back.location);
  const completed = await agent.request(`${b.url}${callback.pathname}${callback.search}`);
  assert.equal(completed.status, 303, completed.text);
  assert.equal((await agent.me(b)).username, 'linus');
  const replaying = new Agent();
  for (const [name, value] of pending) replaying.cookies(a.url).set(name, value);
  const replayed = await replaying.request(back.location);
  assert.equal(replayed.status, 400);
  assert.match(replayed.text, /callback\.used/);
});

test('attempts on one password are counted over both servers', options, async () => {
  a.addUser('victim');
  const attempts = [];
  for (let attempt = 0; attempt < 12; attempt += 1) {
    attempts.push((await new Agent().signInByPassword([a, b][attempt % 2], 'victim', 'a wrong password')).status);
  }
  assert.deepEqual(attempts, [...Array(10).fill(403), 429, 429]);
});

test('a name that PostgreSQL cannot hold is refused as that of no user', options, async () => {
  a.forgetLog();
  for (const name of ['vic\0tim', '\0']) {
    const refused = await new Agent().signInByPassword(a, name);
    assert.equal(refused.status, 403, name);
  }
  assert.equal(a.logged('password.wrong').length, 2);
  assert.ok(!a.log.includes('"level":"ERROR"'), a.log);
});

test('a command ends sessions at both servers', options, async () => {
  const agent = await signedIn('grace');
  assert.equal(await status(agent, b), 200);
  assert.equal(b.command(['user', 'deactivate', 'grace']).code, 0);
  await both(agent, 401, BOUND + SLACK);
  assert.equal(a.command(['user', 'activate', 'grace']).code, 0);
});

test('a database that stops: 503 within the bound and never 401, and the same sessions when it is back', options, async () => {
  const agent = await signedIn('ada');
  const token = await presentedToken();
  assert.deepEqual(await Promise.all([status(agent, a), status(agent, b)]), [200, 200]);
  postgres.stop();
  const { seen } = await both(agent, 503, BOUND + SLACK);
  assert.ok(!seen.includes(401), String(seen));
  const refused = await me(agent, b);
  assert.deepEqual([refused.headers.get('retry-after'), JSON.parse(refused.text).error], ['5', 'store.unsure']);
  for (const path of ['/auth', '/auth/redirect', '/', '/login', '/logout']) {
    const answer = await agent.request(`${a.url}${path}`, { headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' } });
    assert.equal(answer.status, 503, path);
  }
  assert.equal((await a.post('/api/v1/verify', { token })).status, 503);
  const stranger = new Agent();
  assert.equal(await status(stranger, a), 401, 'without a cookie nobody is signed in');
  stranger.cookies(a.url).set('claimgate', 'A'.repeat(43));
  assert.equal(await status(stranger, a), 401, 'an invented secret needs no database');
  const [ready, alive] = await Promise.all(['/readyz', '/healthz'].map((path) => fetch(`${a.url}${path}`)));
  assert.deepEqual([ready.status, alive.status], [503, 200]);
  const report = await ready.json();
  assert.ok(report.store === false && report.lease_age > BOUND / 1000, JSON.stringify(report));
  assert.equal((await b.logOut(await op.logoutToken('crm', 'ada'))).status, 503);

  postgres.start();
  const { seen: meanwhile } = await both(agent, 200, 20_000);
  assert.ok(!meanwhile.includes(401), String(meanwhile));
  await until('the server is ready', async () => (await fetch(`${a.url}/readyz`)).ok);
  const metrics = await (await fetch(`${a.url}/metrics`)).text();
  const age = Number(/^claimgate_store_lease_age_seconds(?:\{\})? ([0-9.e-]+)$/m.exec(metrics)[1]);
  assert.ok(age >= 0 && age < BOUND / 1000, String(age));
  assert.match(metrics, /^claimgate_store_synchronous_standby(?:\{\})? 0$/m);
});

test('a server that starts while the other runs serves the sessions that are there', options, async () => {
  const agent = await signedIn('ada');
  await b.stop();
  await b.start();
  assert.equal(await status(agent, b), 200);
});

/** An ID token, as a service presents it. */
async function presentedToken() {
  let token;
  op.tap = (path, _request, _sent, answer) => { if (path === '/token') token = JSON.parse(answer).id_token ?? token; };
  await new Agent().signIn(a, 'crm', 'ada');
  op.tap = undefined;
  return token;
}
