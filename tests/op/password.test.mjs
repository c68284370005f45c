// Sign-in by password: which kinds of users may, limits on attempts, one answer to all failures.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { replace, until } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

const WRONG = 'incorrect horse battery staple';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

const KINDS = ['regular', 'admin', 'super-admin', 'portal', 'api', 'system'];
for (const [name, signIn, admitted] of [
  ['off', { password_fallback: false, allow_admins: true }, []],
  ['on', {}, ['admin', 'super-admin']],
  ['on, regular users allowed', { password_fallback_regular: true }, ['admin', 'super-admin', 'regular']],
]) {
  test(`password fallback ${name}`, async () => {
    await serve({ signIn });
    for (const kind of KINDS) gate.addUser(kind, kind);
    for (const kind of KINDS) {
      const agent = new Agent();
      const answer = await agent.signInByPassword(gate, kind);
      assert.equal(answer.status, admitted.includes(kind) ? 303 : 403, kind);
      assert.equal((await agent.me(gate))?.username, admitted.includes(kind) ? kind : undefined);
    }
  });
}

test('no OIDC for admins and no fallback is refused at the start', async () => {
  await serve({ signIn: { password_fallback: false, allow_admins: false }, start: { expectReady: false } });
  assert.equal(gate.exit.code, 2);
  assert.match(gate.log, /no admin could sign in/);
});

// attack: password.enumeration-by-time, password.enumeration-by-text
test('a wrong password, an unknown user and a user without password: the same answer in about the same time', async () => {
  await serve();
  gate.addUser('root', 'admin');
  gate.addUser('joe', 'regular');
  const answers = [];
  // Three times: what else the machine does can only make an answer slower.
  for (const [username, password] of [['root', WRONG], ['root', WRONG], ['root', WRONG], ['nobody', PASSWORD], ['joe', PASSWORD], ['root', 'x'.repeat(100_000)]]) {
    const begun = performance.now();
    const answer = await new Agent().signInByPassword(gate, username, password);
    // The username that was entered is in the form again.
    const page = answer.text.replace(/<code id="reference">[^<]*/, '').replace(` value="${username}"`, '');
    answers.push({ status: answer.status, page, time: performance.now() - begun });
  }
  const usual = Math.min(...answers.slice(0, 3).map(({ time }) => time));
  for (const answer of answers) {
    assert.equal(answer.status, 403);
    assert.equal(answer.page, answers[0].page);
    assert.ok(answer.time > usual / 4, `${answer.time} ms beside ${usual} ms`);
  }
});

// attack: password.stuffing
test('attempts at a name are limited', async () => {
  await serve();
  gate.addUser('root', 'admin');
  const statuses = [];
  for (let tries = 0; tries < 12; tries += 1) statuses.push((await new Agent().signInByPassword(gate, 'root', WRONG)).status);
  assert.deepEqual(statuses.slice(0, 10), Array(10).fill(403));
  assert.deepEqual(statuses.slice(10), [429, 429]);
  assert.equal((await new Agent().signInByPassword(gate, 'root')).status, 429);
});

test('a deactivated user is signed out at once, and a password session is not sent to the provider', async () => {
  await serve();
  gate.addUser('root', 'admin');
  const agent = new Agent();
  await agent.signInByPassword(gate, 'root');
  const out = await agent.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  assert.equal(out.location, `${gate.url}/logged-out`);
  await agent.signInByPassword(gate, 'root');
  assert.equal((await agent.me(gate)).username, 'root');
  assert.equal(gate.command(['user', 'deactivate', 'root']).code, 0);
  await until('the server has noticed', async () => (await agent.me(gate)) === undefined);
  assert.equal((await agent.signInByPassword(gate, 'root')).status, 403);
});

