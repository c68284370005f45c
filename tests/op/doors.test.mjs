// The other doors: password fallback, forward-auth, token verification, administration, metrics.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, Claimgate, IDENTITY, pair, until } from './claimgate.mjs';
import { Op } from './op.mjs';

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

// attack: headers.from-the-client, headers.line-breaks, headers.non-ascii
test('forward-auth: who it is, or not; teams; nothing a client sends comes back', async () => {
  await serve();
  const agent = new Agent();
  const ask = (path, headers = {}) => agent.request(`${gate.url}${path}`, { headers });
  assert.equal((await ask('/auth')).status, 401);
  op.overrides = { ada: { family_name: 'Lovelace é\r\nX-Auth-User: root', groups: ['crm-admin', '/crm/a,b'] } };
  await agent.signIn(gate, 'crm', 'ada');
  op.overrides = undefined;
  const answer = await ask('/auth', { 'x-auth-user': 'root', 'x-auth-teams': 'root' });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('x-auth-user'), 'ada');
  assert.equal(answer.headers.get('x-auth-email'), 'ada@example.com');
  assert.equal(answer.headers.get('x-auth-teams'), 'Administrators,a%2Cb');
  // A name with a line break in it is no name: the field stays empty.
  assert.equal(answer.headers.get('x-auth-name'), 'Ada');
  assert.equal((await ask('/auth?team=Administrators')).status, 200);
  assert.equal((await ask('/auth?team=nobody&team=Administrators')).status, 200);
  assert.equal((await ask('/auth?team=nobody')).status, 403);
});

