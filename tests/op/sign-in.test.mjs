// Sign-in by the authorization code flow: algorithms, client authentication, UserInfo, the callback,
// user creation and sync, several providers.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { Claimgate, IDENTITY, nextSecond, pair, replace } from './claimgate.mjs';
import { claimsOf, encode, newKeys } from './jose.mjs';
import { ASYMMETRIC, OpenIdProvider, SYMMETRIC } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

for (const algorithm of [...ASYMMETRIC, ...SYMMETRIC]) {
  test(`ID tokens signed with ${algorithm}`, async () => {
    await serve({ client: { id_token_signed_response_alg: algorithm } });
    const me = await new Agent().signIn(gate, 'crm', 'ada');
    assert.equal(me.username, 'ada');
    assert.equal(me.email, 'ada@example.com');
    assert.equal(me.profile.family_name, 'Lovelace');
    assert.deepEqual(me.teams, ['Administrators', 'sales']);
  });
}

// attack: allow-list.same-family
test('an algorithm that is not allowed is refused', async () => {
  await serve({ client: { id_token_signed_response_alg: 'RS512' }, provider: { algorithms: ['RS256', 'ES256'] } });
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.equal(landed.status, 403);
  assert.match(landed.text, /<code id="code">sign_in\.token</);
  assert.equal(gate.logged('algorithm.not_allowed').length, 1);
});

const { privateKey, publicJwk } = newKeys('ec', { namedCurve: 'P-256' });
for (const [method, settings] of Object.entries({
  client_secret_basic: {},
  client_secret_post: {},
  client_secret_jwt: {},
  private_key_jwt: {
    client: { jwks: { keys: [{ ...publicJwk, kid: 'client', alg: 'ES256', use: 'sig' }] } },
    provider: { private_key_file: 'client.pem', private_key_id: 'client' },
  },
  none: {},
})) {
  // conformance: oidcc-client-test-client-secret-basic
  test(`the client proves itself by ${method}`, async () => {
    await serve({
      client: { token_endpoint_auth_method: method, ...settings.client },
      provider: { token_endpoint_auth_method: method, ...settings.provider },
      start: false,
    });
    writeFileSync(join(gate.folder, 'client.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await gate.start();
    assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'grace');
  });
}

test('a wrong client secret is logged and shown with a code', async () => {
  await serve({ provider: { client_secret: 'not the secret that the provider knows' } });
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.equal(landed.status, 502);
  assert.match(landed.text, /token\.refused/);
  assert.match(landed.text, /invalid_client/);
});

test('pairwise subjects', async () => {
  await serve({ client: { subject_type: 'pairwise' } });
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
  const sessions = gate.sessions();
  assert.equal(sessions[0].subject, 'pairwise-crm-ada');
});

// conformance: oidcc-client-test-userinfo-signed
test('a signed UserInfo response', async () => {
  await serve({ client: { userinfo_signed_response_alg: 'RS256' } });
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).email, 'ada@example.com');
});

test('UserInfo is requested, and not where the configuration says so', async () => {
  for (const [userinfo, calls] of [[true, 1], [false, 0]]) {
    await serve({ provider: { userinfo } });
    op.requests = {};
    assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
    assert.equal(op.requests['/me'] ?? 0, calls);
  }
});

// finding: O-F10, D2
// finding: R10, N4
test('groups that the provider left out take no team away: a warning and a metric say so', async () => {
  await serve({ signIn: { sync_teams: true } });
  const signIn = async (claims) => {
    op.claims = { ada: claims };
    const me = await new Agent().signIn(gate, 'crm', 'ada');
    op.claims = undefined;
    return me.teams;
  };
  assert.deepEqual(await signIn({ groups: ['crm-admin'] }), ['Administrators']);
  gate.forgetLog();
  assert.deepEqual(await signIn({ groups: undefined, hasgroups: true }), ['Administrators']);
  assert.ok(gate.log.includes('left groups out'), gate.log);
  assert.match(await (await fetch(`${gate.url}/metrics`)).text(), /claimgate_groups_left_out_total\{provider="crm"\} 1/);
  assert.deepEqual(await signIn({ groups: undefined }), []);
  assert.ok(gate.log.includes('the claims hold no groups'), gate.log);
});

