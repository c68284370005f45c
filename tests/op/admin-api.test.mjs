// The administration API: users, teams and sessions.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { nextSecond, pair, replace, until } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

test('administration: users, teams and sessions, for admins alone', async () => {
  await serve();
  gate.addUser('root', 'super-admin');
  gate.addUser('boss', 'admin');
  const [root, boss, ada] = [new Agent(), new Agent(), new Agent()];
  for (const [agent, name] of [[root, 'root'], [boss, 'boss']]) assert.equal((await agent.administer(gate, name)).status, 200);
  await ada.signIn(gate, 'crm', 'ada');
  const call = async (agent, method, path, json, headers = SAME_ORIGIN) => { const answer = await agent.request(`${gate.url}/api/v1${path}`, { method, json, headers }); return { status: answer.status, body: answer.text && JSON.parse(answer.text) }; };
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
  // Teams given by an administrator survive a sync; those of the mapping follow it.
  await call(boss, 'PATCH', `/users/${id('ada')}`, { teams: ['Administrators', 'sales', 'Chess'] });
  assert.deepEqual((await ada.me(gate)).teams, ['Administrators', 'Chess', 'sales']);
  op.claims = { ada: { groups: [] } };
  assert.deepEqual((await new Agent().signIn(gate, 'crm', 'ada')).teams, ['Chess']);
  op.claims = undefined;
  const sessions = (await call(boss, 'GET', `/sessions?user=${id('ada')}`)).body.sessions;
  assert.equal(sessions.length, 2);
  for (const session of sessions) assert.ok(!JSON.stringify(session).includes('eyJ'));
  assert.equal((await call(boss, 'DELETE', `/sessions/${sessions[1].id}`)).status, 200);
  assert.equal((await call(boss, 'DELETE', `/sessions/${sessions[1].id}`)).status, 404);
  assert.equal(await ada.me(gate), undefined);
  assert.deepEqual((await call(boss, 'DELETE', `/users/${id('ada')}/sessions`)).body, { ended: 1 });
  assert.equal((await call(root, 'PUT', `/users/${id('boss')}/password`, { password: `${PASSWORD}!` })).status, 200);
  assert.equal(await boss.me(gate), undefined);
  assert.equal((await boss.signInByPassword(gate, 'boss', `${PASSWORD}!`)).status, 303);
  for (const changes of [{ active: false }, { kind: 'admin' }]) {
    const kept = await call(root, 'PATCH', `/users/${id('root')}`, changes);
    assert.deepEqual([kept.status, kept.body.error], [409, 'request.last_super_admin']);
    assert.match(kept.body.error_description, /even_last_super_admin/);
  }
  assert.equal((await call(root, 'PATCH', `/users/${id('boss')}`, { active: false })).body.active, false);
  assert.equal(await boss.me(gate), undefined);

  // What has happened is known to administrators, and to the command.
  assert.equal((await new Agent().signInByPassword(gate, 'root', 'incorrect horse battery staple')).status, 403);
  const denied = new Agent();
  await denied.request(`${gate.url}/callback/crm?state=invented&code=invented`);
  const again = new Agent();
  await nextSecond();
  await again.signIn(gate, 'crm', 'ada');
  await op.logOut('crm', 'ada', gate.sessions().find((session) => session.username === 'ada').sid);
  await root.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  await until('the logouts and refusals are recorded', () => ['refusal', 'logout'].every((kind) => gate.events('--kind', kind).length >= 2));
  const client = '127.0.0.1';
  const told = (events) => events.map(({ id: number, time, count, kind, ...rest }) => { assert.ok(number > 1.6e15 && count === 1 && time.endsWith('Z') && kind); return rest; });
  assert.deepEqual(told(gate.events('--kind', 'administration', '--user', 'boss')), [
    { code: 'user add', user: 'boss', by: '(command)' },
    { code: 'user add', user: 'zoe', client, by: 'boss', detail: 'kind regular' },
    { code: 'user change', user: 'ada', client, by: 'boss', detail: 'teams: Administrators, Chess, sales' },
    { code: 'session end', user: 'ada', client, by: 'boss', detail: sessions[1].id },
    { code: 'session end', user: 'ada', client, by: 'boss', detail: '1 session' },
    { code: 'user passwd', user: 'boss', client, by: 'root' },
    { code: 'user change', user: 'boss', client, by: 'root', detail: 'deactivated' },
  ]);
  const subject = gate.events('--kind', 'sign_in', '--user', 'ada').at(-1).subject;
  assert.deepEqual(told(gate.events('--kind', 'sign_in', '--user', 'ada', '--provider', 'crm')).map(({ detail }) => detail), ['the user was created', undefined, undefined]);
  // Those of one second have no order.
  assert.deepEqual(told(gate.events('--kind', 'refusal')).sort((one, other) => one.code.localeCompare(other.code)), [
    { code: 'callback.state', provider: 'crm', client },
    { code: 'password.wrong', user: 'root', client },
  ]);
  const logouts = told(gate.events('--kind', 'logout'));
  assert.deepEqual(logouts.find(({ code }) => code === 'back_channel'), { code: 'back_channel', user: 'ada', provider: 'crm', subject, client });
  assert.deepEqual(logouts.find(({ code }) => code === 'sign_out'), { code: 'sign_out', user: 'root', client });
  assert.equal((await new Agent().request(`${gate.url}/api/v1/events`)).status, 401);
  await root.administer(gate, 'root');
  const page = (await call(root, 'GET', '/events?kind=administration,logout&limit=3')).body;
  assert.equal(page.events.length, 3);
  const rest = (await call(root, 'GET', `/events?kind=administration,logout&limit=1000&before=${page.next}`)).body;
  assert.equal(rest.next, null);
  assert.deepEqual([...page.events, ...rest.events].map((event) => event.id).reverse(), gate.events('--kind', 'administration,logout').map((event) => event.id));
  assert.equal((await call(root, 'GET', '/events?kind=nothing')).status, 400);
  const { counts } = (await call(root, 'GET', '/events/counts?minutes=10')).body;
  assert.equal(counts.filter(({ kind }) => kind === 'logout').reduce((sum, { count }) => sum + count, 0), logouts.length);
  assert.match((await fetch(`${gate.url}/metrics`).then((answer) => answer.text())), /claimgate_dropped_events_total 0/);
});

