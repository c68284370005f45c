// Hostile requests to the doors of the running server: back-channel logout, keys, passwords, size.
// Each test names in an `attack:` line the inputs of docs/generated/attacks.md that it shows refused.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { BadOp, EVENT, json } from './bad-op.mjs';
import { Agent, Claimgate, nextSecond, pair, until } from './claimgate.mjs';
import { clock } from './clock.mjs';

const PATHS = ['/api/v1/backchannelLogout', '/api/v1/Oidc/backchannelLogout', '/backchannel-logout'];
const OWN = { 'sec-fetch-site': 'same-origin' };
const PASSWORD = 'correct horse battery staple';

let op;
let gate;
before(async () => { op = await BadOp.start(); gate = await Claimgate.prepare(); });
after(async () => { await gate.close(); await op.stop(); });

async function serve(wrong = {}, rest = {}, start = {}) {
  await gate.close();
  gate = await Claimgate.prepare();
  op.wrong = wrong;
  op.calls = {};
  await gate.write({ providers: [pair(op, gate, 'bad').provider], ...rest }).start(start);
}

const signIn = (agent) => agent.walk(`${gate.url}/login/bad`);
const post = (path, form, options = {}) => fetch(`${gate.url}${path}`, { method: 'POST', body: new URLSearchParams(form), ...options });

/** Writes bytes as they are, then nothing; the whole answer. */
function raw(text, { end = false } = {}) {
  return new Promise((done, failed) => {
    let answer = '';
    const socket = connect(gate.port, '127.0.0.1', () => { socket.write(text, 'latin1'); if (end) socket.end(); });
    socket.on('data', (chunk) => { answer += chunk; });
    socket.on('close', () => done(answer));
    socket.on('error', failed);
    setTimeout(() => socket.destroy(), 20_000).unref();
  });
}