test('a sign-in whose claims lack a demanded value is refused, and the log alone says which', async () => {
  const demand = { path: 'hd', one_of: ['example.com'] };
  await serve({ provider: { claim: [demand, { path: '$.groups', contains: 'crm-admin' }] } });
  const walk = async (claims) => {
    op.claims = { ada: claims };
    const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
    op.claims = undefined;
    return landed;
  };
  const missing = await walk({});
  assert.equal(missing.status, 403);
  assert.match(missing.text, /<code id="code">sign_in\.claim</);
  assert.doesNotMatch(missing.text, /\bhd\b|claims\.|example\.com|crm-admin/);
  const [line] = gate.logged('claims.missing').map((text) => JSON.parse(text));
  assert.match(line.error, /`hd` is required/);
  assert.equal((await walk({ hd: 'example.org', groups: ['crm-admin'] })).status, 403);
  const [other] = gate.logged('claims.value').map((text) => JSON.parse(text));
  assert.match(other.error, /`hd` must be one of "example\.com"/);
  assert.equal(other.found, 'hd: "example.org"');
  assert.equal(other.user, 'ada');
  assert.deepEqual(gate.users(), []);
  assert.deepEqual(gate.sessions(), []);

  // UserInfo's claims count, and the next sign-in of a person who had access is refused too.
  op.claims = { ada: { hd: 'example.com', groups: ['crm-admin'] } };
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
  op.claims = undefined;
  assert.equal((await walk({ hd: 'example.com', groups: [] })).status, 403);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('max_age is asked for and auth_time compared', async () => {
  await serve({ provider: { max_age: 3600 } });
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
  agent.cookies(gate.url).clear();
  // The provider still knows the person, who was authenticated two hours ago.
  op.age(7200);
  const begun = new URL((await agent.request(`${gate.url}/login/crm`)).location);
  assert.equal(begun.searchParams.get('max_age'), '3600');
  // A person who edits the address of the redirect satisfies the provider, not Claimgate.
  begun.searchParams.set('max_age', '100000');
  gate.forgetLog();
  const landed = await agent.walk(begun.href, { as: 'ada' });
  assert.equal(landed.status, 403);
  assert.equal(gate.logged('id_token.auth_time').length, 1, gate.log);
  assert.equal(await agent.me(gate), undefined);
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
});

// finding: R15a
test('prompt is passed on', async () => {
  await serve({ provider: { prompt: 'consent', authorization_parameters: { acr_values: 'mfa', login_hint: 'ada & co' } } });
  const begun = await new Agent().request(`${gate.url}/login/crm`);
  const asked = new URL(begun.location).searchParams;
  assert.equal(asked.get('prompt'), 'consent');
  assert.equal(asked.get('code_challenge_method'), 'S256');
  assert.equal(asked.get('scope'), 'openid profile email phone');
  assert.deepEqual(JSON.parse(asked.get('claims')), { id_token: { groups: { essential: true } } });
  assert.equal(asked.get('response_type'), 'code');
  assert.deepEqual([asked.get('acr_values'), asked.get('login_hint'), asked.has('response_mode')], ['mfa', 'ada & co', false]);
});

// attack: state.posted
test('a provider posts its answer: it completes the sign-in in the browser that began it, once, and no address shows the code', async () => {
  await serve({ provider: { response_mode: 'form_post' } });
  const agent = new Agent();
  const stranger = new Agent();
  const page = await agent.walk(`${gate.url}/login/crm`, { as: 'ada' });
  const answer = Object.fromEntries([...page.text.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]));
  assert.ok(answer.code && answer.state && answer.iss, page.text);
  // From the provider's site a browser sends no cookie.
  const post = (form, headers) => stranger.request(`${gate.url}/callback/crm`, {
    method: 'POST',
    form,
    headers: { origin: op.url, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...headers },
  });
  const posted = await post(answer);
  assert.equal(posted.status, 303);
  assert.ok(posted.location.startsWith(`${gate.url}/callback/crm?answer=`), posted.location);
  for (const secret of [answer.code, answer.state]) assert.ok(!posted.location.includes(secret), posted.location);
  assert.equal(posted.headers.get('set-cookie'), null);

  assert.match((await stranger.request(posted.location)).text, /callback\.state/);
  assert.match((await agent.request(`${posted.location.slice(0, -1)}${posted.location.endsWith('A') ? 'B' : 'A'}`)).text, /callback\.state/);
  const kept = new Map(agent.cookies(gate.url));
  assert.equal((await agent.request(posted.location)).location, `${gate.url}/`);
  assert.equal((await agent.me(gate)).username, 'ada');
  for (const [name, value] of kept) agent.cookies(gate.url).set(name, value);
  assert.match((await agent.request(posted.location)).text, /callback\.used/);
  assert.ok(!gate.log.includes(answer.code));

  for (const headers of [{ 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }, { 'sec-fetch-dest': 'iframe' }]) {
    assert.equal((await post(answer, headers)).status, 403);
  }
  assert.match((await post({ ...answer, code: 'c'.repeat(3000) })).text, /callback\.parameter/);
  assert.equal((await post(answer, { 'content-type': 'text/plain' })).status, 400);
  // A refusal is posted, too.
  const denied = { error: 'access_denied', error_description: 'The person <b>said</b> no', state: answer.state };
  assert.match((await stranger.request((await post(denied)).location)).text, /callback\.state/);
});

// attack: console.script-in-provider-errors
test('denial shows the provider’s words, escaped, and begins no session', async () => {
  await serve();
  const agent = new Agent();
  const landed = await agent.walk(`${gate.url}/login/crm`, { deny: true });
  assert.equal(landed.status, 403);
  assert.match(landed.text, /callback\.provider_error/);
  assert.match(landed.text, /declined at the sign-in provider. It says: “The person &lt;b&gt;said&lt;\/b&gt; no”/);
  assert.match(gate.logged('callback.provider_error')[0], /access_denied: The person <b>said<\/b> no/);
  assert.equal(await agent.me(gate), undefined);
});

// attack: state.absent, state.made-up, state.another-browser, state.used-twice, state.mix-up
test('a callback: without a sign-in, with another state, of another browser, used twice', async () => {
  await serve();
  const agent = new Agent();
  const stranger = new Agent();
  assert.match((await stranger.request(`${gate.url}/callback/crm?code=x&state=y`)).text, /callback\.state/);
  // This provider answers by redirect.
  assert.equal((await stranger.request(`${gate.url}/callback/crm`, { method: 'POST', form: { code: 'x', state: 'y' } })).status, 405);
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  const address = callback.location;
  assert.match((await stranger.request(address)).text, /callback\.state/);
  const changed = new URL(address);
  changed.searchParams.set('state', `${changed.searchParams.get('state').slice(0, 20)}AAAAAAAAAAAAAAAAAAAAAAA`);
  assert.match((await agent.request(changed.href)).text, /callback\.state/);
  const other = new URL(address);
  other.searchParams.set('iss', 'https://evil.example.com');
  assert.match((await agent.request(other.href)).text, /callback\.issuer/);
  const twice = new URL(address);
  twice.searchParams.append('code', 'another');
  assert.match((await agent.request(twice.href)).text, /callback\.parameter/);
  // The cookie is restored, as an attacker with a copy of it would.
  const kept = new Map(agent.cookies(gate.url));
  assert.equal((await agent.request(address)).status, 303);
  assert.equal((await agent.me(gate)).username, 'ada');
  for (const [name, value] of kept) agent.cookies(gate.url).set(name, value);
  const again = await agent.request(address);
  assert.equal(again.status, 400);
  assert.match(again.text, /callback\.used/);
});

// finding: D10, O-F12
test('a callback of no sign-in leads to the front page where the person is signed in', async () => {
  await serve();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  assert.equal((await agent.request(callback.location)).status, 303);
  for (const address of [callback.location, `${gate.url}/callback/crm`, `${gate.url}/callback/crm?error=access_denied`]) {
    const back = await agent.request(address);
    assert.equal(back.status, 303);
    assert.equal(back.location, `${gate.url}/`);
    assert.equal((await agent.me(gate)).username, 'ada');
  }
  await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  assert.match((await agent.request(callback.location)).text, /callback\.state/);
});

// finding: U-s70, U-s72
test('the log has the error of a callback that belongs to no sign-in, or does not name its sender', async () => {
  await serve();
  const answer = await fetch(`${gate.url}/callback/crm?error=access_denied&error_description=User+cancelled`);
  assert.equal(answer.status, 400);
  assert.ok(!(await answer.text()).includes('access_denied'));
  const [line] = gate.logged('callback.state').map((text) => JSON.parse(text));
  assert.equal(line.unverified_error, 'access_denied');
  assert.deepEqual([line.client, line.provider, line.host], ['127.0.0.1', 'crm', new URL(gate.url).host]);
  const agent = new Agent();
  const callback = new URL((await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` })).location);
  callback.searchParams.delete('iss');
  callback.searchParams.set('error', 'login_required');
  assert.match((await agent.request(callback.href)).text, /does not fit this sign-in/);
  assert.equal(JSON.parse(gate.logged('callback.no_issuer')[0]).unverified_error, 'login_required');
});

// attack: state.code-replay
test('a code that was used is refused in another sign-in', async () => {
  await serve();
  const [ada, eve] = [new Agent(), new Agent()];
  const first = await ada.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  const code = new URL(first.location).searchParams.get('code');
  const second = new URL((await eve.walk(`${gate.url}/login/crm`, { as: 'linus', stopAt: `${gate.url}/callback` })).location);
  second.searchParams.set('code', code);
  // Injected before its owner uses it: the code verifier does not fit the code challenge.
  const injected = await eve.request(second.href);
  assert.equal(injected.status, 502);
  assert.match(injected.text, /token\.refused/);
  assert.equal(await eve.me(gate), undefined);
  await ada.request(first.location);
  const third = new URL((await eve.walk(`${gate.url}/login/crm`, { as: 'linus', stopAt: `${gate.url}/callback` })).location);
  third.searchParams.set('code', code);
  assert.match((await eve.request(third.href)).text, /token\.refused/);
  assert.equal(await eve.me(gate), undefined);
});

// Every hostile spelling is in attacks.test.mjs.
// attack: redirect.two-slashes, redirect.line-breaks
test('return_to leads to paths of this site alone', async () => {
  await serve();
  for (const [asked, landed] of [
    ['/reports?year=2026#top', '/reports?year=2026#top'],
    ['/%0d%0aX:%20y', '/%0d%0aX:%20y'], ['/%0d%0aX: y', '/'], ['/a\r\nX: y', '/'], ['//evil.example.com/', '/'],
  ]) {
    const agent = new Agent();
    const callback = await agent.walk(`${gate.url}/login/crm?return_to=${encodeURIComponent(asked)}`, { as: 'ada', stopAt: `${gate.url}/callback` });
    const done = await agent.request(callback.location);
    assert.equal(done.headers.get('location'), landed, asked);
  }
});

test('sync follows what the provider says; an absent claim empties nothing', async () => {
  await serve();
  assert.deepEqual((await new Agent().signIn(gate, 'crm', 'ada')).profile.phone_number, '+44 1');
  op.claims = { ada: { groups: ['/crm/lab'], phone_number: undefined, email: 'new@example.com' } };
  const me = await new Agent().signIn(gate, 'crm', 'ada');
  op.claims = undefined;
  assert.deepEqual(me.teams, ['lab']);
  assert.equal(me.email, 'new@example.com');
  assert.equal(me.profile.phone_number, '+44 1');
});

test('without sync a user keeps the attributes of creation', async () => {
  await serve({ signIn: { sync_profile: false, sync_teams: false } });
  await new Agent().signIn(gate, 'crm', 'linus');
  op.claims = { linus: { groups: ['crm-admin'], email: 'other@example.com' } };
  const me = await new Agent().signIn(gate, 'crm', 'linus');
  op.claims = undefined;
  assert.deepEqual(me.teams, []);
  assert.equal(me.email, 'linus@example.com');
});

// attack: mapping.admin-from-outside
// attack: mapping.admin-from-outside
test('groups make and unmake an administrator; the sessions of before end; an address becomes its first part', async () => {
  const identity = IDENTITY.replace('username = "preferred_username"', 'username = "email"\nusername_regex = \'(.+)@example\\.com\'\nadmin_groups = ["root"]');
  await serve({ identity, signIn: { allow_admins: true } });
  const signIn = async (groups, more) => {
    op.claims = { ada: { groups, ...more } };
    const agent = new Agent();
    const landed = await agent.walk(`${gate.url}/login/crm`, { as: 'ada' });
    op.claims = undefined;
    return { agent, landed, me: await agent.me(gate) };
  };
  const first = await signIn(['crm-admin']);
  assert.deepEqual([first.me.username, first.me.kind], ['ada', 'regular']);
  const second = await signIn(['root']);
  assert.equal(second.me.kind, 'admin');
  assert.equal(await first.agent.me(gate), undefined);
  // Groups that the provider left out take nothing away.
  const third = await signIn(undefined, { hasgroups: true });
  assert.equal(third.me.kind, 'admin');
  assert.equal((await second.agent.me(gate)).kind, 'admin');
  const fourth = await signIn(['crm-admin']);
  assert.equal(fourth.me.kind, 'regular');
  assert.deepEqual([await second.agent.me(gate), await third.agent.me(gate)], [undefined, undefined]);
  const lines = gate.log.split('\n').filter((line) => line.includes('changed the kind of a user'));
  assert.deepEqual(lines.map((line) => /"from":"(\w+)"/.exec(line)[1]), ['regular', 'admin']);
  const changes = gate.events('--kind', 'administration', '--user', 'ada');
  assert.deepEqual(changes.map(({ user, by, detail }) => [user, by, detail]), [
    ['ada', '(provider crm)', 'kind regular to admin, by groups'],
    ['ada', '(provider crm)', 'kind admin to regular, by groups'],
  ]);

  const { landed } = await signIn(['root'], { email: 'ada@evil.example.org' });
  assert.match(landed.text, /identity\.username_unmatched/);
});

test('who may sign in: no unknown user, no admin unless allowed, no inactive user, no other kind', async () => {
  const refused = async (who, code) => {
    const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: who });
    assert.equal(landed.status, 403, landed.text);
    assert.match(landed.text, new RegExp(code.replace('.', '\\.')));
  };
  const provider = await serve({ signIn: { create_users: false, link_by_username: true } });
  await refused('ada', 'sign_in.unknown');
  gate.command(['user', 'add', 'ada', '--kind', 'admin', '--no-password']);
  await refused('ada', 'sign_in.admin');
  gate.command(['user', 'add', 'grace', '--kind', 'super-admin', '--no-password']);
  gate.command(['user', 'add', 'linus', '--no-password']);
  assert.equal((await new Agent().signIn(gate, 'crm', 'linus')).username, 'linus');
  gate.command(['user', 'deactivate', 'linus']);
  await nextSecond();
  await refused('linus', 'sign_in.inactive');
  await gate.stop();
  await gate.write({ providers: [provider], signIn: { create_users: false, allow_admins: true, link_by_username: true } }).start();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).kind, 'admin');
  await refused('grace', 'sign_in.admin');
});

// attack: mapping.two-subjects
test('two subjects never share an account', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  op.claims = { grace: { preferred_username: 'ADA' } };
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'grace' });
  op.claims = undefined;
  assert.match(landed.text, /sign_in\.username_taken/);
});

// attack: console.session-fixation
test('the session secret changes at sign-in and the old session ends', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const first = agent.cookies(gate.url).get('claimgate');
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  const second = agent.cookies(gate.url).get('claimgate');
  assert.notEqual(first, second);
  const old = await fetch(`${gate.url}/api/v1/me`, { headers: { cookie: `claimgate=${first}` } });
  assert.equal(old.status, 401);
});

test('names of all scripts stay apart; where they are made one, the second person is refused', async () => {
  await serve();
  op.claims = { ada: { preferred_username: 'Анна' }, grace: { preferred_username: 'auth0|abc' }, linus: { preferred_username: 'auth0_abc' } };
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'анна');
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'auth0|abc');
  assert.equal((await new Agent().signIn(gate, 'crm', 'linus')).username, 'auth0_abc');
  await serve({ identity: IDENTITY.replace('[identity]', '[identity]\nnormalise = "lossy_ascii"') });
  assert.equal((await new Agent().signIn(gate, 'crm', 'grace')).username, 'auth0_abc');
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'linus' });
  op.claims = undefined;
  assert.match(landed.text, /sign_in\.username_taken/);
});

test('the model’s switches: all teams replaced, absent claims empty their field', async () => {
  await serve({ signIn: { keep_hand_given_teams: false, absent_empties: true } });
  await new Agent().signIn(gate, 'crm', 'ada');
  gate.addUser('boss', 'admin');
  const boss = new Agent();
  await boss.administer(gate, 'boss');
  const [ada] = JSON.parse((await boss.request(`${gate.url}/api/v1/users`)).text).users;
  await boss.request(`${gate.url}/api/v1/users/${ada.id}`, { method: 'PATCH', json: { teams: ['Chess'] }, headers: SAME_ORIGIN });
  op.claims = { ada: { groups: ['/crm/lab'], phone_number: undefined } };
  const me = await new Agent().signIn(gate, 'crm', 'ada');
  op.claims = undefined;
  assert.deepEqual([me.teams, me.profile.phone_number], [['lab'], undefined]);
});

test('a browser that reopens twelve tabs signs in in each, and each leads to its own page', async () => {
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

// attack: state.mix-up
test('several providers: each finds its own, a logout token of one ends no session of another', async (t) => {
  await gate?.close();
  gate = await Claimgate.prepare();
  const second = await OpenIdProvider.start();
  t.after(() => second.stop());
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
  const claims = encode({ ...claimsOf(token), iss: op.issuer, aud: 'one' });
  assert.equal((await gate.logOut(token.replace(/\.[^.]+\./, `.${claims}.`))).status, 400);
  assert.equal((await gate.logOut(token)).status, 200);
  assert.equal(await twin.me(gate), undefined);
  assert.equal((await ada.me(gate)).username, 'ada');
});