/** The status of a list of users, and its error. */
async function list(agent, url = gate.url, headers = {}) {
  const answer = await agent.request(`${url}/api/v1/users`, { headers });
  return answer.status === 200 ? 200 : `${answer.status} ${JSON.parse(answer.text).error}`;
}

// finding: S17
// attack: administration.sign-in-cookie-alone
test('the sign-in session alone administers nothing; a fresh password opens a session of its own', async () => {
  await serve();
  gate.addUser('root', 'super-admin');
  const root = new Agent();
  await root.signInByPassword(gate, 'root');
  assert.equal(await list(root), '401 admin.session');
  const refused = await root.request(`${gate.url}/api/v1/users`, { method: 'POST', json: { username: 'backdoor', kind: 'super-admin' }, headers: SAME_ORIGIN });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('www-authenticate'), 'Cookie realm="claimgate administration"');
  assert.deepEqual(gate.users().map(({ username }) => username), ['root']);
  assert.equal((await root.openAdministration(gate, 'incorrect horse battery staple')).status, 403);
  assert.equal(await list(root), '401 admin.session');
  const opened = await root.openAdministration(gate);
  // Recorded before the answer.
  assert.ok(gate.events('--kind', 'sign_in', '--since', '1h').some(({ code }) => code === 'administration'));
  assert.equal(opened.status, 200);
  const lasts = JSON.parse(opened.text).ends - Date.now() / 1000;
  assert.ok(lasts > 14 * 60 && lasts <= 15 * 60 + 1, `${lasts}`);
  const [cookie] = opened.headers.getSetCookie();
  for (const attribute of ['HttpOnly', 'SameSite=Strict', 'Path=/api/v1', 'Max-Age=900']) assert.ok(cookie.includes(attribute), cookie);
  assert.ok(!cookie.includes('Domain'));
  assert.equal(await list(root), 200);
  const line = gate.log.split('\n').find((text) => text.includes('administration session opened'));
  assert.deepEqual([JSON.parse(line).user, JSON.parse(line).client], ['root', '127.0.0.1']);

  // It belongs to one sign-in session, and to no other.
  const admin = root.cookies(gate.url).get('claimgate-admin');
  const other = new Agent();
  await other.signInByPassword(gate, 'root');
  other.cookies(gate.url).set('claimgate-admin', admin);
  assert.equal(await list(other), '401 admin.session');
  const alone = new Agent();
  alone.cookies(gate.url).set('claimgate-admin', admin);
  assert.equal(await list(alone), '401 request.signed_out');
  const forged = new Agent();
  await forged.signInByPassword(gate, 'root');
  forged.cookies(gate.url).set('claimgate-admin', `A${admin.slice(1)}`);
  assert.equal(await list(forged), '401 admin.session');

  // A value that was sealed for a sign-in is no session of the administration.
  const begun = new Agent();
  await begun.request(`${gate.url}/login/crm`);
  const [, sealed] = [...begun.cookies(gate.url)].find(([name]) => name.startsWith('claimgate-login-'));
  other.cookies(gate.url).set('claimgate-admin', sealed);
  assert.equal(await list(other), '401 admin.session');
});

