// Programs at forward-auth: bearer tokens of a real provider, for people and for themselves.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientsToken, personsToken } from './access-tokens.mjs';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { BINARY, Claimgate, nextSecond, pair, until } from './claimgate.mjs';
import { claimsOf, forge } from './jose.mjs';
import { OpenIdProvider, PEOPLE } from './provider.mjs';

const [WIKI, OTHER, ADMINISTRATION] = ['https://wiki.example.com/api', 'https://other.example.com/api', 'https://sso.example.com/administration'];
const APP = { client_id: 'app', client_secret: 'a client secret: 0123456789abcdef', redirect_uris: ['http://127.0.0.1:9/callback'] };
const BACKUP = { ...APP, client_id: 'backup', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const KEEPER = { ...BACKUP, client_id: 'keeper' };
const SERVICE = { ...APP, client_id: 'service', grant_types: ['authorization_code', 'client_credentials'] };
const STRANGER = { ...BACKUP, client_id: 'stranger' };

for (const name of ['barbara', 'edsger', 'service-account']) PEOPLE[name] = { groups: [], email: `${name}@example.com`, name };

let op;
let gate;
const people = {};

before(async () => {
  op = await OpenIdProvider.start();
  op.tokenClaims = (token) => token.sid && { sid: token.sid };
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm', { provider: { verify: { kind: 'access_token' } } });
  op.configure([client, APP, BACKUP, KEEPER, SERVICE, STRANGER]);
  await gate.write({
    providers: [provider],
    applications: [
      {
        name: 'wiki',
        hosts: ['wiki.example.com'],
        bearer_audience: [WIKI],
        headers: { header: [{ name: 'X-Client-Subject', claim: 'sub' }] },
        rule: [
          { paths: ['/hooks/*'], allow: 'anyone' },
          { paths: ['/backup/*'], any_of: [{ clients: ['backup'] }, { teams: ['Administrators'] }] },
          { paths: ['/app/*'], clients: ['app'], teams: ['Administrators'] },
          { allow: 'signed_in' },
        ],
      },
      { hosts: ['other.example.com'], bearer_audience: [OTHER], rule: [{ allow: 'signed_in' }] },
      { hosts: ['plain.example.com'], rule: [{ allow: 'signed_in' }] },
    ],
    adminClients: [
      { client: 'backup', audience: ADMINISTRATION },
      { client: 'keeper', audience: ADMINISTRATION, read_only: false },
      { client: 'app', audience: ADMINISTRATION, read_only: false },
      { client: 'service', subject: 'service-account', audience: ADMINISTRATION },
    ],
  }).start();
  for (const name of ['ada', 'grace']) {
    people[name] = new Agent();
    await people[name].signIn(gate, 'crm', name);
  }
});

after(async () => { await gate?.close(); await op?.stop(); });

async function ask(path, headers, host = 'wiki.example.com', agent = new Agent()) {
  const answer = await agent.request(`${gate.url}/auth/redirect`, { headers: { 'x-forwarded-host': host, 'x-forwarded-proto': 'https', 'x-forwarded-uri': path, 'x-forwarded-method': 'GET', ...headers } });
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), user: answer.headers.get('x-auth-user'), teams: answer.headers.get('x-auth-teams'), subject: answer.headers.get('x-client-subject'), text: answer.text };
}
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const INVALID = 'Bearer realm="claimgate", error="invalid_token"';
const INSUFFICIENT = 'Bearer realm="claimgate", error="insufficient_scope"';

test('a token acts for the user that its subject is linked to', async () => {
  const [ada, grace] = [await personsToken(op, APP, 'ada', WIKI), await personsToken(op, APP, 'grace', WIKI)];
  const { status, user, teams, subject } = await ask('/page', bearer(ada));
  assert.deepEqual({ status, user, teams, subject }, { status: 200, user: 'ada', teams: 'Administrators,sales', subject: 'ada' });
  assert.equal((await ask('/app/x', bearer(ada))).status, 200);
  const refused = await ask('/app/x', bearer(grace));
  assert.deepEqual([refused.status, refused.challenge], [403, INSUFFICIENT]);
  const [line] = gate.logged('request.forbidden').map((text) => JSON.parse(text)).slice(-1);
  assert.equal(line.user, 'grace');
  assert.equal(line.token_client, 'app');
  assert.equal(line.rule, 'wiki, rule 3');
  // The scheme is compared without regard to case (RFC 9110 §11.1).
  assert.equal((await ask('/page', { authorization: `bearer ${ada}` })).status, 200);
});

test('a program of its own is admitted by its client alone, without a user', async () => {
  const token = await clientsToken(op, BACKUP, WIKI);
  const admitted = await ask('/backup/now', bearer(token));
  assert.deepEqual([admitted.status, admitted.user, admitted.teams], [200, '', '']);
  for (const [path, sent] of [['/page', token], ['/backup/now', await clientsToken(op, STRANGER, WIKI)], ['/app/x', token]]) {
    const { status, challenge } = await ask(path, bearer(sent));
    assert.deepEqual([status, challenge], [403, INSUFFICIENT], path);
  }
});

