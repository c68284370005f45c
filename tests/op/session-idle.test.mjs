// The idle time: sessions that nobody uses are over.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { OpenIdProvider } from './provider.mjs';

const MINUTES = 60;

let op;
let gate;
let time;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });
afterEach(() => time.set('+0'));

async function serve(signIn) {
  time = clock();
  gate = (await replace(gate, op, { signIn, start: { env: time.env } })).gate;
}

const status = async (agent) => (await agent.request(`${gate.url}/auth`)).status;
/** The end of the only session that the store has. */
const end = () => gate.sessions()[0]?.expires;

/** Waits until the store has the newest use. */
async function written(before) {
  await until('the use is written', () => end() > before);
}

// finding: A10c
// finding: R5
test('a session lives on while it is used, and is over everywhere once it was not', async () => {
  await serve({ idle_time: '30m', session_lifetime: '12h' });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const opened = end();
  time.set('+29m');
  assert.equal(await status(agent), 200);
  await written(opened);
  const longer = end() - opened - 29 * MINUTES;
  assert.ok(longer >= 0 && longer < MINUTES, `${longer} s: the test itself takes some`);
  const used = end();
  // Requests within a step are no writes.
  time.set('+30m');
  for (let request = 0; request < 20; request += 1) assert.equal(await status(agent), 200);
  await sleep(1500);
  assert.equal(end(), used);
  time.set('+58m');
  assert.ok(await agent.me(gate), 'the API is a use, too');
  await written(used);
  time.set('+88m');
  assert.equal(await status(agent), 401);
  assert.equal(await agent.me(gate), undefined);
  const page = await agent.request(`${gate.url}/me`);
  assert.notEqual(page.status, 200);
  assert.notEqual((await agent.request(`${gate.url}/admin`)).status, 200);
  time.set('+59m');
  await agent.signIn(gate, 'crm', 'ada');
});

test('a session in use is over at the end of its lifetime', async () => {
  await serve({ idle_time: '30m', session_lifetime: '40m' });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const opened = end();
  time.set('+25m');
  assert.equal(await status(agent), 200);
  await written(opened);
  assert.ok(Math.abs(end() - opened - 10 * MINUTES) <= 2, 'the lifetime, not the idle time');
  time.set('+39m');
  assert.equal(await status(agent), 200);
  time.set('+41m');
  assert.equal(await status(agent), 401);
});

// finding: A10c
test('a restart keeps the last use, and extends nothing', async () => {
  await serve({ idle_time: '30m', session_lifetime: '12h' });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const opened = end();
  time.set('+2m');
  assert.equal(await status(agent), 200);
  assert.equal(end(), opened, 'less than a step: in memory');
  await gate.stop();
  const longer = end() - opened - 2 * MINUTES;
  assert.ok(longer >= 0 && longer < MINUTES, `${longer} s: written when the server stops`);
  time.set('+33m');
  await gate.start({ env: time.env });
  assert.equal(await status(agent), 401);
});

test('switched on by a reload, it counts for the sessions that are there', async () => {
  await serve({ session_lifetime: '12h' });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  time.set('+300m');
  assert.equal(await status(agent), 200, 'off by default');
  const opened = end();
  writeFileSync(gate.config, readFileSync(gate.config, 'utf8').replace('[sign_in]', '[sign_in]\nidle_time = "10m"'));
  await gate.reload();
  await until('it is limited', () => end() < opened);
  time.set('+312m');
  assert.equal(await status(agent), 401);
});

test('what only looks at a session is no use of it', async () => {
  const applications = [{ name: 'Wiki', hosts: ['wiki.example.com'], rule: [{ allow: 'signed_in' }] }];
  time = clock();
  const settings = { signIn: { idle_time: '30m', session_lifetime: '12h' }, provider: { frontchannel_logout: true }, applications, start: { env: time.env } };
  gate = (await replace(gate, op, settings)).gate;
  gate.addUser('root', 'super-admin');
  const [root, agent] = [new Agent(), new Agent()];
  await root.administer(gate, 'root');
  await agent.signIn(gate, 'crm', 'ada');
  const ends = () => gate.sessions().map(({ username, expires }) => `${username} ${expires}`).sort();
  const before = ends();
  assert.equal(before.length, 2);
  time.set('+8m');
  const headers = { accept: 'text/html', ...SAME_ORIGIN };
  assert.equal((await root.request(`${gate.url}/admin/activity/list`, { headers })).status, 200, 'a page asks by itself');
  const query = new URLSearchParams({ iss: op.issuer, sid: 'no-such-session' });
  assert.equal((await agent.request(`${gate.url}/api/v1/frontchannelLogout?${query}`)).status, 200);
  await sleep(2500);
  assert.deepEqual(ends(), before);
  const form = { url: 'https://wiki.example.com/', user: before.find((row) => !row.startsWith('root')).split(' ')[0] };
  const { text } = await root.request(`${gate.url}/admin/applications/answer`, { method: 'POST', form, headers });
  assert.match(text, /Admitted/);
  await until("the administrator's use is written", () => ends().join() !== before.join());
  await sleep(1000);
  assert.deepEqual(ends().filter((row) => !row.startsWith('root')), before.filter((row) => !row.startsWith('root')));
});
