// Nothing secret is written down: the whole debug log, every page and answer of a run through all doors
// is searched for every secret, code, token, cookie and password that was used in it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Agent, Claimgate, pair } from './claimgate.mjs';
import { Op } from './op.mjs';

const PASSWORD = 'correct horse battery staple';
const WRONG = 'incorrect horse battery staple';

let op;
let gate;
before(async () => { op = await Op.start(); gate = await Claimgate.prepare(); });
after(async () => { await gate.close(); await op.stop(); });

// attack: logs.secrets, console.secrets-in-html
test('no secret is in the log, a page, an answer or the metrics', async () => {
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  await gate.write({ providers: [provider], server: { verify_secret: 'the secret of services' } }).start();
  gate.command(['user', 'add', 'root', '--kind', 'admin', '--password-stdin'], PASSWORD);

  const secrets = new Map([['password', PASSWORD], ['wrong password', WRONG], ['client secret', provider.client_secret], ['verify secret', 'the secret of services']]);
  const seen = [];
  const agent = new Agent();
  const call = async (url, options) => { const answer = await agent.request(url, options); seen.push(answer.text, [...answer.headers].filter(([name]) => name !== 'set-cookie' && name !== 'location').join('\n')); return answer; };

  // In through the provider, with a failure on the way.
  await call(`${gate.url}/callback/crm?code=a-code-of-nobody-0123456789&state=a-state-of-nobody-0123456789`);
  secrets.set('stray code', 'a-code-of-nobody-0123456789').set('stray state', 'a-state-of-nobody-0123456789');
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  for (const [name, value] of agent.cookies(gate.url)) secrets.set(`cookie ${name}`, value);
  const query = new URL(callback.location).searchParams;
  secrets.set('code', query.get('code')).set('state', query.get('state'));
  await call(callback.location);
  await call(callback.location);
  secrets.set('session cookie', agent.cookies(gate.url).get('claimgate'));
  await call(`${gate.url}/`);
  await call(`${gate.url}/api/v1/me`);
  await call(`${gate.url}/auth`);

  // Tokens: presented, and logged out by.
  const hint = new URL((await call(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } })).location).searchParams.get('id_token_hint');
  secrets.set('signature of the ID token', hint.split('.')[2]).set('ID token', hint);
  await call(`${gate.url}/api/v1/verify`, { method: 'POST', form: { token: hint }, headers: { authorization: 'Bearer the secret of services' } });
  await call(`${gate.url}/api/v1/verify`, { method: 'POST', form: { token: hint }, headers: { authorization: 'Bearer a wrong secret of services' } });
  secrets.set('wrong verify secret', 'a wrong secret of services');
  const logout = await op.logoutToken('crm', 'ada');
  secrets.set('logout token', logout).set('signature of the logout token', logout.split('.')[2]);
  for (const token of [logout, logout, `${logout}x`]) await call(`${gate.url}/backchannel-logout`, { method: 'POST', form: { logout_token: token } });

  // By password.
  for (const password of [WRONG, PASSWORD]) await call(`${gate.url}/login/password`, { method: 'POST', form: { username: 'root', password } });
  secrets.set('password session', agent.cookies(gate.url).get('claimgate'));
  for (const path of ['/api/v1/users', '/api/v1/sessions', '/api/v1/teams', '/readyz', '/metrics', '/']) await call(`${gate.url}${path}`);
  const made = await call(`${gate.url}/api/v1/users`, { method: 'POST', json: { username: 'zoe', password: 'another long password' } });
  secrets.set('another password', 'another long password');
  await call(`${gate.url}/api/v1/users/${JSON.parse(made.text).id}/password`, { method: 'PUT', json: { password: 'yet another long password' } });
  secrets.set('yet another password', 'yet another long password');
  await gate.stop();

  assert.ok(gate.log.includes('"what":"ID token"') && gate.log.includes('"what":"logout token"'), 'the log is at debug level');
  assert.ok(gate.log.length > 5000 && seen.length > 40);
  for (const [what, secret] of secrets) {
    assert.ok(secret?.length > 10, what);
    assert.ok(!gate.log.includes(secret), `${what} is in the log`);
    for (const text of seen) assert.ok(!text.includes(secret), `${what} is in an answer`);
  }
  // The database opens nothing either: sessions are there as hashes, passwords as argon2id.
  const database = ['', '-wal'].map((end) => { try { return readFileSync(`${gate.folder}/claimgate.db${end}`).toString('latin1'); } catch { return ''; } }).join('');
  for (const what of ['password', 'session cookie', 'password session', 'client secret', 'code']) assert.ok(!database.includes(secrets.get(what)), `${what} is in the database`);
  assert.ok(database.includes('$argon2id$'));
});