// attack: console.cross-site
test('a form of another site is refused', async () => {
  await serve();
  gate.addUser('root', 'admin');
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example.com' }]) {
    assert.equal((await new Agent().signInByPassword(gate, 'root', PASSWORD, { headers })).status, 403);
  }
  assert.equal((await new Agent().signInByPassword(gate, 'root', PASSWORD, { headers: { origin: gate.url } })).status, 303);
});

// attack: password.stuffing, password.one-megabyte, password.enumeration-by-text
test('attempts from an address are limited, whatever address a client claims, and so is a password of 1 MB', async () => {
  await serve();
  gate.addUser('root', 'admin');
  const post = (username, password) => fetch(`${gate.url}/login/password`, { method: 'POST', body: new URLSearchParams({ username, password }), headers: SAME_ORIGIN, redirect: 'manual' });
  const begun = Date.now();
  const large = await post('root', 'x'.repeat(1_000_000)).catch(() => ({ status: 413 }));
  assert.ok([400, 403, 413].includes(large.status), `${large.status}`);
  assert.ok(Date.now() - begun < 10_000, 'a large password takes no longer');
  // Credential stuffing: one password for many names, from one address.
  const statuses = [];
  for (let index = 0; index < 60; index += 1) statuses.push((await post(`person-${index}`, WRONG)).status);
  const limited = statuses.filter((status) => status === 429).length;
  assert.ok(limited >= 10, `${limited} of 60 were limited`);
  assert.deepEqual([...new Set(statuses)].sort(), [403, 429]);
  for (const claimed of ['9.9.9.9', '127.0.0.1']) {
    const answer = await fetch(`${gate.url}/login/password`, { method: 'POST', headers: { ...SAME_ORIGIN, 'x-forwarded-for': claimed, forwarded: `for=${claimed}` }, body: new URLSearchParams({ username: 'root', password: PASSWORD }), redirect: 'manual' });
    assert.equal(answer.status, 429, 'the client chose its address');
  }
});

test('password sign-in is switched off by a reload; its sessions go on', async () => {
  const provider = await serve({ signIn: { password_fallback_regular: true } });
  gate.addUser('root', 'admin');
  gate.addUser('joe', 'regular');
  const status = async (agent, username) => (await agent.signInByPassword(gate, username)).status;
  const [root, joe] = [new Agent(), new Agent()];
  assert.deepEqual([await status(root, 'root'), await status(joe, 'joe')], [303, 303]);
  for (const [signIn, admitted] of [[{}, [303, 403]], [{ password_fallback: false, allow_admins: true }, [403, 403]]]) {
    gate.write({ providers: [provider], signIn });
    await gate.reload();
    assert.deepEqual([(await root.me(gate)).username, (await joe.me(gate)).username], ['root', 'joe']);
    assert.deepEqual([await status(new Agent(), 'root'), await status(new Agent(), 'joe')], admitted);
  }
  // The only way for regular users is led to; the form for passwords is switched off.
  assert.ok((await new Agent().request(`${gate.url}/login`)).location.startsWith(op.issuer));
  assert.equal((await new Agent().request(`${gate.url}/login/password`)).status, 404);
});

// finding: A6
test('sign-in leads to the only provider, unless regular users have passwords', async () => {
  const provider = await serve();
  for (const [regular, status] of [[false, 303], [true, 200]]) {
    gate.write({ providers: [provider], signIn: { password_fallback_regular: regular } });
    await gate.reload();
    const { status: answered, location, text } = await new Agent().request(`${gate.url}/login`);
    assert.equal(answered, status);
    if (regular) {
      assert.equal(location, undefined);
      assert.match(text, /href="\/login\/crm\?return_to=/);
    } else {
      const { origin, pathname, searchParams } = new URL(location);
      assert.deepEqual([origin, pathname, searchParams.get('client_id'), searchParams.get('redirect_uri')], [op.issuer, '/auth', 'crm', `${gate.url}/callback/crm`]);
    }
    assert.match((await new Agent().request(`${gate.url}/login/password`)).text, /<details open>/);
  }
});