// finding: A8
test('a person who has never signed in here acts for no user, whatever the claims say', async () => {
  const token = await personsToken(op, APP, 'linus', WIKI);
  op.tokenClaims = (of) => ({ sid: of.sid, preferred_username: 'ada', groups: ['crm-admin'] });
  const claimed = await personsToken(op, APP, 'linus', WIKI);
  op.tokenClaims = (of) => of.sid && { sid: of.sid };
  for (const sent of [token, claimed]) {
    const { status, user } = await ask('/page', bearer(sent));
    assert.deepEqual([status, user], [403, null]);
  }
  await new Agent().signIn(gate, 'crm', 'linus');
  assert.equal((await ask('/page', bearer(token))).user, 'linus');
});

test('a token that is not for the application, or not accepted, is 401 and never a redirect', async () => {
  const token = await personsToken(op, APP, 'ada', WIKI);
  const other = await personsToken(op, APP, 'ada', OTHER);
  const page = { accept: 'text/html', 'sec-fetch-mode': 'navigate' };
  const header = JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
  for (const [what, sent] of [['of another application', other], ['altered', `${token.slice(0, -6)}AAAAAA`], ['forged', forge(header, claimsOf(token))], ['without a kid', forge({ ...header, kid: undefined }, claimsOf(token))], ['nothing', ''], ['text', 'x.y.z']]) {
    const { status, challenge, text } = await ask('/page', { ...page, ...bearer(sent) });
    assert.deepEqual([what, status, challenge], [what, 401, INVALID]);
    // Which check it failed is for the log.
    const { error, error_description } = JSON.parse(text);
    assert.deepEqual([error, error_description], ['access.token', 'The bearer token is not accepted.']);
  }
  assert.equal((await ask('/page', bearer(other), 'other.example.com')).status, 200);
  // Beside a session the token decides; where the application accepts none, the session does.
  assert.equal((await ask('/page', bearer('x.y.z'), 'wiki.example.com', people.ada)).status, 401);
  assert.equal((await ask('/page', bearer('x.y.z'), 'plain.example.com', people.ada)).user, 'ada');
  assert.equal((await ask('/page', { authorization: 'Basic eDp5' }, 'wiki.example.com', people.ada)).user, 'ada');
  assert.equal((await ask('/page', bearer(token), 'plain.example.com')).status, 401);
  // Where anyone is admitted, neither decides, and the application is told of no user beside a token of any kind.
  for (const sent of ['of the hook', 'x.y.z', token]) {
    const { status, user } = await ask('/hooks/x', bearer(sent), 'wiki.example.com', people.ada);
    assert.deepEqual([sent, status, user], [sent, 200, '']);
  }
  assert.equal((await ask('/hooks/x', {}, 'wiki.example.com', people.ada)).user, 'ada');
  const without = await ask('/page', {});
  assert.deepEqual([without.status, without.challenge], [401, 'Bearer realm="claimgate"']);
  assert.equal((await ask('/page', page)).status, 303);
});

// attack: administration.token-of-another-purpose
test('programs administer by tokens of their own, as far as the file allows', async () => {
  const call = async (method, path, headers, json, agent = new Agent()) => {
    const answer = await agent.request(`${gate.url}/api/v1${path}`, { method, json, headers });
    return [answer.status, answer.headers.get('www-authenticate'), answer.text && JSON.parse(answer.text)];
  };
  const [backup, keeper] = [await clientsToken(op, BACKUP, ADMINISTRATION), await clientsToken(op, KEEPER, ADMINISTRATION)];
  const [status, , { users }] = await call('GET', '/users', bearer(backup));
  assert.equal(status, 200);
  assert.ok(users.some(({ username }) => username === 'ada'));
  for (const path of ['/teams', '/sessions']) assert.equal((await call('GET', path, bearer(backup)))[0], 200);
  // Reading alone.
  assert.deepEqual((await call('POST', '/users', bearer(backup), { username: 'mallory' })).slice(0, 2), [403, INSUFFICIENT]);
  const [line] = gate.logged('admin.client').map((text) => JSON.parse(text)).slice(-1);
  assert.equal(line.token_client, 'backup');
  // The rights of an administrator, and no cookies of a browser's page are needed.
  const cross = { 'sec-fetch-site': 'cross-site', origin: 'https://elsewhere.example.com' };
  assert.equal((await call('POST', '/users', { ...cross, ...bearer(keeper) }, { username: 'made-by-program' }))[0], 201);
  const made = gate.log.split('\n').find((text) => text.includes('user created'));
  assert.deepEqual([JSON.parse(made).program, JSON.parse(made).user, JSON.parse(made).admin], ['keeper', 'made-by-program', undefined]);
  assert.equal((await call('POST', '/users', bearer(keeper), { username: 'evil', kind: 'super-admin' }))[0], 403);
  // Beside a session of the administration the token decides alone.
  gate.addUser('root', 'super-admin');
  const root = new Agent();
  await root.administer(gate, 'root');
  assert.equal((await call('GET', '/users', SAME_ORIGIN, undefined, root))[0], 200);
  for (const [what, token, wanted] of [
    ['of another client', await clientsToken(op, STRANGER, ADMINISTRATION), [403, INSUFFICIENT]],
    ['of a person', await personsToken(op, APP, 'ada', ADMINISTRATION), [403, INSUFFICIENT]],
    ['of a person who never signed in', await personsToken(op, APP, 'barbara', ADMINISTRATION), [403, INSUFFICIENT]],
    ['for an application', await clientsToken(op, BACKUP, WIKI), [401, INVALID]],
    ['altered', `${keeper.slice(0, -6)}AAAAAA`, [401, INVALID]],
    ['nothing', '', [401, INVALID]],
  ]) {
    assert.deepEqual((await call('GET', '/users', { ...SAME_ORIGIN, ...bearer(token) }, undefined, root)).slice(0, 2), wanted, what);
  }
  // Neither does a token of the administration open an application, nor one a session of the administration.
  assert.equal((await ask('/backup/now', bearer(backup))).status, 401);
  assert.equal((await call('POST', '/admin/session', bearer(keeper), { password: '' }))[0], 401);
});

