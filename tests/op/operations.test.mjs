// Operations: reload, stop, metrics, the debug log, and commands beside the running server.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, Claimgate, pair, until } from './claimgate.mjs';
import { Op } from './provider.mjs';

let op;
let gate;
before(async () => { op = await Op.start(); });
afterEach(async () => { op.delays = undefined; await gate.close(); });
after(async () => { await op.stop(); });

async function serve(rest = {}) {
  op.hits = {};
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  await gate.write({ providers: [provider], ...rest }).start();
  return provider;
}

const sessions = () => JSON.parse(gate.command(['session', 'list', '--format', 'json']).out);

/** A sign-in whose code is being exchanged, for a second. */
async function underWay(agent, who) {
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: who, stopAt: `${gate.url}/callback` });
  op.delays = { '/token': 1000 };
  return agent.request(callback.location);
}

test('SIGTERM in the middle of a sign-in: it is finished, and kept; nothing new is taken', async () => {
  await serve();
  const agent = new Agent();
  const begun = underWay(agent, 'ada');
  await until('the code is being exchanged', () => op.hits['/token'] === 1);
  gate.process.kill('SIGTERM');
  await sleep(200);
  await assert.rejects(fetch(`${gate.url}/healthz`), 'it still takes connections');
  assert.equal((await begun).status, 303);
  await gate.exited;
  assert.deepEqual(gate.exit, { code: 0, signal: null });
  await gate.stop();
  await gate.start();
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('SIGHUP in the middle of a sign-in: it goes on with what it began with', async () => {
  const provider = await serve();
  const agent = new Agent();
  const begun = underWay(agent, 'grace');
  await until('the code is being exchanged', () => op.hits['/token'] === 1);
  gate.write({ providers: [{ ...provider, title: 'Renamed', client_secret: 'no longer the right one, but long enough for it' }] });
  gate.process.kill('SIGHUP');
  await until('the reload', () => gate.log.includes('configuration reloaded'));
  assert.equal((await begun).status, 303);
  assert.equal((await agent.me(gate)).username, 'grace');
});

test('SIGHUP: a new configuration without a dropped request, a bad one is not taken', async () => {
  const provider = await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
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

test('SIGHUP: what cannot change is refused, what waits for a restart is said', async () => {
  const provider = await serve();
  gate.write({ providers: [provider], server: { public_url: `${gate.url}/elsewhere` } });
  gate.process.kill('SIGHUP');
  await until('the refusal', () => gate.log.includes('the path of public_url cannot change'));
  assert.equal((await fetch(`${gate.url}/login`)).status, 200);
  gate.write({ providers: [provider], server: { database: 'another.db' } });
  gate.process.kill('SIGHUP');
  await until('the warning', () => /"setting":"database"/.test(gate.log));
  assert.equal((await fetch(`${gate.url}/login`)).status, 200);
});

test('SIGTERM finishes and stops with success', async () => {
  await serve();
  assert.deepEqual(await gate.stop('SIGTERM'), { code: 0, signal: null });
});

test('a second process ends a session and the server follows', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal(gate.command(['session', 'end', sessions()[0].id]).code, 0);
  const end = Date.now() + 3000;
  while ((await agent.me(gate)) && Date.now() < end) await new Promise((done) => setTimeout(done, 50));
  assert.equal(await agent.me(gate), undefined);
});

test('metrics count what happens, for those who may read them', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: 'x' }) });
  const text = await (await fetch(`${gate.url}/metrics`)).text();
  for (const line of [
    'claimgate_verifications_total{algorithm="RS256",result="ok"} 1',
    'claimgate_sign_ins_total{outcome="ok"} 1',
    'claimgate_backchannel_logouts_total{outcome="jws.shape"} 1',
    'claimgate_sessions 1',
    'claimgate_jwks_age_seconds{provider="crm"}',
    'claimgate_request_duration_seconds_bucket',
  ]) assert.ok(text.includes(line), `${line}\n${text}`);
  await gate.close();
  await serve({ server: { metrics_from: ['192.0.2.1'] } });
  assert.equal((await fetch(`${gate.url}/metrics`)).status, 404);
});

test('debug: header and claims of every token, and which rules fired', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('crm', 'ada') }) });
  const lines = () => gate.log.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  await until('both tokens', () => lines().filter(({ message }) => message === 'token').length === 2);
  const [idToken, logoutToken] = lines().filter(({ message }) => message === 'token');
  assert.equal(JSON.parse(idToken.header).alg, 'RS256');
  assert.equal(JSON.parse(idToken.claims).sub, 'ada');
  assert.equal(JSON.parse(logoutToken.header).typ, 'logout+jwt');
  assert.ok('events' in JSON.parse(logoutToken.claims));
  const mapping = lines().find(({ message }) => message === 'mapping');
  assert.match(mapping.explanation, /rule 0 \(group "crm-admin"\) fired on "crm-admin"/);
});
