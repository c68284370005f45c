// Faults: a full or read-only disk, a store that is locked, a clock that jumps, slow clients. What was
// acknowledged is kept; what cannot be done is answered 503.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as http from 'node:http';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, exchangeBytes } from './agent.mjs';
import { replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { lockDatabase } from './database-lock.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  gate = (await replace(gate, op, options)).gate;
}

/** Serves with the database on a file system of its own; false where the test may not mount one. */
async function serveOnDisk(t, ...mountOptions) {
  await serve({ server: { database: 'disk/claimgate.db' }, start: false });
  const disk = join(gate.folder, 'disk');
  mkdirSync(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', ...mountOptions, 'tmpfs', disk]).status !== 0) { t.skip('needs to mount a file system'); return undefined; }
  t.after(() => spawnSync('umount', ['-l', disk]));
  return disk;
}

/** Checks a 503 and returns its text. */
async function unavailable(answer) {
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers.get('retry-after')) > 0);
  return answer.text();
}

test('the disk is full: 503, nothing acknowledged is lost; the server recovers when there is space again', async (t) => {
  const disk = await serveOnDisk(t, '-o', 'size=1m');
  if (!disk) return;
  await gate.start();
  const [ended, live] = [new Agent(), new Agent()];
  await ended.signIn(gate, 'crm', 'ada');
  await live.signIn(gate, 'crm', 'grace');
  const sid = gate.sessions().find((session) => session.subject === 'ada').sid;
  const used = await op.logoutToken('crm', 'ada', sid);
  assert.equal((await gate.logOut(used)).status, 200);
  // Another file takes the rest of the disk.
  const filler = join(disk, 'filler');
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k']);
  const token = await op.logoutToken('crm', 'grace', gate.sessions()[0].sid);
  const taken = [used];
  let refused;
  for (let tries = 0; tries < 500 && !refused; tries += 1) {
    const other = await op.logoutToken('crm', 'nobody', `sid-${tries}`);
    const answer = await gate.logOut(other);
    if (answer.status === 200) taken.push(other); else refused = answer;
  }
  assert.match(await unavailable(refused), /store\.failed/);
  await unavailable(await gate.logOut(token));
  // Sessions go on, and ended ones stay ended.
  assert.equal((await live.me(gate)).username, 'grace');
  assert.equal(await ended.me(gate), undefined);
  rmSync(filler);
  assert.equal((await gate.logOut(token)).status, 200, 'a retry is accepted: the token was not used up');
  assert.equal(await live.me(gate), undefined);
  await gate.stop('SIGKILL');
  await gate.start();
  for (const old of taken) assert.equal((await gate.logOut(old)).status, 400, 'acknowledged before the disk was full, so a replay');
  t.diagnostic(`${taken.length - 1} more logouts fitted before the disk was full`);
  assert.deepEqual(gate.sessions(), []);
  await gate.stop('SIGKILL');
});

test('a file system that is read-only at the start is reported, and the server ends', async (t) => {
  if (!await serveOnDisk(t, '-o', 'ro')) return;
  await gate.start({ expectReady: false });
  assert.equal(gate.exit?.code, 2);
  assert.match(gate.log, /claimgate\.db.*[Rr]ead-only/);
});

test('the database is locked: requests wait up to 5 seconds, then 503; sessions go on, and no token is used up', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const late = new Agent();
  const callback = await late.walk(`${gate.url}/login/crm`, { as: 'grace', stopAt: `${gate.url}/callback` });
  let unlock = await lockDatabase(gate);
  let answered = false;
  const waiting = gate.logOut(await op.logoutToken('crm', 'nobody')).finally(() => { answered = true; });
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.ok(!answered, 'the logout did not wait');
  await unlock();
  assert.equal((await waiting).status, 200);
  unlock = await lockDatabase(gate);
  const token = await op.logoutToken('crm', 'ada');
  const begun = Date.now();
  const [refused, signIn] = await Promise.all([gate.logOut(token), late.request(callback.location)]);
  assert.ok(Date.now() - begun < 20_000, `${Date.now() - begun} ms`);
  assert.equal(refused.headers.get('cache-control'), 'no-store');
  assert.match(await unavailable(refused), /store\.failed/);
  assert.equal(signIn.status, 503);
  assert.match(signIn.text, /store\.failed/);
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.equal((await fetch(`${gate.url}/healthz`)).status, 200);
  await unlock();
  assert.equal((await gate.logOut(token)).status, 200);
  assert.equal(await agent.me(gate), undefined);
  assert.equal((await fetch(`${gate.url}/readyz`)).status, 200);
});

