// Sessions that follow the provider: it is asked again at an interval, by refresh tokens that it replaces each time.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from './agent.mjs';
import { IDENTITY, replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { OpenIdProvider } from './provider.mjs';

const CLIENT = { grant_types: ['authorization_code', 'refresh_token'] };
const FOLLOWING = { refresh_interval: '1m', scopes: ['profile', 'email', 'offline_access'], prompt: 'consent' };

let op;
let gate;
let time;
/** The seconds by which the server's clock is ahead. */
let ahead;
/** The refresh tokens that the provider has issued, and the number of those presented. */
let issued;
let presented;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });
afterEach(() => { op.claims = undefined; op.down = false; op.held = undefined; delete op.handle; });

async function serve(provider = FOLLOWING, more = {}) {
  [time, ahead, issued, presented] = [clock(), 0, [], 0];
  op.tap = (path, _request, sent, answer) => {
    if (path !== '/token') return;
    const token = /"refresh_token":"([^"]+)"/.exec(answer)?.[1];
    if (token) issued.push(token);
    if (sent.includes('grant_type=refresh_token')) presented += 1;
  };
  gate = (await replace(gate, op, { client: CLIENT, provider, start: { env: time.env }, ...more })).gate;
}

/** Lets an interval pass on the server's clock. */
function pass(seconds = 61) {
  ahead += seconds;
  time.set(`+${ahead}`);
}

async function signIn(who = 'ada') {
  const agent = new Agent();
  assert.ok(await agent.signIn(gate, 'crm', who));
  return agent;
}

const teams = async (agent) => (await agent.me(gate))?.teams ?? [];
const isLive = async (agent) => (await agent.request(`${gate.url}/auth`)).status === 200;