/** The most memory that the server has had, in MiB. */
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${gate.process.pid}/status`, 'utf8'))[1]) / 1024;

// attack: back-channel.no-events, back-channel.events-of-a-wrong-type, back-channel.nonce, back-channel.nobody
// attack: back-channel.wrong-audience, back-channel.replayed, back-channel.get, back-channel.json-body
// attack: back-channel.two-fields, back-channel.large-body, back-channel.slow-body, typ.id-token-as-logout-token
// attack: typ.access-token-as-either
test('what is no logout request ends nothing, and is never stored', async () => {
  await serve();
  await nextSecond();
  const agent = new Agent();
  await signIn(agent);
  const good = () => op.logoutToken();
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const bad = (claims, header) => [{ logout_token: op.logoutToken(claims, header) }, 400];
  const used = op.logoutToken({ sub: 'somebody else' });
  assert.equal((await post(PATHS[0], { logout_token: used })).status, 200);
  const idToken = () => op.idToken();
  const cases = [
    ...[undefined, null, {}, [], [EVENT], EVENT, true, 7, { [EVENT]: null }, { [EVENT]: [] }, { [EVENT]: 'x' }, { [EVENT]: true }, { [`${EVENT}/`]: {} }, { [EVENT.toUpperCase()]: {} }].map((events) => bad({ events })),
    ...['n', '', null, 7].map((nonce) => bad({ nonce })),
    ...[{ sub: undefined }, { sub: '' }, { sub: null }, { sub: 7 }, { sub: ['s1'] }, { sub: undefined, sid: '' }, { sub: undefined, sid: 7 }, { sid: null }].map((claims) => bad(claims)),
    ...['other', 'BAD', 'bad ', [], [7], '', null, undefined, ['other', 'x'], { bad: 1 }].map((aud) => bad({ aud })),
    ...['at+jwt', 'application/at+jwt', 'dpop+jwt', ''].map((typ) => bad({}, { typ })),
    ...[undefined, '', 7, null].map((jti) => bad({ jti })),
    [{ logout_token: used }, 400],
    [{ logout_token: idToken() }, 400],
    [{}, 400], [{ logout_token: '' }, 400], [{ LOGOUT_TOKEN: good() }, 400], [{ 'logout_token[]': good() }, 400],
    [[['logout_token', good()], ['logout_token', good()]], 400], [[['logout_token', ''], ['logout_token', good()]], 400],
    [JSON.stringify({ logout_token: good() }), 400, { 'content-type': 'application/json' }],
    [good(), 400, { 'content-type': 'application/logout+jwt' }], [`logout_token=${good()}`, 400, { 'content-type': 'text/plain' }],
    [`logout_token=${good()}`, 400, { 'content-type': '' }], [`logout_token=${good()}`, 400, { 'content-type': 'multipart/form-data; boundary=x' }],
    [{ logout_token: 'x'.repeat(10 * 1024 * 1024) }, 413], [`x=${'y'.repeat(300_000)}&logout_token=${good()}`, 413, form],
  ];
  for (const [body, status, headers] of cases) {
    for (const path of PATHS) {
      const what = JSON.stringify(body).slice(0, 200);
      const text = typeof body === 'string' ? body : new URLSearchParams(body);
      // A server that refuses a large body closes before it has all of it.
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
  const slow = await raw(`POST ${PATHS[0]} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 5000\r\n\r\nlogout_token=${good()}`);
  assert.match(slow, /^HTTP\/1\.1 408 /);
  assert.match(slow, /cache-control: no-store/i);
  assert.equal((await agent.me(gate))?.username, 'ada', 'a session was ended');
  // And the neighbour that must not be refused.
  assert.equal((await post(PATHS[0], { logout_token: good() })).status, 200);
  assert.equal(await agent.me(gate), undefined);
});

// attack: key-fetch.invented-kids
test('10,000 invented kids at once are one fetch per cool-down, and hold up no good token', async () => {
  await serve();
  await until('keys are there', () => gate.log.includes('keys fetched'));
  op.calls = {};
  const [, claims] = op.logoutToken().split('.');
  const begun = Date.now();
  let number = 0;
  const answers = new Set();
  const worker = async () => {
    while (number < 10_000) {
      number += 1;
      const token = `${json({ alg: 'RS256', kid: `invented-${number}` })}.${claims}.${'A'.repeat(342)}`;
      const answer = await post(PATHS[0], { logout_token: token });
      await answer.arrayBuffer();
      answers.add(answer.status);
    }
  };
  const flood = Promise.all(Array.from({ length: 24 }, worker));
  await until('the flood runs', () => number > 500);
  assert.equal((await post(PATHS[0], { logout_token: op.logoutToken() })).status, 200);
  await flood;
  assert.deepEqual([...answers], [400]);
  const seconds = (Date.now() - begun) / 1000;
  assert.ok((op.calls['/jwks'] ?? 0) <= 1 + Math.floor(seconds / 30), `${op.calls['/jwks']} fetches in ${seconds} s`);
});

// attack: key-fetch.hundred-megabytes, key-fetch.never-ending, size.key-set, size.memory
test('a key set of 100 MB, or without an end, costs no memory', async () => {
  const megabyte = Buffer.alloc(1 << 20, 0x20);
  for (const [jwks, code] of [
    [(response) => { response.setHeader('content-length', 100 << 20); let left = 100; const more = () => { while (left > 0 && !response.destroyed) { left -= 1; if (!response.write(megabyte)) return; } }; response.on('drain', more); more(); }, 'fetch.too_large'],
    [(response) => { const more = () => { while (!response.destroyed && response.write(megabyte)); }; response.on('drain', more); more(); }, 'fetch.too_large'],
    [(_response, send) => send({ keys: Array(10_000).fill({ kty: 'RSA' }) }), 'key.json'],
    [(_response, send) => send({ keys: Array(10_000).fill({}) }), 'key.set_too_large'],
  ]) {
    await serve({ jwks });
    await until('it is refused', () => gate.logged(code).length > 0);
    assert.equal((await signIn(new Agent())).status, 403);
    assert.ok(peak() < 120, `${peak()} MiB`);
  }
});

// attack: size.header, size.token, size.dots, size.claims, size.audience, size.memory, kid.one-megabyte
test('oversized tokens are refused at once, and memory stays where it was', async () => {
  await serve();
  await signIn(new Agent());
  const sign = (header, claims) => `${json(header)}.${json(claims)}.${'A'.repeat(342)}`;
  const header = { alg: 'RS256', kid: 'one' };
  const claims = { iss: op.issuer, sub: 's1', aud: 'bad' };
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, index]));
  for (const token of [
    sign({ ...header, kid: 'k'.repeat(1_000_000) }, claims), 'a'.repeat(10_000_000), '.'.repeat(100_000), sign(header, many(1_000_000)), sign(header, { ...claims, aud: Array(100_000).fill('a') }),
    // Below the body's limit, and beyond the engine's.
    sign({ ...header, kid: 'k'.repeat(100_000) }, claims), '.'.repeat(200_000), sign(header, { ...many(9_000), ...claims }), sign(header, { ...claims, aud: Array(30_000).fill('') }),
    `${json(header)}.${Buffer.from(`{"iss":${'['.repeat(100_000)}`).toString('base64url')}.AAAA`,
  ]) {
    for (const [path, field] of [[PATHS[0], 'logout_token'], ['/api/v1/verify', 'token']]) {
      const begun = Date.now();
      const answer = await post(path, { [field]: token }).catch(() => undefined);
      if (answer) assert.ok([400, 413].includes(answer.status) || (await answer.json()).active === false, `${answer.status}`);
      else assert.ok(token.length > 256 * 1024);
      assert.ok(Date.now() - begun < 3000, `${token.slice(0, 40)}: ${Date.now() - begun} ms`);
    }
  }
  // A head that is too large for the server's own parser.
  const answer = await raw(`GET /auth HTTP/1.1\r\nhost: x\r\ncookie: claimgate=${'x'.repeat(2_000_000)}\r\n\r\n`).catch(() => '');
  assert.ok(answer === '' || /^HTTP\/1\.1 4\d\d /.test(answer), answer.slice(0, 100));
  assert.ok(peak() < 120, `${peak()} MiB`);
});

// attack: password.stuffing, password.one-megabyte, password.enumeration-by-text
test('the password door: many names, one name many times, and a password of 1 MB', async () => {
  await serve();
  assert.equal(gate.command(['user', 'add', 'root', '--kind', 'admin', '--password-stdin'], `${PASSWORD}\n`).code, 0);
  const enter = (username, password) => post('/login/password', { username, password }, { headers: OWN, redirect: 'manual' });
  const begun = Date.now();
  const large = await enter('root', 'x'.repeat(1_000_000)).catch(() => ({ status: 413 }));
  assert.ok([400, 403, 413].includes(large.status), `${large.status}`);
  assert.ok(Date.now() - begun < 3000, 'a large password takes no longer');
  // Stuffing: one password at many names from one address. Spelling a name otherwise brings no more attempts.
  const statuses = [];
  for (let index = 0; index < 60; index += 1) statuses.push((await enter(`person-${index}`, 'incorrect horse battery staple')).status);
  const limited = statuses.filter((status) => status === 429).length;
  assert.ok(limited >= 10, `${limited} of 60 were limited`);
  assert.deepEqual([...new Set(statuses)].sort(), [403, 429]);
  for (const claimed of ['9.9.9.9', '127.0.0.1']) {
    const answer = await fetch(`${gate.url}/login/password`, { method: 'POST', headers: { ...OWN, 'x-forwarded-for': claimed, forwarded: `for=${claimed}` }, body: new URLSearchParams({ username: 'root', password: PASSWORD }), redirect: 'manual' });
    assert.equal(answer.status, 429, 'a client cannot say that it is somebody else');
  }
});

test('an application’s cookie of other letters beside ours signs nobody out', async () => {
  await serve();
  const agent = new Agent();
  await signIn(agent);
  const cookie = `claimgate=${agent.cookies(gate.url).get('claimgate')}`;
  for (const beside of ['name=Zo\u00eb', 'name=\u00ff\u00fe', 'a="\u00e9"; b=c', '=x; y; ;;=']) {
    for (const header of [`${beside}; ${cookie}`, `${cookie}; ${beside}`]) {
      const answer = await raw(`GET /api/v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: ${header}\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 200 /, header);
    }
  }
});

// attack: key-fetch.out-of-date
test('keys of a provider that has been gone for longer than the grace serve no more, nor after a reload', async () => {
  const { set, env } = clock();
  await serve({}, {}, { env });
  await until('the keys are there', () => gate.log.includes('keys fetched'));
  const later = Math.floor(Date.now() / 1000) + 26 * 3600;
  const logout = async (header) => (await post(PATHS[0], { logout_token: op.logoutToken({ iat: later, exp: later + 600 }, header) })).status;
  set('+26h');
  assert.equal(await logout(), 200, 'until a fetch has failed they serve');
  op.wrong = { jwks: (response) => response.destroy() };
  await logout({ kid: 'unknown' });
  assert.ok(gate.log.includes('the last good keys are too old'), gate.log);
  assert.equal(await logout(), 503);
  gate.process.kill('SIGHUP');
  await until('it is reloaded', () => gate.log.includes('configuration reloaded'));
  const answers = [];
  for (let index = 0; index < 20; index += 1) answers.push(await logout());
  assert.deepEqual([...new Set(answers)], [503]);
});