test('forward-auth for proxies that pass the answer on', async () => {
  await serve();
  const page = { accept: 'text/html' };
  const ask = (path, headers) => new Agent().request(`${gate.url}${path}`, { headers });
  const traefik = { ...page, 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${gate.port}`, 'x-forwarded-uri': '/reports?a=1&b=2' };
  const sent = await ask('/auth/redirect', traefik);
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.location).searchParams.get('return_to'), `${gate.url}/reports?a=1&b=2`);
  const envoy = await ask('/auth/redirect/reports?a=1', page);
  assert.equal(new URL(envoy.location).searchParams.get('return_to'), `${gate.url}/reports?a=1`);
  assert.equal((await ask('/auth/redirect', { accept: 'application/json' })).status, 401);
  for (const [mode, status] of [['navigate', 303], ['cors', 401], ['no-cors', 401]]) {
    assert.equal((await ask('/auth/redirect', { accept: '*/*', 'sec-fetch-mode': mode })).status, status, mode);
  }
  const evil = await new Agent().walk(`${gate.url}/login/crm?return_to=${encodeURIComponent('http://evil.example.com/')}`, { as: 'ada' });
  assert.equal(evil.url, `${gate.url}/`);
});

test('verification for services in any language', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const sent = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  const token = new URL(sent.location).searchParams.get('id_token_hint');
  const ask = async (form, headers = {}) => { const answer = await fetch(`${gate.url}/api/v1/verify`, { method: 'POST', body: new URLSearchParams(form), headers }); return { status: answer.status, body: await answer.json() }; };
  const good = await ask({ token });
  assert.equal(good.body.active, true);
  assert.equal(good.body.sub, 'ada');
  assert.equal(good.body.username, 'ada');
  assert.deepEqual(good.body.teams, ['Administrators', 'sales']);
  for (const bad of [`${token.slice(0, -4)}AAAA`, 'x', '', token.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url'))]) {
    assert.deepEqual(await ask({ token: bad }), { status: 200, body: { active: false } });
  }
  assert.equal((await ask({})).status, 400);
  await serve({ server: { verify_secret: 'for services only, please' } });
  assert.equal((await ask({ token })).status, 401);
  assert.equal((await ask({ token }, { authorization: 'Bearer for services only, pleasf' })).status, 401);
  assert.equal((await ask({ token }, { authorization: 'Bearer for services only, please' })).status, 200);
});

test('administration: users, teams and sessions, for admins alone', async () => {
  await serve();
  add('root', 'super-admin');
  add('boss', 'admin');
  const [root, boss, ada] = [new Agent(), new Agent(), new Agent()];
  await enter(root, 'root');
  await enter(boss, 'boss');
  await ada.signIn(gate, 'crm', 'ada');
  const call = async (agent, method, path, json, headers = OWN) => { const answer = await agent.request(`${gate.url}/api/v1${path}`, { method, json, headers }); return { status: answer.status, body: answer.text && JSON.parse(answer.text) }; };
  for (const [method, path] of [['GET', '/users'], ['POST', '/users'], ['GET', '/users/1'], ['PATCH', '/users/1'], ['PUT', '/users/1/password'], ['DELETE', '/users/1/sessions'], ['GET', '/teams'], ['GET', '/sessions'], ['DELETE', `/sessions/${'0'.repeat(32)}`]]) {
    assert.equal((await call(ada, method, path, method === 'GET' ? undefined : {})).status, 403, `${method} ${path}`);
    assert.equal((await call(new Agent(), method, path, method === 'GET' ? undefined : {})).status, 401, `${method} ${path}`);
    if (method !== 'GET') assert.equal((await call(root, method, path, {}, { 'sec-fetch-site': 'cross-site' })).status, 403);
  }
  const made = await call(boss, 'POST', '/users', { username: 'zoe', password: PASSWORD, teams: ['Lab'] });
  assert.equal(made.status, 201);
  assert.equal((await call(boss, 'POST', '/users', { username: 'zoe' })).status, 409);
  assert.equal((await call(boss, 'POST', '/users', { username: 'evil', kind: 'super-admin' })).status, 403);
  assert.equal((await call(boss, 'POST', '/users', { username: 'weak', password: 'short' })).body.error, 'password.too_short');
  assert.equal((await call(boss, 'POST', '/users', { username: 'x', colour: 1 })).status, 400);
  const users = (await call(boss, 'GET', '/users')).body.users;
  assert.deepEqual(users.map((user) => user.username), ['ada', 'boss', 'root', 'zoe']);
  assert.ok(!JSON.stringify(users).includes('argon2'));
  assert.equal((await call(boss, 'GET', '/users?after=boss&limit=1')).body.users[0].username, 'root');
  const id = (name) => users.find((user) => user.username === name).id;
  assert.equal((await call(boss, 'PATCH', `/users/${id('root')}`, { active: false })).status, 403);
  assert.equal((await call(boss, 'PATCH', `/users/${id('zoe')}`, { kind: 'super-admin' })).status, 403);
  assert.deepEqual((await call(boss, 'GET', '/teams')).body.teams.map((team) => team.team), ['Administrators', 'Lab', 'sales']);
  // Hand-given teams survive a sync, the mapping's own follow it.
  await call(boss, 'PATCH', `/users/${id('ada')}`, { teams: ['Administrators', 'sales', 'Chess'] });
  assert.deepEqual((await ada.me(gate)).teams, ['Administrators', 'Chess', 'sales']);
  op.overrides = { ada: { groups: [] } };
  assert.deepEqual((await new Agent().signIn(gate, 'crm', 'ada')).teams, ['Chess']);
  op.overrides = undefined;
  const sessions = (await call(boss, 'GET', `/sessions?user=${id('ada')}`)).body.sessions;
  assert.equal(sessions.length, 2);
  for (const session of sessions) assert.ok(!JSON.stringify(session).includes('eyJ'));
  assert.equal((await call(boss, 'DELETE', `/sessions/${sessions[1].id}`)).status, 200);
  assert.equal((await call(boss, 'DELETE', `/sessions/${sessions[1].id}`)).status, 404);
  assert.equal(await ada.me(gate), undefined);
  assert.deepEqual((await call(boss, 'DELETE', `/users/${id('ada')}/sessions`)).body, { ended: 1 });
  assert.equal((await call(root, 'PUT', `/users/${id('boss')}/password`, { password: `${PASSWORD}!` })).status, 200);
  assert.equal(await boss.me(gate), undefined);
  assert.equal((await enter(boss, 'boss', `${PASSWORD}!`)).status, 303);
  assert.equal((await call(root, 'PATCH', `/users/${id('boss')}`, { active: false })).body.active, false);
  assert.equal(await boss.me(gate), undefined);
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
  await serve({ server: { metrics_from: ['192.0.2.1'] } });
  assert.equal((await fetch(`${gate.url}/metrics`)).status, 404);
});

test('a public URL with a path, and an answer’s headers', async () => {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${gate.url}/sso/callback/crm`];
  op.configure([client]);
  await gate.write({ providers: [provider], server: { public_url: `${gate.url}/sso` } });
  gate.url = `${gate.url}/sso`;
  await gate.start();
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
  const home = await agent.request(`${gate.url}/`);
  assert.match(home.text, /action="\/sso\/logout"/);
  assert.match(home.headers.get('content-security-policy'), /^default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/);
  assert.equal(home.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(home.headers.get('referrer-policy'), 'strict-origin');
  assert.equal(home.headers.get('cache-control'), 'no-store');
});

// attack: state.mix-up
test('several providers: each finds its own, a logout token of one ends nothing of another', async () => {
  if (gate) await gate.close();
  gate = await Claimgate.prepare();
  const second = await Op.start();
  const first = pair(op, gate, 'one');
  const other = pair(second, gate, 'two');
  op.configure([first.client]);
  second.configure([other.client]);
  const twoIdentity = '[provider.identity]\nusername = "preferred_username"\nusername_prefix = "two-"\n';
  gate.write({ providers: [first.provider, other.provider], identity: twoIdentity + IDENTITY });
  await gate.start();
  assert.match((await (await fetch(`${gate.url}/login`)).text()), /Sign in with one.*Sign in with two/s);
  const [ada, twin] = [new Agent(), new Agent()];
  assert.equal((await ada.signIn(gate, 'one', 'ada')).username, 'ada');
  assert.equal((await twin.signIn(gate, 'two', 'ada')).username, 'two-ada');
  const token = await second.logoutToken('two', 'ada');
  const forged = token.split('.');
  const claims = JSON.parse(Buffer.from(forged[1], 'base64url'));
  forged[1] = Buffer.from(JSON.stringify({ ...claims, iss: op.issuer, aud: 'one' })).toString('base64url');
  const post = (logout_token) => fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token }) });
  assert.equal((await post(forged.join('.'))).status, 400);
  assert.equal((await post(token)).status, 200);
  assert.equal(await twin.me(gate), undefined);
  assert.equal((await ada.me(gate)).username, 'ada');
  await second.stop();
});

// attack: back-channel.slow-body, size.token
test('a body that does not come, or is too large', async () => {
  await serve();
  const { connect } = await import('node:net');
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
