// Settings that change what a sign-in does, end to end: those no other file is about.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Agent, Claimgate, IDENTITY, pair, until } from './claimgate.mjs';
import { Op } from './op.mjs';

const PASSWORD = 'correct horse battery staple';

let op;
let gate;
before(async () => { op = await Op.start(); });
afterEach(async () => { op.overrides = undefined; await gate.close(); });
after(async () => { await op.stop(); });

async function serve({ provider = {}, ...rest } = {}) {
  gate = await Claimgate.prepare();
  const made = pair(op, gate, 'crm', { provider });
  op.configure([made.client]);
  op.hits = {};
  await gate.write({ providers: [made.provider], ...rest }).start();
  return made.provider;
}

async function reload(settings, seen) {
  gate.forgetLog();
  gate.write(settings);
  gate.process.kill('SIGHUP');
  await until(seen, () => gate.log.includes(seen));
}

test('the ten lines of the README sign somebody in, and the back channel signs them out', async () => {
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'oidc');
  op.configure([client]);
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const lines = /```toml\n(\[server\][^]*?)```/.exec(readme)[1]
    .replace('https://sso.example.com', gate.url)
    .replace('https://idp.example.com/realms/acme', op.issuer)
    .replace('client_id = "claimgate"', 'client_id = "oidc"');
  assert.equal(lines.trim().split('\n').filter((line) => line).length, 8);
  writeFileSync(gate.config, lines.replace('[sign_in]', `listen = "127.0.0.1:${gate.port}"\n[sign_in]`));
  writeFileSync(join(gate.folder, 'client-secret'), `${provider.client_secret}\n`);
  await gate.start();
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'oidc', 'ada')).username, 'ada');
  await op.logOut('oidc', 'ada', JSON.parse(gate.command(['session', 'list', '--format', 'json']).out)[0].sid);
  assert.equal(await agent.me(gate), undefined);
});

test('endpoints by hand, without discovery, and with a query of their own', async () => {
  const at = (path) => `${op.issuer}${path}?by=hand`;
  await serve({ provider: { discovery: false, authorization_endpoint: at('/auth'), token_endpoint: at('/token'), userinfo_endpoint: at('/me'), jwks_uri: at('/jwks'), end_session_endpoint: at('/session/end') } });
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).email, 'ada@example.com');
  assert.equal(op.hits['/.well-known/openid-configuration'] ?? 0, 0);
  assert.deepEqual(['/token', '/me', '/jwks'].map((path) => op.hits[path]), [1, 1, 1]);
  const out = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  assert.ok(out.location.startsWith(`${at('/session/end')}&id_token_hint=`), out.location);
});

test('one endpoint by hand takes the place of the discovered one', async () => {
  await serve({ provider: { userinfo_endpoint: `${op.issuer}/nowhere` } });
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.match(landed.text, /userinfo\.status/);
  assert.equal(op.hits['/nowhere'], 1);
});

test('the client secret from a file, and from the environment', async () => {
  const { client_secret: secret, ...rest } = await serve();
  writeFileSync(join(gate.folder, 'client-secret'), `${secret}\n`);
  await gate.stop();
  await gate.write({ providers: [{ ...rest, client_secret_file: 'client-secret' }] }).start();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
  await gate.stop();
  process.env.CLAIMGATE_TEST_SECRET = secret;
  await gate.write({ providers: [{ ...rest, client_secret_env: 'CLAIMGATE_TEST_SECRET' }] }).start();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
  delete process.env.CLAIMGATE_TEST_SECRET;
});

