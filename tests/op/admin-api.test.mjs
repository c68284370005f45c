// The administration API: users, teams and sessions.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate.close(); await op.stop(); });

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
  await root.signInByPassword(gate, 'root');
  await boss.signInByPassword(gate, 'boss');
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
  assert.equal((await call(root, 'PATCH', `/users/${id('boss')}`, { active: false })).body.active, false);
  assert.equal(await boss.me(gate), undefined);
});