/** The number of refreshes with this outcome. */
async function outcomes(outcome) {
  const text = await (await fetch(`${gate.url}/metrics`)).text();
  return Number(new RegExp(`claimgate_refreshes_total\\{[^}]*outcome="${outcome}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0);
}

/** Lets an interval pass, and waits for the refresh. */
async function refreshed(outcome = 'refreshed') {
  const before = await outcomes(outcome);
  pass();
  await until(`a refresh is ${outcome}`, async () => await outcomes(outcome) > before);
}

// finding: A10a
test('groups that change at the provider arrive without a new sign-in, refresh after refresh', async () => {
  await serve();
  const agent = await signIn();
  const first = await teams(agent);
  assert.ok(first.length > 0);
  const session = gate.sessions()[0];
  op.claims = { ada: { groups: ['/crm/support'], given_name: 'Augusta' } };
  await refreshed();
  const second = await teams(agent);
  assert.notDeepEqual(second, first);
  assert.equal((await agent.me(gate)).profile.given_name, 'Augusta');
  op.claims = undefined;
  await refreshed();
  assert.deepEqual(await teams(agent), first);
  await refreshed();
  assert.equal(presented, 3, 'each interval once');
  assert.equal(new Set(issued).size, 4, 'each one replaced');
  assert.deepEqual(gate.sessions()[0], session, 'the session is the same, and ends when it did');
});

test('a session ends within an interval of the revocation of its grant, and others go on', async () => {
  await serve();
  const [ada, grace] = [await signIn('ada'), await signIn('grace')];
  for (const [key, value] of op.storage) if (/^(Grant|RefreshToken):/.test(key) && value.accountId === 'grace') op.storage.delete(key);
  await refreshed('ended');
  await until('the other is refreshed', async () => await outcomes('refreshed') === 1);
  assert.equal(await isLive(grace), false);
  assert.equal(await isLive(ada), true);
  const [event] = gate.events('--kind', 'logout');
  assert.deepEqual([event.code, event.user, event.provider, event.subject, event.detail], ['refresh', 'grace', 'crm', 'grace', 'token.refused']);
  await signIn('grace');
});

test('a provider that is down or misconfigured ends no session, and is asked less and less', async () => {
  await serve();
  const agent = await signIn();
  op.down = true;
  await refreshed('unreachable');
  await sleep(2500);
  pass();
  await until('it is asked again', async () => await outcomes('unreachable') > 1);
  assert.equal(await isLive(agent), true);
  assert.equal(gate.log.split('\n').filter((line) => line.includes('sessions could not be refreshed')).length, 1, 'one line a minute');
  op.down = false;
  await sleep(2500);
  await refreshed();
  const own = op.handle.bind(op);
  op.handle = async (request, response, path) => {
    if (path !== '/token') return own(request, response, path);
    response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"invalid_client"}');
  };
  try {
    await refreshed('refused');
    assert.equal(await isLive(agent), true);
  } finally {
    delete op.handle;
  }
  await refreshed();
});

test('a logout that arrives during a refresh wins', async () => {
  await serve();
  const agent = await signIn();
  op.claims = { ada: { groups: ['/crm/support'] } };
  const before = gate.users()[0].teams;
  const release = op.hold('/token');
  const asked = op.requests['/token'];
  pass();
  await until('the refresh is under way', () => op.requests['/token'] > asked);
  const sid = gate.sessions()[0].sid;
  assert.equal((await gate.logOut(await op.logoutToken('crm', 'ada', sid))).status, 200);
  release();
  await until('the refresh is gone', async () => await outcomes('gone') === 1);
  assert.equal(await isLive(agent), false);
  assert.deepEqual(gate.users()[0].teams, before, 'nothing was written');
  assert.deepEqual(gate.sessions(), []);
});

test('who would not be admitted again is signed out: a demand on claims that is no longer met', async () => {
  await serve({ ...FOLLOWING, claim: [{ path: 'hd', one_of: ['example.com'] }] });
  op.claims = { ada: { hd: 'example.com' } };
  const agent = await signIn();
  await refreshed();
  assert.equal(await isLive(agent), true);
  op.claims = { ada: { hd: 'elsewhere.example' } };
  await refreshed('ended');
  assert.equal(await isLive(agent), false);
  assert.equal(gate.events('--kind', 'logout').at(-1).detail, 'claims.value');
});

/** Leaves the ID token out of the answers to refreshes. */
function withoutIdToken() {
  const own = op.handle.bind(op);
  op.handle = (request, response, path) => {
    if (path !== '/token') return own(request, response, path);
    let sent = '';
    const { push } = request;
    request.push = (chunk, encoding) => { sent += chunk ?? ''; return push.call(request, chunk, encoding); };
    const { end } = response;
    response.end = (chunk, ...rest) => {
      if (!sent.includes('grant_type=refresh_token')) return end.call(response, chunk, ...rest);
      const { id_token: left, ...answer } = JSON.parse(chunk.toString());
      assert.ok(left, 'there was one');
      const body = JSON.stringify(answer);
      response.setHeader('content-length', Buffer.byteLength(body));
      return end.call(response, body, ...rest);
    };
    return own(request, response, path);
  };
}

test('without a new ID token, UserInfo decides: groups change, and a value that is refused ends the session', async () => {
  withoutIdToken();
  const identity = IDENTITY.replace('[identity]\n', '[identity]\ndeny_unmatched = true\nrequire_verified_email = true\nusername_regex = "(ada|grace)"\n');
  const claim = [{ path: '$.groups[*]', matches: '[^!]*' }];
  await serve({ ...FOLLOWING, userinfo: true, claim }, { identity });
  const details = [];
  for (const refused of [
    { groups: ['other'] },
    { email_verified: false },
    { preferred_username: 'eve' },
    { groups: [] },
    { groups: ['crm-admin', 'out!'] },
  ]) {
    op.claims = undefined;
    const agent = await signIn();
    assert.ok((await teams(agent)).includes('Administrators'));
    // The claim of the username, and another, are absent.
    op.claims = { ada: { groups: ['/crm/support'], preferred_username: undefined, email_verified: undefined, given_name: 'Augusta' } };
    await refreshed();
    assert.deepEqual(await teams(agent), ['support']);
    const { username, profile } = await agent.me(gate);
    assert.deepEqual([username, profile.given_name], ['ada', 'Augusta']);
    op.claims = { ada: { groups: undefined } };
    await refreshed();
    assert.deepEqual(await teams(agent), ['support'], 'absent groups are not known');
    op.claims = { ada: refused };
    await refreshed('ended');
    assert.equal(await isLive(agent), false, JSON.stringify(refused));
    details.push(gate.events('--kind', 'logout').at(-1).detail);
  }
  assert.deepEqual(details, ['identity.no_team', 'identity.email_not_verified', 'identity.username_unmatched', 'claims.missing', 'claims.value']);
});

// finding: V3
test('of a complete UserInfo, groups that are not there are left', async () => {
  withoutIdToken();
  await serve({ ...FOLLOWING, userinfo: true, userinfo_is_complete: true });
  const agent = await signIn();
  assert.notDeepEqual(await teams(agent), []);
  op.claims = { ada: { groups: undefined } };
  await refreshed();
  assert.deepEqual([await teams(agent), await isLive(agent)], [[], true]);
});

// finding: V2
test('an error of refresh_end_errors ends the session, and another one does not', async () => {
  for (const [refresh_end_errors, outcome, live] of [[undefined, 'refused', true], [['account_locked', 'invalid_request'], 'ended', false]]) {
    await serve({ ...FOLLOWING, refresh_end_errors });
    const agent = await signIn();
    op.handle = (request, response, path) => {
      if (path !== '/token') return OpenIdProvider.prototype.handle.call(op, request, response, path);
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end('{"error":"invalid_request","error_description":"There is no such person."}');
      return undefined;
    };
    await refreshed(outcome);
    assert.equal(await isLive(agent), live);
    delete op.handle;
  }
});

test('a refresh that changes the kind of a user ends all sessions of the user', async () => {
  const identity = IDENTITY.replace('[identity]\n', '[identity]\nadmin_groups = ["root"]\n');
  for (const bare of [false, true]) {
    if (bare) withoutIdToken();
    await serve({ ...FOLLOWING, userinfo: bare }, { identity, signIn: { allow_admins: true } });
    op.claims = { ada: { groups: ['root'] } };
    const [first, second, other] = [await signIn(), await signIn(), await signIn('grace')];
    assert.equal((await first.me(gate)).kind, 'admin');
    await refreshed();
    assert.deepEqual([await isLive(first), await isLive(second)], [true, true]);
    await until('the three are refreshed', async () => await outcomes('refreshed') === 3);
    op.claims = { ada: { groups: ['crm-admin'] } };
    await refreshed('ended');
    assert.deepEqual([await isLive(first), await isLive(second), await isLive(other)], [false, false, true]);
    assert.equal(gate.users().find(({ username }) => username === 'ada').kind, 'regular');
    const changes = gate.events('--kind', 'administration', '--user', 'ada');
    assert.equal(changes.at(-1).detail, 'kind admin to regular, by groups');
    const [event] = gate.events('--kind', 'logout', '--user', 'ada');
    assert.deepEqual([event.code, event.detail], ['refresh', 'the groups changed the kind of the user']);
    const again = await signIn();
    assert.deepEqual([(await again.me(gate)).kind, await teams(again)], ['regular', ['Administrators']]);
  }
});

test('refresh tokens are nowhere in clear, and outlive a restart', async () => {
  await serve();
  const agent = await signIn();
  await refreshed();
  const release = op.hold('/token');
  const asked = op.requests['/token'];
  pass();
  await until('the refresh is under way', () => op.requests['/token'] > asked);
  const stopped = gate.stop();
  await sleep(300);
  release();
  await stopped;
  assert.equal(issued.length, 3, 'the server waited for the answer');
  const files = readdirSync(gate.folder).map((name) => readFileSync(join(gate.folder, name)));
  assert.ok(files.some((content) => content.includes(gate.config) || content.includes('crm')), 'the files are read');
  for (const token of issued) {
    assert.ok(!files.some((content) => content.includes(token)), 'in a file');
    assert.ok(!gate.log.includes(token), 'in the log');
  }
  delete gate.exit;
  await gate.start({ env: time.env });
  await refreshed();
  assert.equal(await isLive(agent), true, 'the token of the last moment was kept');
});

test('without a refresh token, and after it is switched off, sessions go on as they are', async () => {
  await serve({ ...FOLLOWING, scopes: ['profile', 'email'] });
  let agent = await signIn();
  assert.match(gate.log, /the provider issued no refresh token/);
  const check = await gate.commandBeside(['config', 'check', gate.config]);
  assert.match(check.out, /offline_access/);
  await serve();
  agent = await signIn();
  writeFileSync(gate.config, readFileSync(gate.config, 'utf8').replace(/^refresh_interval.*$/m, ''));
  await gate.reload('deleted refresh tokens');
  pass();
  await sleep(2500);
  assert.equal(presented, 0);
  assert.equal(await isLive(agent), true);
});

test('refresh_interval that is taken away while a sign-in is under way: its refresh token is not kept', async () => {
  await serve();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  const release = op.hold('/token');
  const answer = agent.request(callback.location);
  await until('the code is being exchanged', () => op.requests['/token'] === 1);
  writeFileSync(gate.config, readFileSync(gate.config, 'utf8').replace(/^refresh_interval.*$/m, ''));
  await gate.reload();
  assert.ok(!gate.log.includes('deleted refresh tokens'), 'there is none yet');
  release();
  assert.equal((await answer).status, 303);
  await until('it is deleted', () => gate.log.includes('deleted refresh tokens'));
  assert.equal(await isLive(agent), true);
});