test('the password door is closed by a reload; sessions that it opened go on', async () => {
  const provider = await serve({ signIn: { password_fallback_regular: true } });
  assert.equal(gate.command(['user', 'add', 'root', '--kind', 'admin', '--password-stdin'], PASSWORD).code, 0);
  assert.equal(gate.command(['user', 'add', 'joe', '--password-stdin'], PASSWORD).code, 0);
  const enter = async (agent, username) => (await agent.request(`${gate.url}/login/password`, { method: 'POST', form: { username, password: PASSWORD }, headers: { 'sec-fetch-site': 'same-origin' } })).status;
  const [root, joe] = [new Agent(), new Agent()];
  assert.deepEqual([await enter(root, 'root'), await enter(joe, 'joe')], [303, 303]);
  for (const [signIn, admitted] of [[{}, [303, 403]], [{ password_fallback: false, allow_admins: true }, [403, 403]]]) {
    await reload({ providers: [provider], signIn }, 'configuration reloaded');
    assert.deepEqual([(await root.me(gate)).username, (await joe.me(gate)).username], ['root', 'joe']);
    assert.deepEqual([await enter(new Agent(), 'root'), await enter(new Agent(), 'joe')], admitted);
  }
  // With the door gone and one provider, sign-in leads straight there.
  assert.ok((await new Agent().request(`${gate.url}/login`)).location.startsWith(op.issuer));
});

test('names of all scripts stay apart; where they are made one, the second person is refused', async () => {
  const provider = await serve();
  op.overrides = { ada: { preferred_username: 'Анна' }, grace: { preferred_username: 'auth0|abc' }, linus: { preferred_username: 'auth0_abc' } };
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'анна');
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'auth0|abc');
  assert.equal((await new Agent().signIn(gate, 'crm', 'linus')).username, 'auth0_abc');
  await gate.close();
  await serve({ identity: IDENTITY.replace('[identity]', '[identity]\nnormalise = "lossy_ascii"') });
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'auth0_abc');
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'linus' });
  assert.match(landed.text, /sign_in\.username_taken/);
  assert.equal(provider.name, 'crm');
});

test('the model’s switches: all teams replaced, absent claims empty their field', async () => {
  await serve({ signIn: { replace_all_teams: true, absent_empties: true } });
  await new Agent().signIn(gate, 'crm', 'ada');
  gate.command(['user', 'add', 'boss', '--kind', 'admin', '--password-stdin'], PASSWORD);
  const boss = new Agent();
  await boss.request(`${gate.url}/login/password`, { method: 'POST', form: { username: 'boss', password: PASSWORD }, headers: { 'sec-fetch-site': 'same-origin' } });
  const [ada] = JSON.parse((await boss.request(`${gate.url}/api/v1/users`)).text).users;
  await boss.request(`${gate.url}/api/v1/users/${ada.id}`, { method: 'PATCH', json: { teams: ['Chess'] }, headers: { 'sec-fetch-site': 'same-origin' } });
  op.overrides = { ada: { groups: ['/crm/lab'], phone_number: undefined } };
  const me = await new Agent().signIn(gate, 'crm', 'ada');
  assert.deepEqual([me.teams, me.profile.phone_number], [['lab'], undefined]);
});

test('debug: header and claims of every token, and which rules fired', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  await fetch(`${gate.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('crm', 'ada') }) });
  const lines = () => gate.log.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  await until('both tokens', () => lines().filter(({ message }) => message === 'token').length === 2);
  const [idToken, logoutToken] = lines().filter(({ message }) => message === 'token');
  assert.equal(JSON.parse(idToken.header).alg, 'RS256');
  assert.equal(JSON.parse(idToken.claims).sub, 'ada');
  assert.equal(JSON.parse(logoutToken.header).typ, 'logout+jwt');
  assert.ok('events' in JSON.parse(logoutToken.claims));
  const mapping = lines().find(({ message }) => message === 'mapping');
  assert.match(mapping.explanation, /rule 0 \(group "crm-admin"\) fired on "crm-admin"/);
});

test('a browser that reopens twelve tabs signs in in each, and each leads where it was', async () => {
  await serve();
  const agent = new Agent();
  const begun = [];
  for (let tab = 0; tab < 12; tab += 1) begun.push((await agent.request(`${gate.url}/login/crm?return_to=/page/${tab}`)).location);
  for (const [tab, address] of begun.entries()) {
    const callback = await agent.walk(address, { as: 'ada', stopAt: `${gate.url}/callback` });
    const landed = await agent.request(callback.location);
    assert.equal(landed.headers.get('location'), `/page/${tab}`, landed.text);
  }
  assert.equal((await agent.me(gate)).username, 'ada');
  const cookies = [...agent.cookies(gate.url)].map(([name, value]) => `${name}=${value}`).join('; ');
  assert.ok(cookies.length < 8 * 1024 && !cookies.includes('login'), cookies);
});