// attack: administration.token-of-an-unlinked-person
test('a person without a link administers by no token, whether never seen or removed', async () => {
  const users = (token, method = 'GET', json) => new Agent().request(`${gate.url}/api/v1/users`, { method, json, headers: bearer(token) });
  await new Agent().signIn(gate, 'crm', 'edsger');
  gate.command(['user', 'remove', 'edsger', '--yes']);
  await until('the removal', async () => !(await (await users(await clientsToken(op, KEEPER, ADMINISTRATION))).text).includes('"edsger"'));
  await nextSecond();
  for (const person of ['barbara', 'edsger']) {
    const token = await personsToken(op, APP, person, ADMINISTRATION);
    assert.equal(claimsOf(token).client_id, 'app');
    for (const answer of [await users(token), await users(token, 'POST', { username: `by-${person}`, kind: 'admin' })]) {
      assert.deepEqual([person, answer.status, answer.headers.get('www-authenticate')], [person, 403, INSUFFICIENT]);
    }
  }
  const text = (await users(await clientsToken(op, KEEPER, ADMINISTRATION))).text;
  assert.ok(!text.includes('by-barbara') && !text.includes('by-edsger'), text);
  // `subject` names the one subject of a provider's service account; the client's name is then none.
  const service = await personsToken(op, SERVICE, 'service-account', ADMINISTRATION);
  assert.equal((await users(service)).status, 200);
  assert.equal((await users(await clientsToken(op, SERVICE, ADMINISTRATION))).status, 403);
});

// finding: O-F5, R13
// finding: N1
test('a logout ends the tokens of its session at once, and so does switching the user off', async () => {
  await nextSecond();
  const [ada, grace] = [await personsToken(op, APP, 'ada', WIKI), await personsToken(op, APP, 'grace', WIKI)];
  assert.equal((await ask('/page', bearer(ada))).status, 200);
  assert.equal((await ask('/page', bearer(grace))).status, 200);
  const logout = await op.logoutToken('crm', 'ada', claimsOf(ada).sid);
  const answer = await fetch(`${gate.url}/api/v1/backchannelLogout`, { method: 'POST', body: new URLSearchParams({ logout_token: logout }) });
  assert.equal(answer.status, 200);
  const ended = await ask('/page', bearer(ada));
  assert.deepEqual([ended.status, ended.challenge], [401, INVALID]);
  gate.command(['user', 'deactivate', 'grace']);
  const becomes = (status, token = grace) => until(`${status}`, async () => (await ask('/page', bearer(token))).status === status);
  await becomes(401);
  gate.command(['user', 'activate', 'grace']);
  await nextSecond();
  // The tokens of before stay ended.
  const again = await personsToken(op, APP, 'grace', WIKI);
  await becomes(200, again);
  assert.equal((await ask('/page', bearer(grace))).status, 401);
  // Without its link the subject is no user.
  gate.command(['user', 'unlink', 'grace', '--yes']);
  await becomes(401, again);
  await nextSecond();
  assert.equal((await ask('/page', bearer(await personsToken(op, APP, 'grace', WIKI)))).status, 403);
});

// finding: N3
test('explain --bearer says the same as the server', async () => {
  const file = join(gate.folder, 'token.txt');
  const explain = (token, ...args) => {
    writeFileSync(file, token);
    const { stdout, stderr } = spawnSync(BINARY, ['explain', '--config', gate.config, '--bearer', file, '--format', 'json', ...args], { encoding: 'utf8' });
    assert.ok(stdout, stderr);
    return JSON.parse(stdout);
  };
  const backup = await clientsToken(op, BACKUP, WIKI);
  const admitted = explain(backup, '--url', 'https://wiki.example.com/backup/x');
  assert.deepEqual([admitted.admitted, admitted.client, admitted.user], [true, 'backup', null]);
  assert.equal(explain(backup, '--url', 'https://wiki.example.com/page').code, 'request.forbidden');
  assert.equal(explain(backup, '--url', 'https://other.example.com/page').code, 'access.token');
  assert.equal(explain(await personsToken(op, APP, 'ada', WIKI), '--url', 'https://wiki.example.com/page').user, 'ada');
});
