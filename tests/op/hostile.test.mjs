// Attacks on availability, scaled down: what strangers occupy stays within its bound, and others are served.
// `benches/load/run --hostile` runs them at full size.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import * as http2 from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { replace, until } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';

/** What the process may hold while strangers guess passwords, in MiB. */
const MOST_MEMORY = 150;

let op;
let gate;
before(async () => { op = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

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

/** The connections that the server has open, and its other files. */
const openFiles = () => readdirSync(`/proc/${gate.process.pid}/fd`).length;

// finding: S4
test('clients that pipeline requests and do not read are given up, and others are served meanwhile', async (t) => {
  await serve();
  const health = () => send('127.0.0.1', 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal(await health(), 200);
  const [files, memory] = [openFiles(), gate.memory('VmRSS')];
  const pages = `GET /login/password?return_to=/${'!'.repeat(1_900)} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n`.repeat(400);
  const clients = Array.from({ length: 100 }, (_, index) => {
    const socket = connect({ port: gate.port, host: '127.0.0.1', localAddress: stranger(index % 4) }, () => socket.write(pages));
    return socket.pause().on('error', () => {});
  });
  // The connection of the probe may still have been open when the files were counted.
  await until('they are connected', () => openFiles() >= files + clients.length - 1);
  const begun = Date.now();
  await until('all of them are closed', async () => {
    assert.equal(await health(), 200);
    return openFiles() <= files + 2;
  }, 30_000);
  const more = gate.memory('VmHWM') - memory;
  t.diagnostic(`closed after ${Date.now() - begun} ms; ${more.toFixed(0)} MiB more`);
  for (const socket of clients) socket.destroy();
  assert.ok(more < 60, `${more} MiB`);
});

// finding: S4
test('HTTP/2 clients that grant no window are given up although they answer pings, and have 16 streams each', async (t) => {
  const files = mkdtempSync(join(tmpdir(), 'claimgate-tls-'));
  t.after(() => rmSync(files, { recursive: true }));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'certificate.pem', '-days', '2', '-subj', '/CN=localhost'], { cwd: files, stdio: 'ignore' });
  await serve({ server: { tls_certificate: join(files, 'certificate.pem'), tls_key: join(files, 'key.pem') }, start: false });
  const ready = gate.start({ logLevel: 'info' }).catch(() => {});
  const connection = (settings) => http2.connect(`https://127.0.0.1:${gate.port}`, { rejectUnauthorized: false, settings });
  const status = () => new Promise((done) => {
    const client = connection({}).on('error', () => done(undefined));
    client.request({ ':path': '/healthz' }).on('response', (headers) => { done(headers[':status']); client.close(); }).on('error', () => {}).end();
  });
  await until('it answers', async () => (await status()) === 200);
  let closed = 0;
  const streams = [];
  for (let index = 0; index < 40; index += 1) {
    const client = connection({ initialWindowSize: 0 }).on('error', () => {}).on('close', () => { closed += 1; });
    client.on('remoteSettings', ({ maxConcurrentStreams }) => streams.push(maxConcurrentStreams));
    for (let count = 0; count < 16; count += 1) client.request({ ':path': '/login/password', accept: 'text/html' }).on('error', () => {});
  }
  await until('all of them are closed', async () => {
    assert.equal(await status(), 200);
    return closed === 40;
  }, 30_000);
  assert.deepEqual([...new Set(streams)], [16]);
  await gate.stop('SIGKILL');
  await ready;
});

// finding: S4
test('HTTP/2: heads of thousands of fields, and answers to thousands of cookies, take no more than the documented 124 MiB', async (t) => {
  const files = mkdtempSync(join(tmpdir(), 'claimgate-tls-'));
  t.after(() => rmSync(files, { recursive: true }));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'certificate.pem', '-days', '2', '-subj', '/CN=localhost'], { cwd: files, stdio: 'ignore' });
  await serve({ server: { tls_certificate: join(files, 'certificate.pem'), tls_key: join(files, 'key.pem') }, start: false });
  const ready = gate.start({ logLevel: 'info' }).catch(() => {});
  const connection = (settings) => http2.connect(`https://127.0.0.1:${gate.port}`, { rejectUnauthorized: false, settings }).on('error', () => {});
  const answer = (headers, end) => new Promise((done) => {
    const client = connection({});
    client.on('error', () => done(undefined));
    const request = client.request(headers, { endStream: end }).on('error', () => done(undefined));
    request.on('response', (head) => { done(head); client.destroy(); });
  });
  await until('it answers', async () => (await answer({ ':path': '/healthz' }, true))?.[':status'] === 200);
  const fields = Object.fromEntries(Array.from({ length: 1_000 }, (_, number) => [`x-${number}`, '']));
  const refused = await answer({ ':method': 'POST', ':path': '/backchannel-logout', 'content-type': 'application/x-www-form-urlencoded', ...fields }, false);
  assert.equal(refused[':status'], 431);
  const cookie = Array.from({ length: 2_500 }, (_, number) => `claimgate-login-${number}=`).join('; ');
  const redirect = await answer({ ':path': '/login/bad', cookie }, true);
  assert.equal(redirect[':status'], 303);
  assert.ok(redirect['set-cookie'].length <= 9, `${redirect['set-cookie'].length} cookies`);
  const far = await answer({ ':path': `/auth/redirect/${'x'.repeat(50_000)}`, accept: 'text/html' }, true);
  assert.equal(far[':status'], 303);
  assert.ok(far.location.length < 1_000, far.location.slice(0, 200));
  const memory = gate.memory('VmRSS');
  const clients = [];
  for (let index = 0; index < 40; index += 1) {
    const client = connection({ initialWindowSize: 0 });
    for (let count = 0; count < 16; count += 1) client.request({ ':path': '/login/bad', cookie }).on('error', () => {});
    clients.push(client);
  }
  await until('most are answered', async () => (await answer({ ':path': '/healthz' }, true))?.[':status'] === 200);
  const more = gate.memory('VmHWM') - memory;
  t.diagnostic(`${more.toFixed(0)} MiB more`);
  assert.ok(more < 60, `${more} MiB`);
  for (const client of clients) client.destroy();
  await gate.stop('SIGKILL');
  await ready;
});