// finding: S17
test('the administration’s session ends with the sign-in session and with any change of the account', async () => {
  await serve();
  gate.addUser('root', 'super-admin');
  gate.addUser('boss', 'admin');
  const [root, boss] = [new Agent(), new Agent()];
  await root.administer(gate, 'root');
  await boss.administer(gate, 'boss');
  const [bossUser] = JSON.parse((await root.request(`${gate.url}/api/v1/users`)).text).users;
  const change = (json) => root.request(`${gate.url}/api/v1/users/${bossUser.id}`, { method: 'PATCH', json, headers: SAME_ORIGIN });
  assert.equal(await list(boss), 200);
  for (const json of [{ teams: ['Lab'] }, { profile: { email: 'boss@example.com' } }]) {
    assert.equal((await change(json)).status, 200);
    assert.equal(await list(boss), '401 admin.session');
    assert.equal((await boss.openAdministration(gate)).status, 200);
    assert.equal(await list(boss), 200);
  }
  const kept = new Map(boss.cookies(gate.url));
  await boss.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  for (const [name, value] of kept) boss.cookies(gate.url).set(name, value);
  assert.equal(await list(boss), '401 request.signed_out');
});

// finding: S17
test('a fresh sign-in at the provider opens the administration’s session too', async () => {
  await serve({ signIn: { allow_admins: true, link_by_username: true } });
  gate.addUser('ada', 'admin');
  const ada = new Agent();
  await ada.signIn(gate, 'crm', 'ada');
  assert.equal(await list(ada), '401 admin.session');
  const begun = await ada.request(`${gate.url}/login/crm?administration=1`);
  const asked = new URL(begun.location).searchParams;
  assert.deepEqual([asked.get('prompt'), asked.get('max_age')], ['login', '0']);
  const opened = () => gate.events('--kind', 'sign_in').filter(({ code }) => code === 'administration').map(({ user, client }) => [user, client]);
  assert.deepEqual(opened(), []);
  assert.equal((await ada.walk(begun.location, { as: 'ada' })).status, 200);
  assert.equal(await list(ada), 200);
  assert.deepEqual(opened(), [['ada', '127.0.0.1']]);
  const line = gate.log.split('\n').find((text) => text.includes('administration session opened'));
  assert.equal(JSON.parse(line).user, 'ada');
  const grace = new Agent();
  await grace.walk(`${gate.url}/login/crm?administration=1`, { as: 'grace' });
  assert.equal(await list(grace), '403 request.forbidden');
  assert.ok(!grace.cookies(gate.url).has('claimgate-admin'));
});