// finding: S10
test('more logouts of one address wait than may: the rest are answered 429 at once, another address is served, and no token is used up', async () => {
  await serve();
  const token = await op.logoutToken('crm', 'nobody');
  const unlock = await lockDatabase(gate);
  // 1,024 of one address may be under way.
  const ask = (localAddress) => new Promise((resolve, reject) => {
    const body = new URLSearchParams({ logout_token: token }).toString();
    const request = http.request(`${gate.url}/backchannel-logout`, { method: 'POST', agent: false, localAddress, headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length } }, (response) => {
      const answer = { status: response.statusCode, retry: response.headers['retry-after'], at: Date.now(), text: '' };
      response.setEncoding('utf8').on('data', (text) => { answer.text += text; }).on('end', () => resolve(answer));
    });
    request.on('error', reject).end(body);
  });
  const asked = Array.from({ length: 1_400 }, () => ask('127.0.1.1'));
  // The lock ends once the first batch has waited in vain.
  let failed = false;
  for (const answer of asked) answer.then(({ text }) => { failed ||= text.includes('store.failed'); }, () => {});
  let other;
  await until('an answer says so', async () => {
    other ??= ask('127.0.1.2');
    return failed;
  }, 30_000);
  await unlock();
  const answers = await Promise.all(asked);
  const busy = answers.filter((answer) => answer.text.includes('request.too_many'));
  assert.ok(busy.length > 300, `${busy.length} of ${answers.length}`);
  assert.ok(busy.every((answer) => answer.status === 429 && Number(answer.retry) > 0));
  assert.doesNotMatch((await other).text, /request\./, 'another address has places of its own');
  const last = Math.max(...answers.map((answer) => answer.at));
  assert.ok(Math.min(...busy.map((answer) => answer.at)) < last - 1000, 'those refused did not wait for the others');
  // Exactly one is accepted, of those that waited or as a retry.
  const accepted = [...answers, await other].filter((answer) => answer.status === 200).length;
  const again = await gate.logOut(token);
  assert.equal(accepted + (again.status === 200 ? 1 : 0), 1, `${accepted} and ${again.status}`);
});

test('the clock jumps an hour back and an hour ahead', async () => {
  const { set, env } = clock();
  await serve({ start: { env } });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const used = await op.logoutToken('crm', 'nobody');
  assert.equal((await gate.logOut(used)).status, 200);
  const [first, second] = [await op.logoutToken('crm', 'nobody', 'one'), await op.logoutToken('crm', 'ada')];
  for (const offset of ['-1h', '+1h']) {
    set(offset);
    assert.equal((await agent.me(gate)).username, 'ada', `${offset}: sessions go on`);
    assert.equal((await gate.logOut(first)).status, 400, `${offset}: the token is of another time`);
    assert.equal((await gate.logOut(used)).status, 400);
  }
  assert.equal(gate.logged('claims.issued_in_future').length + gate.logged('claims.expired').length, 4, gate.log.split('\n').filter((line) => line.includes('refused')).join('\n'));
  set('+0');
  assert.equal((await gate.logOut(first)).status, 200, 'the clock is right again, and the token was not used up');
  assert.equal((await gate.logOut(used)).status, 400);
  assert.equal((await gate.logOut(second)).status, 200);
  assert.equal(await agent.me(gate), undefined);
  const grace = new Agent();
  await grace.signIn(gate, 'crm', 'grace');
  // A day ahead every session is over.
  set('+1d');
  assert.equal(await grace.me(gate), undefined);
});

test('10,000 slow clients and silent connections: others are served, memory is bounded, they are closed', async (t) => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const files = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))[1]);
  const count = Math.min(10_000, files - 1_000);
  const before = gate.memory('VmRSS');
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
    if (index % 250 === 249) await new Promise((connected) => { socket.once('connect', connected).once('close', connected); });
  }
  const trickle = setInterval(() => { for (let index = 2; index < slow.length; index += 4) if (slow[index].writable) slow[index].write('a'); }, 1000);
  const opened = Date.now() - begun;
  let worst = 0;
  let most = 0;
  while (Date.now() - begun < 8_000 + opened) {
    const asked = Date.now();
    const answers = [await agent.request(`${gate.url}/api/v1/me`), await gate.logOut(await op.logoutToken('crm', 'nobody', `${asked}`))];
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200], answers[0].text);
    worst = Math.max(worst, Date.now() - asked);
    most = Math.max(most, gate.memory('VmRSS'));
    await sleep(50);
  }
  await until('all of them are closed', () => closed === count, 40_000);
  clearInterval(trickle);
  t.diagnostic(`${count} connections: ${(most - before).toFixed(0)} MiB more, ${(1024 * (most - before) / count).toFixed(1)} KiB each; the slowest /me and logout together ${worst} ms; all closed ${Date.now() - begun} ms after the first was opened`);
  assert.ok(most - before < 400, `${most - before} MiB`);
  assert.ok(worst < 8_000, `${worst} ms: less than a slow client may take`);
});

test('an idle connection is closed', async () => {
  await serve();
  const socket = connect(gate.port, '127.0.0.1');
  const begun = Date.now();
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  socket.on('data', () => {});
  await new Promise((done) => socket.on('close', done));
  const lasted = Date.now() - begun;
  assert.ok(lasted > 5_000 && lasted < 30_000, `${lasted} ms`);
});

// attack: back-channel.slow-body, size.token
test('a body or a head that does not come, and a body that is too large', async () => {
  await serve();
  const slow = exchangeBytes(gate, 'POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nlogout_token=');
  const head = new Promise((done) => {
    const begun = Date.now();
    const socket = connect(gate.port, '127.0.0.1', () => socket.write('GET /healthz HTTP/1.1\r\nhost:'));
    socket.on('close', () => done(Date.now() - begun));
    socket.on('data', () => {});
  });
  const large = await gate.post('/api/v1/verify', { token: 'x'.repeat(300_000) });
  assert.equal(large.status, 413);
  assert.equal((await large.json()).error, 'request.too_large');
  const answer = await slow;
  assert.match(answer, /^HTTP\/1\.1 408 /);
  assert.match(answer, /request\.slow_body/);
  const closed = await head;
  assert.ok(closed > 8_000 && closed < 25_000, `a head that does not come is waited for ${closed} ms`);
});
