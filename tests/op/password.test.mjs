// Sign-in by password: which kinds of users may, limits on attempts, one answer to all failures.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, Claimgate, pair, until } from './claimgate.mjs';
import { Op } from './provider.mjs';

const PASSWORD = 'correct horse battery staple';
const WRONG = 'incorrect horse battery staple';
const OWN = { 'sec-fetch-site': 'same-origin' };

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

async function reload(settings, seen) {
  gate.forgetLog();
  gate.write(settings);
  gate.process.kill('SIGHUP');
  await until(seen, () => gate.log.includes(seen));
}

function add(name, kind, ...more) {
  const run = gate.command(['user', 'add', name, '--kind', kind, '--password-stdin', ...more], `${PASSWORD}\n`);
  assert.equal(run.code, 0, run.err);
}

const enter = (agent, username, password = PASSWORD, headers = OWN) => agent.request(`${gate.url}/login/password`, { method: 'POST', form: { username, password }, headers });

const KINDS = ['regular', 'admin', 'super-admin', 'portal', 'api', 'system'];
for (const [name, signIn, admitted] of [
  ['off', { password_fallback: false, allow_admins: true }, []],
  ['on', {}, ['admin', 'super-admin']],
  ['on, regular users allowed', { password_fallback_regular: true }, ['admin', 'super-admin', 'regular']],
]) {
  test(`password fallback ${name}`, async () => {
    await serve({ signIn });
    for (const kind of KINDS) add(kind, kind);
    for (const kind of KINDS) {
      const agent = new Agent();
      const answer = await enter(agent, kind);
      assert.equal(answer.status, admitted.includes(kind) ? 303 : 403, kind);
      assert.equal((await agent.me(gate))?.username, admitted.includes(kind) ? kind : undefined);
    }
  });
}

test('no OIDC for admins and no fallback is refused at the start', async () => {
  await serve();
  await gate.stop();
  const { provider } = pair(op, gate, 'crm');
  gate.write({ providers: [provider], signIn: { password_fallback: false, allow_admins: false } });
  await gate.start({ expectReady: false });
  assert.equal(gate.exit.code, 2);
  assert.match(gate.log, /no admin can sign in/);
});

// attack: password.enumeration-by-time, password.enumeration-by-text
test('wrong password, nobody, and not by password: the same answer, about the same time', async () => {
  await serve();
  add('root', 'admin');
  add('joe', 'regular');
  const answers = [];
  for (const [username, password] of [['root', WRONG], ['nobody', PASSWORD], ['joe', PASSWORD], ['root', 'x'.repeat(100_000)]]) {
    const begun = performance.now();
    const answer = await enter(new Agent(), username, password);
    const page = answer.text.replace(/<code id="reference">[^<]*/, '');
    answers.push({ status: answer.status, page, time: performance.now() - begun });
  }
  for (const answer of answers) {
    assert.equal(answer.status, 403);
    assert.equal(answer.page, answers[0].page);
    assert.ok(answer.time > answers[0].time / 4, `${answer.time} ms beside ${answers[0].time} ms`);
  }
});

// attack: password.stuffing
test('attempts at a name, and from an address, are limited', async () => {
  await serve();
  add('root', 'admin');
  const statuses = [];
  for (let tries = 0; tries < 12; tries += 1) statuses.push((await enter(new Agent(), 'root', WRONG)).status);
  assert.deepEqual(statuses.slice(0, 10), Array(10).fill(403));
  assert.deepEqual(statuses.slice(10), [429, 429]);
  assert.equal((await enter(new Agent(), 'root')).status, 429);
  const others = await Promise.all(Array.from({ length: 30 }, (_, index) => enter(new Agent(), `n${index}`, WRONG)));
  assert.ok(others.some((answer) => answer.status === 429));
});

test('a deactivated user is out at once, and a password session has no way to the provider', async () => {
  await serve();
  add('root', 'admin');
  const agent = new Agent();
  await enter(agent, 'root');
  const out = await agent.request(`${gate.url}/logout`, { method: 'POST', headers: OWN });
  assert.equal(out.location, `${gate.url}/logged-out`);
  await enter(agent, 'root');
  assert.equal((await agent.me(gate)).username, 'root');
  assert.equal(gate.command(['user', 'deactivate', 'root']).code, 0);
  await until('the server follows', async () => (await agent.me(gate)) === undefined);
  assert.equal((await enter(agent, 'root')).status, 403);
});

// attack: console.cross-site
test('a form of another site is refused', async () => {
  await serve();
  add('root', 'admin');
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example.com' }]) {
    assert.equal((await enter(new Agent(), 'root', PASSWORD, headers)).status, 403);
  }
  assert.equal((await enter(new Agent(), 'root', PASSWORD, { origin: gate.url })).status, 303);
});

// attack: password.stuffing, password.one-megabyte, password.enumeration-by-text
test('password sign-in: many names, one name many times, and a password of 1 MB', async () => {
  await serve();
  add('root', 'admin');
  const post = (username, password) => fetch(`${gate.url}/login/password`, { method: 'POST', body: new URLSearchParams({ username, password }), headers: OWN, redirect: 'manual' });
  const begun = Date.now();
  const large = await post('root', 'x'.repeat(1_000_000)).catch(() => ({ status: 413 }));
  assert.ok([400, 403, 413].includes(large.status), `${large.status}`);
  assert.ok(Date.now() - begun < 3000, 'a large password takes no longer');
  // Stuffing: one password at many names from one address. Spelling a name otherwise brings no more attempts.
  const statuses = [];
  for (let index = 0; index < 60; index += 1) statuses.push((await post(`person-${index}`, 'incorrect horse battery staple')).status);
  const limited = statuses.filter((status) => status === 429).length;
  assert.ok(limited >= 10, `${limited} of 60 were limited`);
  assert.deepEqual([...new Set(statuses)].sort(), [403, 429]);
  for (const claimed of ['9.9.9.9', '127.0.0.1']) {
    const answer = await fetch(`${gate.url}/login/password`, { method: 'POST', headers: { ...OWN, 'x-forwarded-for': claimed, forwarded: `for=${claimed}` }, body: new URLSearchParams({ username: 'root', password: PASSWORD }), redirect: 'manual' });
    assert.equal(answer.status, 429, 'a client cannot say that it is somebody else');
  }
});

test('password sign-in is switched off by a reload; its sessions go on', async () => {
  const provider = await serve({ signIn: { password_fallback_regular: true } });
  add('root', 'admin');
  add('joe', 'regular');
  const status = async (agent, username) => (await enter(agent, username)).status;
  const [root, joe] = [new Agent(), new Agent()];
  assert.deepEqual([await status(root, 'root'), await status(joe, 'joe')], [303, 303]);
  for (const [signIn, admitted] of [[{}, [303, 403]], [{ password_fallback: false, allow_admins: true }, [403, 403]]]) {
    await reload({ providers: [provider], signIn }, 'configuration reloaded');
    assert.deepEqual([(await root.me(gate)).username, (await joe.me(gate)).username], ['root', 'joe']);
    assert.deepEqual([await status(new Agent(), 'root'), await status(new Agent(), 'joe')], admitted);
  }
  // Without passwords and with one provider, sign-in leads straight to the provider.
  assert.ok((await new Agent().request(`${gate.url}/login`)).location.startsWith(op.issuer));
});