// finding: S4
test('the plain listener speaks HTTP/1 only', async () => {
  await serve();
  const answer = await new Promise((done) => {
    const socket = connect(gate.port, '127.0.0.1', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'));
    let bytes = '';
    socket.setEncoding('latin1').on('data', (chunk) => { bytes += chunk; }).on('error', () => {}).on('close', () => done(bytes));
  });
  assert.equal(answer, '', 'no frame of HTTP/2');
});

// finding: S21
test('bodies that do not arrive take no place: logouts of the same address are served, and the bodies are given up', async (t) => {
  await serve();
  const slow = 'POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 2000\r\n\r\nlogout_token=';
  const begun = Date.now();
  // More than one address may have logouts under way.
  const bodies = Array.from({ length: 1_100 }, () => send(stranger(1), slow));
  const statuses = [];
  const logout = () => { const body = `logout_token=${op.logoutToken()}`; return `POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n${body}`; };
  for (let count = 0; count < 20; count += 1) statuses.push(await send(stranger(1), logout()));
  assert.deepEqual([...new Set(statuses)], [200]);
  const refused = await Promise.all(bodies);
  t.diagnostic(`the last body was given up after ${Date.now() - begun} ms`);
  assert.deepEqual([...new Set(refused)], [408]);
});

// finding: S10
test('logouts from an address in logout_from have bytes of their own before a stranger’s: twice as many', async () => {
  const provider = '127.0.2.1';
  await serve({ provider: { logout_from: [provider] } });
  const slow = `POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 250000\r\n\r\n${'x'.repeat(240_000)}`;
  const statuses = async (address) => [...new Set(await Promise.all(Array.from({ length: 60 }, () => send(address, slow))))].sort();
  const [ofStranger, ofProvider] = await Promise.all([statuses(stranger(1)), statuses(provider)]);
  assert.deepEqual(ofStranger, [408, 429]);
  assert.deepEqual(ofProvider, [408]); // 60 × 240 KB are more than 8 MiB and less than 16.
});

// finding: S21, S22
test('the connections, long heads and bodies of one address take no more than the documented 48 MiB', async (t) => {
  await serve();
  const memory = gate.memory('VmRSS');
  const slow = `POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100000\r\na: ${'x'.repeat(60_000)}\r\n\r\n${'x'.repeat(30_000)}`;
  const statuses = await Promise.all(Array.from({ length: 250 }, () => send(stranger(1), slow)));
  assert.deepEqual([...new Set(statuses)].sort(), [408, 429]);
  const more = gate.memory('VmHWM') - memory;
  t.diagnostic(`${more.toFixed(0)} MiB more`);
  assert.ok(more < 48, `${more} MiB`);
});

// finding: S10
test('an address whose requests are refused again and again waits for each further refusal; what is not refused and other addresses do not', async (t) => {
  await serve();
  const form = (body) => `POST /backchannel-logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const timed = async (address, bytes) => {
    const begun = Date.now();
    return { status: await send(address, bytes), time: Date.now() - begun };
  };
  const forged = form(`logout_token=${op.logoutToken().slice(0, -20)}`);
  const storm = () => Promise.all(Array.from({ length: 100 }, () => timed(stranger(1), forged)));
  // Ten more are allowed each second: a slow machine takes longer to come to the limit.
  let [refused, late] = [[], 0];
  for (let sent = 0; sent < 10_000 && late < 50; sent += 100) {
    refused = await storm();
    late = sent < 1_000 ? 0 : refused.filter(({ time }) => time >= 1_000).length;
  }
  // What waits, waits each time; what a busy machine delays, it delays once.
  let others;
  for (let round = 0; round < 5 && !others?.every(({ time }) => time < 900); round += 1) {
    others = await Promise.all([
      timed(stranger(1), form(`logout_token=${op.logoutToken()}`)),
      timed(stranger(1), 'GET /auth HTTP/1.1\r\nhost: x\r\n\r\n'),
      timed(stranger(2), forged),
    ]);
    assert.deepEqual(others.map(({ status }) => status), [200, 401, 400]);
  }
  t.diagnostic(`${late} of ${refused.length} waited; ${others.map(({ time }) => time)} ms`);
  assert.deepEqual([...new Set(refused.map(({ status }) => status))], [400]);
  assert.ok(late >= 50, `${late} of ${refused.length}`);
  assert.ok(others.every(({ time }) => time < 900), JSON.stringify(others));
});

// finding: S15
test('a request names exactly one host', async () => {
  await serve();
  const status = (head) => send('127.0.0.1', `${head}\r\n\r\n`);
  assert.equal(await status('GET /auth HTTP/1.1\r\nhost: x'), 401);
  assert.equal(await status('GET /auth HTTP/1.1'), 400);
  assert.equal(await status('GET /auth HTTP/1.1\r\nhost: x\r\nhost: x'), 400);
  assert.equal(await status('GET /auth HTTP/1.1\r\nhost: x\r\nhost: y'), 400);
  assert.equal(await status('GET /auth HTTP/1.1\r\nhost: a@x'), 400);
});

// finding: S9
test('a sign-out with an invented cookie writes nothing', async () => {
  await serve();
  gate.forgetLog();
  const out = 'POST /logout HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nsec-fetch-site: same-origin\r\ncookie: claimgate=';
  const statuses = await Promise.all(Array.from({ length: 100 }, (_, index) => send(stranger(index % 22), `${out}${'A'.repeat(40)}${String(index).padStart(3, '0')}\r\n\r\n`)));
  assert.deepEqual([...new Set(statuses)], [303]);
  // A request that does write a line: those before it would stand before it.
  await gate.post('/login/password', { username: 'no-one', password: 'not the password' });
  await until('the refused password is logged', () => gate.log.includes('\n'));
  assert.equal(gate.log.split('\n').filter((line) => !line.includes('password.')).join(''), '');
});

// finding: S19
test('codes that the provider refuses are limited by address', async () => {
  await serve({ overrides: { token: (response, body) => { response.statusCode = 400; body({ error: 'invalid_grant' }); } } });
  const agents = [];
  const fail = async () => {
    const agent = new Agent();
    const begun = await agent.request(`${gate.url}/login/bad`);
    const state = new URL(begun.location).searchParams.get('state');
    agents.push(agent);
    return (await agent.request(`${gate.url}/callback/bad?code=invented&state=${state}`)).status;
  };
  const statuses = [];
  for (let tries = 0; tries < 70; tries += 1) statuses.push(await fail());
  assert.deepEqual(statuses.slice(60), Array(10).fill(429));
  assert.deepEqual([...new Set(statuses.slice(0, 60))], [502]);
  assert.equal(op.requests['/token'], 60);
});
