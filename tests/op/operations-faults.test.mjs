// Faults: a full or read-only disk, a store that is locked, a clock that jumps, slow clients. What was
// acknowledged is kept; what cannot be done is answered 503.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import http2 from 'node:http2';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, Claimgate, pair, until } from './claimgate.mjs';
import { Op } from './provider.mjs';

let op;
let gate;
before(async () => { op = await Op.start(); });
after(async () => { await gate.close(); await op.stop(); });

async function prepare({ env, server, folder } = {}) {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  gate.env = env;
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  gate.write({ providers: [provider], server: folder ? { ...server, database: join(gate.folder, folder, 'claimgate.db') } : server });
}

const sessions = () => JSON.parse(gate.command(['session', 'list', '--format', 'json']).out);
const logOut = (token) => fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${gate.process.pid}/status`, 'utf8'))[1]) / 1024;
const mount = (...args) => spawnSync('mount', args).status === 0;

async function says503(answer) {
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers.get('retry-after')) > 0);
  return answer.text();
}

test('the disk is full: 503, nothing acknowledged is lost; then there is room again', async (t) => {
  await prepare({ folder: 'disk' });
  const disk = join(gate.folder, 'disk');
  mkdirSync(disk);
  if (!mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk)) { t.skip('needs to mount'); await gate.start(); return; }
  t.after(() => spawnSync('umount', ['-l', disk]));
  await gate.start();
  const [gone, stays] = [new Agent(), new Agent()];
  await gone.signIn(gate, 'crm', 'ada');
  await stays.signIn(gate, 'crm', 'grace');
  const sid = sessions().find((session) => session.subject === 'ada').sid;
  const used = await op.logoutToken('crm', 'ada', sid);
  assert.equal((await logOut(used)).status, 200);
  // What is left of the disk goes to somebody else.
  const hog = join(disk, 'hog');
  spawnSync('dd', ['if=/dev/zero', `of=${hog}`, 'bs=4k']);
  const token = await op.logoutToken('crm', 'grace', sessions()[0].sid);
  const taken = [used];
  let refused;
  for (let tries = 0; tries < 500 && !refused; tries += 1) {
    const other = await op.logoutToken('crm', 'nobody', `sid-${tries}`);
    const answer = await logOut(other);
    if (answer.status === 200) taken.push(other); else refused = answer;
  }
  assert.match(await says503(refused), /store\.failed/);
  await says503(await logOut(token));
  // Who is signed in goes on, and nobody who was signed out comes back.
  assert.equal((await stays.me(gate)).username, 'grace');
  assert.equal(await gone.me(gate), undefined);
  rmSync(hog);
  assert.equal((await logOut(token)).status, 200, 'the provider tries again, and the token was not burnt');
  assert.equal(await stays.me(gate), undefined);
  await gate.stop('SIGKILL');
  await gate.start();
  for (const old of taken) assert.equal((await logOut(old)).status, 400, 'acknowledged before the disk was full, so a replay');
  t.diagnostic(`${taken.length - 1} more logouts fitted before the disk was full`);
  assert.deepEqual(sessions(), []);
  await gate.stop('SIGKILL');
});

test('a file system that is read-only at the start is said, and is the end', async (t) => {
  await prepare({ folder: 'disk' });
  const disk = join(gate.folder, 'disk');
  mkdirSync(disk);
  if (!mount('-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk)) { t.skip('needs to mount'); await gate.start(); return; }
  t.after(() => spawnSync('umount', ['-l', disk]));
  await gate.start({ expectReady: false });
  assert.equal(gate.exit?.code, 2);
  assert.match(gate.log, /claimgate\.db.*[Rr]ead-only/);
});

// Another process has the database for itself for so long.
async function hold(seconds) {
  const script = `import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nc.execute("BEGIN EXCLUSIVE")\nprint("held",flush=True)\ntime.sleep(${seconds})\nc.execute("ROLLBACK")`;
  const holder = spawn('python3', ['-c', script, join(gate.folder, 'claimgate.db')], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((done) => holder.stdout.once('data', done));
  return { released: new Promise((done) => holder.once('exit', done)) };
}

test('the store is late: it is waited for, and beyond 5 seconds 503; the token is not burnt', async () => {
  await prepare();
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  let { released } = await hold(2);
  const late = await logOut(await op.logoutToken('crm', 'nobody'));
  assert.equal(late.status, 200);
  await released;
  ({ released } = await hold(8));
  const token = await op.logoutToken('crm', 'ada');
  const begun = Date.now();
  assert.match(await says503(await logOut(token)), /store\.failed/);
  assert.ok(Date.now() - begun < 7_500, `${Date.now() - begun} ms`);
  assert.equal((await agent.me(gate)).username, 'ada', 'reading needs no store');
  await released;
  assert.equal((await logOut(token)).status, 200);
  assert.equal(await agent.me(gate), undefined);
});

test('more logouts wait than may: the rest are sent away at once, and none is burnt', async () => {
  await prepare();
  await gate.start();
  const token = await op.logoutToken('crm', 'nobody');
  const { released } = await hold(6);
  // 4,096 may wait, and two batches of 256 be at the store: 5,400 on 54 connections of HTTP/2.
  const connections = Array.from({ length: 54 }, () => http2.connect(gate.url));
  const body = new URLSearchParams({ logout_token: token }).toString();
  const ask = (connection) => new Promise((done, failed) => {
    const stream = connection.request({ ':method': 'POST', ':path': '/backchannel-logout', 'content-type': 'application/x-www-form-urlencoded' });
    const answer = { text: '' };
    stream.on('response', (headers) => Object.assign(answer, { status: headers[':status'], retry: headers['retry-after'], at: Date.now() }));
    stream.setEncoding('utf8').on('data', (text) => { answer.text += text; }).on('end', () => done(answer)).on('error', failed);
    stream.end(body);
  });
  const answers = await Promise.all(connections.flatMap((connection) => Array.from({ length: 100 }, () => ask(connection))));
  for (const connection of connections) connection.close();
  await released;
  const busy = answers.filter((answer) => answer.text.includes('request.busy'));
  console.log(`${busy.length} of ${answers.length} sent away`);
  assert.ok(busy.length > 300, `${busy.length} sent away`);
  assert.ok(busy.every((answer) => answer.status === 503 && Number(answer.retry) > 0));
  const last = Math.max(...answers.map((answer) => answer.at));
  assert.ok(Math.min(...busy.map((answer) => answer.at)) < last - 1000, 'those sent away did not wait for the others');
  // Once, and no more than once, whether by one of those that waited or by a provider that tries again.
  const done = answers.filter((answer) => answer.status === 200).length;
  const again = await logOut(token);
  assert.equal(done + (again.status === 200 ? 1 : 0), 1, `${done} and ${again.status}`);
});

test('the clock jumps an hour back and an hour ahead', async (t) => {
  const library = ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketime.so.1`).find(existsSync);
  await prepare();
  if (!library) { t.skip('needs libfaketime'); await gate.start(); return; }
  const clock = join(gate.folder, 'clock');
  const jump = async (offset) => { writeFileSync(clock, offset); await sleep(50); };
  await jump('+0');
  gate.env = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const used = await op.logoutToken('crm', 'nobody');
  assert.equal((await logOut(used)).status, 200);
  const [first, second] = [await op.logoutToken('crm', 'nobody', 'one'), await op.logoutToken('crm', 'ada')];
  for (const offset of ['-1h', '+1h']) {
    await jump(offset);
    assert.equal((await agent.me(gate)).username, 'ada', `${offset}: sessions go on`);
    assert.equal((await logOut(first)).status, 400, `${offset}: the token is of another time`);
    assert.equal((await logOut(used)).status, 400);
  }
  assert.equal(gate.logged('claims.issued_in_future').length + gate.logged('policy.issued_in_future').length + gate.logged('policy.expired').length + gate.logged('claims.expired').length, 4, gate.log.split('\n').filter((line) => line.includes('refused')).join('\n'));
  await jump('+0');
  assert.equal((await logOut(first)).status, 200, 'right again, and the token was not burnt');
  assert.equal((await logOut(used)).status, 400);
  assert.equal((await logOut(second)).status, 200);
  assert.equal(await agent.me(gate), undefined);
  const grace = new Agent();
  await grace.signIn(gate, 'crm', 'grace');
  // A day ahead every session is over.
  await jump('+1d');
  assert.equal(await grace.me(gate), undefined);
});