// finding: S17
// attack: administration.beside-applications
test('where applications share Claimgate’s host or cookie, the administration is off unless it has its own address', async () => {
  for (const server of [{ public_url: 'http://127.0.0.1:8080/sso' }, { public_url: 'http://sso.gate.localhost:8080', cookie_domain: 'gate.localhost' }]) {
    await serve({ start: false });
    const path = server.public_url.endsWith('/sso') ? '/sso' : '';
    const providers = [{ id: 'crm', issuer: op.issuer, client_id: 'crm', client_secret: '0123456789abcdef0123456789abcdef' }];
    gate.addUser('root', 'super-admin');
    const site = { url: `${gate.url}${path}` };
    await gate.write({ providers, server }).start();
    const root = new Agent();
    await root.signInByPassword(site, 'root');
    assert.equal(await list(root, site.url), '403 admin.off');
    assert.equal((await root.openAdministration(site)).status, 403);
    gate.write({ providers, server: { ...server, danger_admin_beside_applications: true } });
    await gate.reload();
    assert.equal((await root.openAdministration(site)).status, 200);
    assert.equal(await list(root, site.url), 200);
    // With an address of its own: there alone, and for its own pages alone.
    gate.write({ providers, server: { ...server, admin_url: `http://localhost:${gate.port}` } });
    await gate.reload();
    assert.equal(await list(root, site.url), '403 admin.host');
    const own = { host: `localhost:${gate.port}` };
    // Scripts of applications on the host can imitate the form: an administrator's password is refused there.
    gate.forgetLog();
    const here = await new Agent().signInByPassword(site, 'root');
    assert.equal(here.status, path ? 403 : 303);
    if (path) {
      const [line] = gate.logged('password.wrong').map((text) => JSON.parse(text));
      assert.deepEqual([line.user, line.found], ['root', 'an administrator\'s password at a host of applications: use `admin_url`']);
      assert.ok(!here.text.includes('admin_url'), here.text);
    }
    const there = new Agent();
    assert.equal((await there.signInByPassword(site, 'root', PASSWORD, { headers: { ...own, origin: `http://localhost:${gate.port}` } })).status, 303);
    assert.equal((await there.openAdministration(site, PASSWORD, own)).status, 200);
    assert.equal(await list(there, site.url, own), 200);
    for (const headers of [{ origin: new URL(server.public_url).origin }, { 'sec-fetch-site': 'same-site' }, { origin: 'null' }]) {
      assert.equal(await list(there, site.url, { ...own, ...headers }), '403 request.cross_site');
    }
  }
});

// attack: administration.fresh-sign-in-elsewhere
test('a fresh sign-in at a host of applications opens no session of the administration', async () => {
  await serve({ start: false, signIn: { allow_admins: true, link_by_username: true } });
  const site = `${gate.url}/sso`;
  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${site}/callback/crm`, `http://localhost:${gate.port}/sso/callback/crm`];
  op.configure([client]);
  const server = { public_url: site, admin_url: `http://localhost:${gate.port}` };
  await gate.write({ providers: [provider], server, signIn: { allow_admins: true, link_by_username: true } }).start();
  gate.addUser('ada', 'admin');
  const ada = new Agent();
  const refused = await ada.request(`${site}/login/crm?administration=1`, { headers: { accept: 'text/html' } });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /admin\.host/);
  // One that was begun at the administration's host, and is completed elsewhere: the provider redirects to where it began.
  const own = { host: `localhost:${gate.port}` };
  const begun = await ada.request(`${site}/login/crm?administration=1`, { headers: own });
  assert.equal(new URL(begun.location).searchParams.get('redirect_uri'), `http://localhost:${gate.port}/sso/callback/crm`);
  const back = await ada.walk(begun.location, { as: 'ada', stopAt: `http://localhost:${gate.port}` });
  const { pathname, search } = new URL(back.location);
  const elsewhere = await ada.request(`${gate.url}${pathname}${search}`);
  assert.ok(!elsewhere.headers.getSetCookie().some((cookie) => cookie.startsWith('claimgate-admin=')), elsewhere.text);
  assert.equal(await list(ada, site, own), '401 request.signed_out');
});

// finding: S17
test('the administration answers the networks of admin_from alone', async () => {
  await serve({ server: { admin_from: ['10.0.0.0/8'], trusted_proxies: ['127.0.0.1'] } });
  gate.addUser('root', 'super-admin');
  const root = new Agent();
  await root.signInByPassword(gate, 'root');
  assert.equal(await list(root), '403 admin.network');
  const near = { 'x-forwarded-for': '10.1.2.3' };
  assert.equal((await root.openAdministration(gate, PASSWORD, near)).status, 200);
  assert.equal(await list(root, gate.url, near), 200);
  assert.equal(await list(root, gate.url, { 'x-forwarded-for': '10.1.2.3, 203.0.113.1' }), '403 admin.network');
  // By default: private networks, and no client behind a proxy that is not trusted.
  await serve();
  gate.addUser('root', 'super-admin');
  await root.administer(gate, 'root');
  assert.equal(await list(root), 200);
  assert.equal(await list(root, gate.url, { 'x-forwarded-for': '203.0.113.1' }), '403 admin.network');
});
