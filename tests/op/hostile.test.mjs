// Attacks on availability, scaled down: what strangers occupy stays within its bound, and others are served.
// `benches/load/run --hostile` runs them at full size.

import assert from 'node:assert/strict';
import * as http from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace, until } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';

/** What the process may hold while strangers guess passwords, in MiB. */
const MOST_MEMORY = 150;

let op;
let gate;
before(async () => { op = await MisbehavingProvider.start(); });
after(async () => { await gate.close(); await op.stop(); });

async function serve(options) {
  gate = (await replace(gate, op, { start: { logLevel: 'info' }, ...options })).gate;
}

/** An address of this machine: the whole of 127.0.0.0/8 is. */
const stranger = (number) => `127.0.1.${number + 1}`;

const guess = (name) => {
  const body = `username=${name}&password=incorrect+horse+battery+staple`;
  return `POST /login/password HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
};

/** Sends bytes from an address; resolves with the status of the answer, or undefined where there is none. */
function send(localAddress, bytes, { hangUpAfter } = {}) {
  return new Promise((done) => {
    const socket = connect({ port: gate.port, host: '127.0.0.1', localAddress }, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => { text += chunk; if (text.includes('\r\n\r\n')) socket.destroy(); });
    socket.on('error', () => {}).on('close', () => done(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]) || undefined));
    if (hangUpAfter !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpAfter);
  });
}

// finding: S1
test('600 password attempts whose clients hang up, from 22 addresses: memory is bounded, and others are served', async (t) => {
  await serve();
  gate.addUser('root', 'admin');
  const attempts = Array.from({ length: 600 }, (_, index) => send(stranger(index % 22), guess(`person-${index}`), { hangUpAfter: 4 + (index % 3) * 10 }));
  await Promise.all(attempts);
  const health = await send('127.0.0.1', 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal(health, 200);
  await until('a person signs in by password', async () => (await new Agent().signInByPassword(gate, 'root')).status === 303);
  t.diagnostic(`at most ${gate.memory('VmHWM').toFixed(0)} MiB`);
  assert.ok(gate.memory('VmHWM') < MOST_MEMORY, `${gate.memory('VmHWM')} MiB`);
});

// finding: S1, S2
test('password attempts one after the other and from 22 addresses at once: memory is used again, and too many are refused at once', async (t) => {
  await serve();
  for (let index = 0; index < 60; index += 1) assert.equal(await send(stranger(index % 3), guess(`person-${index}`)), 403);
  const afterwards = gate.memory('VmHWM');
  assert.ok(afterwards < MOST_MEMORY, `${afterwards} MiB after 60 attempts`);
  const statuses = await Promise.all(Array.from({ length: 220 }, (_, index) => send(stranger(10 + (index % 22)), guess(`other-${index}`))));
  const count = (status) => statuses.filter((each) => each === status).length;
  assert.ok(count(403) >= 64, `${statuses}`);
  assert.equal(count(403) + count(429) + count(503), 220, `${statuses}`);
  t.diagnostic(`${afterwards.toFixed(0)} MiB, then ${gate.memory('VmHWM').toFixed(0)} MiB; ${count(403)} of 220 were hashed`);
  assert.ok(gate.memory('VmHWM') < MOST_MEMORY, `${gate.memory('VmHWM')} MiB`);
});