test('10,000 slow clients, and connections that say nothing: others are served, memory is bounded, they are closed', async (t) => {
  await prepare();
  await gate.start();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const files = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))[1]);
  const count = Math.min(10_000, files - 1_000);
  const before = resident();
  const begun = Date.now();
  let closed = 0;
  const slow = [];
  const beginnings = ['', 'P', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: ', 'POST /backchannel-logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n\r\nlogout_token='];
  for (let index = 0; index < count; index += 1) {
    const socket = connect(gate.port, '127.0.0.1');
    socket.on('connect', () => socket.write(beginnings[index % beginnings.length]));
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => { closed += 1; });
    slow.push(socket);
    if (index % 250 === 249) await sleep(5);
  }
  const trickle = setInterval(() => { for (let index = 2; index < slow.length; index += 4) if (slow[index].writable) slow[index].write('a'); }, 1000);
  const opened = Date.now() - begun;
  let worst = 0;
  let most = 0;
  while (Date.now() - begun < 8_000 + opened) {
    const asked = Date.now();
    const answers = [await agent.request(`${gate.url}/api/v1/me`), await logOut(await op.logoutToken('crm', 'nobody', `${asked}`))];
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200], answers[0].text);
    worst = Math.max(worst, Date.now() - asked);
    most = Math.max(most, resident());
    await sleep(50);
  }
  await until('all of them are closed', () => closed === count, 40_000);
  clearInterval(trickle);
  t.diagnostic(`${count} connections: ${(most - before).toFixed(0)} MiB more, ${(1024 * (most - before) / count).toFixed(1)} KiB each; the slowest /me and logout together ${worst} ms; all closed ${Date.now() - begun} ms after the first was opened`);
  assert.ok(most - before < 400, `${most - before} MiB`);
  assert.ok(worst < 3_000, `${worst} ms`);
});

