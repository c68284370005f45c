// What happens to requests under way when the server is reloaded, told to stop, or cannot write.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, Claimgate, nextSecond, pair, until } from './claimgate.mjs';
import { Op } from './op.mjs';

let op;
let gate;
before(async () => { op = await Op.start(); });
afterEach(async () => { op.delays = undefined; await gate.close(); });
after(async () => { await op.stop(); });

async function serve() {
  op.hits = {};
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  await gate.write({ providers: [provider] }).start();
  return provider;
}

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

test('the store takes nothing: 503 to logouts and sign-ins, sessions go on; then the same token is good', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const late = new Agent();
  const callback = await late.walk(`${gate.url}/login/crm`, { as: 'grace', stopAt: `${gate.url}/callback` });
  const logout_token = await op.logoutToken('crm', 'ada');
  const post = () => fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token }) });
  // Another process holds the file, as a backup that went wrong would.
  const holder = spawn('python3', ['-c', `
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
`, join(gate.folder, 'claimgate.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((done) => holder.stdout.once('data', done));
  const [refused, signIn] = await Promise.all([post(), late.request(callback.location)]);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('cache-control'), 'no-store');
  assert.ok(refused.headers.get('retry-after'));
  assert.equal(signIn.status, 503);
  assert.match(signIn.text, /store\.failed/);
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.equal((await fetch(`${gate.url}/healthz`)).status, 200);
  holder.stdin.end();
  await new Promise((done) => holder.once('exit', done));
  assert.equal((await post()).status, 200);
  assert.equal(await agent.me(gate), undefined);
  assert.equal((await fetch(`${gate.url}/readyz`)).status, 200);
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