test('a kept connection that falls silent is closed', async () => {
  await prepare();
  await gate.start();
  const socket = connect(gate.port, '127.0.0.1');
  const begun = Date.now();
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  socket.on('data', () => {});
  await new Promise((done) => socket.on('close', done));
  const lasted = Date.now() - begun;
  assert.ok(lasted > 5_000 && lasted < 20_000, `${lasted} ms`);
});

test('the store takes nothing: 503 to logouts and sign-ins, sessions go on; then the same token is good', async () => {
  await prepare();
  await gate.start();
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

// attack: back-channel.slow-body, size.token
test('a body that does not come, or is too large', async () => {
  await prepare();
  await gate.start();
  const slow = new Promise((done) => {
    const socket = connect(gate.port, '127.0.0.1', () => socket.write('POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nlogout_token='));
    let answer = '';
    socket.on('data', (chunk) => { answer += chunk; });
    socket.on('close', () => done(answer));
    setTimeout(() => socket.end(), 14_000).unref();
  });
  const head = new Promise((done) => {
    const begun = Date.now();
    const socket = connect(gate.port, '127.0.0.1', () => socket.write('GET /healthz HTTP/1.1\r\nhost:'));
    socket.on('close', () => done(Date.now() - begun));
    socket.on('data', () => {});
  });
  const large = await fetch(`${gate.url}/api/v1/verify`, { method: 'POST', body: new URLSearchParams({ token: 'x'.repeat(300_000) }) });
  assert.equal(large.status, 413);
  assert.equal((await large.json()).error, 'request.too_large');
  const answer = await slow;
  assert.match(answer, /^HTTP\/1\.1 408 /);
  assert.match(answer, /request\.slow_body/);
  const closed = await head;
  assert.ok(closed > 8_000 && closed < 13_000, `a head that does not come is waited for ${closed} ms`);
});
