// The log holds no secret and no forged line. The log at level `trace`, and every page, answer and metric of
// a run through all interfaces and of its failures, are searched for every secret, code, token, signature,
// cookie and password used in it, in each spelling in which it travels.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { Claimgate, nextSecond, pair, replace } from './claimgate.mjs';
import { newKeys } from './jose.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

const WRONG = 'incorrect horse battery staple';
const VERIFY = 'the secret of services & of others';

let op;
let bad;
let gate;
before(async () => { op = await OpenIdProvider.start(); bad = await MisbehavingProvider.start(); gate = await Claimgate.prepare(); });
after(async () => { await gate?.close(); await op?.stop(); await bad?.stop(); });

const secrets = new Map();
const answers = [];
const remember = (what, value) => { assert.ok(value?.length > 10, `no ${what} was seen`); secrets.set(`${what} ${secrets.size}`, value); };
const rememberToken = (what, token) => { remember(what, token); remember(`signature of ${what}`, token.split('.')[2]); };
const rememberCookies = (agent) => { for (const [name, value] of agent.cookies(gate.url)) remember(`cookie ${name}`, value); };

/** Sends a request; its answer is searched at the end, except for the cookies and addresses that it has to hold. */
async function call(agent, path, options) {
  const answer = await agent.request(path.startsWith('http') ? path : `${gate.url}${path}`, options);
  rememberCookies(agent);
  const headers = [...answer.headers].filter(([name]) => name !== 'set-cookie' && name !== 'location');
  answers.push({ what: path.split('?')[0], text: `${headers.join('\n')}\n${answer.text}`, location: answer.location ?? '' });
  return answer;
}

/** The spellings in which a secret may travel. */
function spellings(secret) {
  const form = new URLSearchParams({ x: secret }).toString().slice(2);
  return new Set([secret, encodeURIComponent(secret), form, JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString('base64'), Buffer.from(secret).toString('base64url'), Buffer.from(secret).toString('hex')]);
}

test('a run through every interface', async () => {
  const first = pair(op, gate, 'crm');
  op.configure([first.client]);
  const other = { ...pair(bad, gate, 'bad').provider };
  const { privateKey, privateJwk } = newKeys('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(join(gate.folder, 'client.pem'), pem);
  const signing = { id: 'signing', issuer: `${bad.issuer}/elsewhere`, client_id: 'signing', private_key_file: 'client.pem', authorization_endpoint: `${bad.issuer}/authorize`, token_endpoint: `${bad.issuer}/token`, jwks_uri: `${bad.issuer}/jwks`, discovery: false };
  await gate.write({ providers: [first.provider, other, signing], server: { verify_secret: VERIFY } }).start({ logLevel: 'trace' });
  gate.addUser('root', 'super-admin');
  for (const [what, value] of [['password', PASSWORD], ['wrong password', WRONG], ['client secret', first.provider.client_secret], ['other client secret', other.client_secret], ['verify secret', VERIFY], ['private key', pem.split('\n')[1]], ['private number', privateJwk.d]]) remember(what, value);

  // The exchange with the real provider.
  const exchanged = [];
  op.tap = (path, request, sent, answer) => {
    if (path === '/token') exchanged.push({ form: new URLSearchParams(sent), basic: request.headers.authorization, answer: JSON.parse(answer) });
    if (path === '/me') remember('bearer', request.headers.authorization.slice('Bearer '.length));
  };
  const agent = new Agent();
  await call(agent, '/callback/crm?code=a-code-of-nobody-0123456789&state=a-state-of-nobody-0123456789');
  remember('stray code', 'a-code-of-nobody-0123456789');
  remember('stray state', 'a-state-of-nobody-0123456789');
  await call(agent, '/login/crm');
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: 'ada', stopAt: `${gate.url}/callback` });
  rememberCookies(agent);
  const query = new URL(callback.location).searchParams;
  remember('code', query.get('code'));
  remember('state', query.get('state'));
  await call(agent, callback.location);
  await call(agent, callback.location);
  for (const { form, basic, answer } of exchanged) {
    remember('verifier', form.get('code_verifier'));
    remember('basic credentials', basic.slice('Basic '.length));
    remember('access token', answer.access_token);
    rememberToken('ID token', answer.id_token);
  }
  assert.equal(exchanged.length, 1);
  for (const path of ['/', '/api/v1/me', '/auth', '/auth/redirect', '/login', '/readyz', '/healthz', '/metrics', '/assets/claimgate.css', '/nowhere?code=a-code-of-nobody-0123456789', '/api/v1/users']) await call(agent, path);

  // Verification and logout.
  const hint = new URL((await call(agent, '/logout', { headers: { 'sec-fetch-site': 'none' } })).location).searchParams.get('id_token_hint');
  assert.equal(hint, exchanged[0].answer.id_token);
  await call(agent, '/logged-out?state=a-state-of-nobody-0123456789');
  for (const [token, bearer] of [[hint, VERIFY], [`${hint}x`, VERIFY], [hint, 'a wrong secret of services']]) await call(agent, '/api/v1/verify', { method: 'POST', form: { token }, headers: { authorization: `Bearer ${bearer}` } });
  remember('wrong verify secret', 'a wrong secret of services');
  const logout = await op.logoutToken('crm', 'ada');
  rememberToken('logout token', logout);
  for (const token of [logout, logout, `${logout}x`, hint]) await call(agent, '/backchannel-logout', { method: 'POST', form: { logout_token: token } });
  await call(agent, `/backchannel-logout?logout_token=${logout}`);

  // Failures at a provider that repeats the request in its answers.
  const received = [];
  const failing = async (name, overrides) => {
    bad.overrides = overrides;
    bad.code = `a code for ${name}, 0123456789`;
    remember('code', bad.code);
    const stranger = new Agent();
    const back = await stranger.walk(`${gate.url}/login/${name}`, { stopAt: `${gate.url}/callback` });
    remember('state', new URL(back.location).searchParams.get('state'));
    rememberCookies(stranger);
    await call(stranger, back.location);
  };
  const answering = (answer, status = 200) => async (response, send, request) => {
    let sent = '';
    for await (const chunk of request) sent += chunk;
    received.push(new URLSearchParams(sent));
    response.statusCode = status;
    send(await answer(sent, request));
  };
  const tokens = { access_token: 'an access token, 0123456789', refresh_token: 'a refresh token, 0123456789', token_type: 'Bearer' };
  remember('access token', tokens.access_token);
  remember('refresh token', tokens.refresh_token);
  const good = answering(() => { const id_token = bad.idToken(); rememberToken('ID token', id_token); return { ...tokens, id_token }; });
  await failing('bad', { token: good });
  await failing('bad', { token: good, claims: { nonce: 'another' } });
  await failing('bad', { token: good, claims: { exp: 1_000_000_000 } });
  await failing('bad', { token: good, header: { kid: 'unknown' } });
  await failing('bad', { token: good, userinfo: (response, send) => { response.statusCode = 500; send(`${bad.bearer}`, 'text/plain'); } });
  await failing('bad', { token: good, userinfo: (_response, send) => send({ sub: bad.bearer, access_token: bad.bearer }) });
  await failing('bad', { token: answering((sent, request) => ({ error: `invalid ${sent}`, error_description: `${sent} ${request.headers.authorization}` }), 400) });
  await failing('bad', { token: answering((sent) => ({ error: 'invalid_client', error_description: new URLSearchParams(sent).get('code') }), 401) });
  await failing('bad', { token: answering((sent) => sent) });
  await failing('bad', { token: (response) => response.destroy() });
  await failing('bad', { token: (response, _send, request) => response.writeHead(302, { location: `http://127.0.0.1:1/?${request.headers.authorization}` }).end() });
  await failing('signing', { token: answering((sent) => ({ error: 'invalid_client', error_description: sent }), 400) });
  for (const form of received) {
    remember('verifier', form.get('code_verifier'));
    if (form.has('client_assertion')) rememberToken('assertion', form.get('client_assertion'));
  }
  assert.ok(received.some((form) => form.has('client_assertion')));
  const denied = new Agent();
  const back = new URL((await denied.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` })).location);
  back.searchParams.set('error', 'access_denied');
  await call(denied, back.href);

  // Sign-in by password, and administration.
  const root = new Agent();
  for (const password of [WRONG, PASSWORD]) await call(root, '/login/password', { method: 'POST', form: { username: 'root', password }, headers: SAME_ORIGIN });
  await call(root, '/login/password', { method: 'POST', form: { username: WRONG, password: PASSWORD, return_to: '/' } });
  for (const password of [WRONG, PASSWORD]) await call(root, '/api/v1/admin/session', { method: 'POST', json: { password }, headers: SAME_ORIGIN });
  for (const path of ['/api/v1/users', '/api/v1/users/1', '/api/v1/sessions', '/api/v1/teams', '/readyz', '/metrics', '/']) await call(root, path);
  const made = await call(root, '/api/v1/users', { method: 'POST', json: { username: 'zoe', password: 'another long password' } });
  remember('password', 'another long password');
  await call(root, `/api/v1/users/${JSON.parse(made.text).id}/password`, { method: 'PUT', json: { password: 'yet another long password' } });
  remember('password', 'yet another long password');
  for (const [method, path] of [['POST', '/api/v1/users'], ['PUT', `/api/v1/users/${JSON.parse(made.text).id}/password`]]) await call(root, path, { method, json: { username: 'x', password: 'a long password', colour: 'a long password' } });
  remember('refused password', 'a long password');
  // The page that leads to the provider's sign-out holds the ID token, as RP-Initiated Logout asks.
  const ada = new Agent();
  // A logout of the same second would win.
  await nextSecond();
  assert.equal((await ada.signIn(gate, 'crm', 'ada')).username, 'ada');
  rememberCookies(ada);
  const leaving = await ada.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  rememberToken('ID token', new URLSearchParams(/\?([^"]*)"/.exec(leaving.text)[1].replaceAll('&amp;', '&')).get('id_token_hint'));
  for (const args of [['session', 'list'], ['user', 'list'], ['session', 'list', '--format', 'json'], ['user', 'list', '--format', 'json'], ['log', '--limit', '5000']]) { const run = gate.command(args); answers.push({ what: args.join(' '), text: run.out + run.err, location: '' }); }
  process.kill(gate.process.pid, 'SIGHUP');
  await call(root, '/metrics');
  await gate.stop();
  op.tap = undefined;
});

// attack: logs.secrets, console.secrets-in-html
test('no secret of the run is in the log, a page, an answer or the metrics', () => {
  assert.ok(gate.log.includes('"what":"ID token"') && gate.log.includes('"what":"logout token"') && gate.log.includes('token.refused'), 'the log is not at level trace');
  assert.ok(gate.log.length > 20_000 && answers.length > 55 && secrets.size > 100, `${gate.log.length}, ${answers.length}, ${secrets.size}`);
  for (const kind of ['cookie claimgate ', 'cookie claimgate-login-', 'cookie claimgate-logout', 'code', 'verifier', 'state', 'access token', 'refresh token', 'bearer', 'assertion', 'signature of', 'basic', 'client secret', 'password']) {
    assert.ok([...secrets.keys()].some((what) => what.startsWith(kind)), `no ${kind} is looked for`);
  }
  assert.ok(!/eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{20}/.test(gate.log), 'a whole token is in the log');
  for (const [what, secret] of secrets) {
    for (const spelling of spellings(secret)) {
      assert.ok(!gate.log.includes(spelling), `${what} is in the log: ${gate.log.split('\n').find((line) => line.includes(spelling))}`);
      for (const answer of answers) {
        assert.ok(!answer.text.includes(spelling), `${what} is in an answer of ${answer.what}: ${answer.text}`);
        // The state goes to the provider, and so does the ID token as a hint; nothing else does.
        const travels = /^(state|cookie claimgate-logout|stray state|(signature of )?ID token)/.test(what);
        assert.ok(travels || !answer.location.includes(spelling), `${what} is in an address: ${answer.location}`);
      }
    }
  }
});

// finding: S14
test('the database holds no secret either: hashes of sessions, argon2id of passwords, sealed ID tokens', () => {
  const database = ['', '-wal'].map((end) => { try { return readFileSync(`${gate.folder}/claimgate.db${end}`).toString('latin1'); } catch { return ''; } }).join('');
  assert.ok(database.includes('$argon2id$'));
  for (const [what, secret] of secrets) {
    assert.ok(!database.includes(secret), `${what} is in the database`);
  }
});

async function serve(options) {
  gate = (await replace(gate, bad, options)).gate;
}

const signIn = (agent) => agent.walk(`${gate.url}/login/bad`);

const NASTY = 'x\r\n{"level":"ERROR","code":"forged"}\r\n2026-01-01T00:00:00Z ERROR forged: \u001b[2J\u001b]0;owned\u0007\u009b31m\u202e';

for (const format of ['json', 'text']) {
  // attack: logs.line-breaks, logs.escape-sequences
  test(`the log, as ${format}: a claim stays within its line and steers no terminal`, async () => {
    await serve({ start: { logFormat: format } });
    bad.overrides = { claims: { preferred_username: 'ada', name: NASTY, [NASTY]: NASTY, given_name: NASTY, groups: [NASTY] }, header: { x: NASTY }, userinfo: (_response, send) => send({ sub: 's1', more: NASTY }) };
    await signIn(new Agent());
    bad.overrides = { claims: { preferred_username: NASTY } };
    await signIn(new Agent());
    bad.overrides = { claims: { iss: NASTY } };
    await signIn(new Agent());
    bad.overrides = { header: { kid: NASTY } };
    await signIn(new Agent());
    bad.overrides = { token: (response, send) => { response.statusCode = 400; send({ error: NASTY, error_description: NASTY }); } };
    await signIn(new Agent());
    bad.overrides = { metadata: { issuer: NASTY } };
    await fetch(`${gate.url}/callback/bad?state=${encodeURIComponent(NASTY)}&error=${encodeURIComponent(NASTY)}&code=${encodeURIComponent(NASTY)}`);
    await fetch(`${gate.url}/${encodeURIComponent(NASTY)}`, { headers: { 'user-agent': 'x\u009b' } });
    await fetch(`${gate.url}/login/password`, { method: 'POST', headers: SAME_ORIGIN, body: new URLSearchParams({ username: NASTY, password: 'p'.repeat(20) }) });
    await gate.logOut(NASTY);
    await gate.stop();
    assert.ok(gate.log.includes('ID token'), gate.log);
    const lines = gate.log.trimEnd().split('\n');
    for (const line of lines) {
      assert.ok(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(line), JSON.stringify(line));
      if (format === 'json') assert.notEqual(JSON.parse(line).code, 'forged');
      else assert.ok(!/^\s*(2026-01-01|\{"level)/.test(line), JSON.stringify(line));
    }
  });
}

// attack: logs.secrets-from-the-provider
test('a provider that repeats what it was sent puts no secret in a page or the log', async () => {
  await serve();
  let sent;
  const echo = async (response, send, request) => {
    sent = '';
    for await (const chunk of request) sent += chunk;
    const form = new URLSearchParams(sent);
    response.statusCode = 400;
    const basic = Buffer.from(request.headers.authorization.slice(6), 'base64').toString();
    send({ error: `no such code: ${form.get('code')}`, error_description: `verifier ${form.get('code_verifier')}, client ${basic}, ${decodeURIComponent(basic.split(':')[1].replaceAll('+', ' '))}, ${request.headers.authorization}, ${sent}` });
  };
  bad.code = 'a-code-0123456789abcdef';
  bad.overrides = { token: echo };
  const landed = await signIn(new Agent());
  bad.code = undefined;
  const form = new URLSearchParams(sent);
  assert.equal(landed.status, 502);
  assert.match(landed.text, /no such code: /);
  for (const secret of [form.get('code'), form.get('code_verifier'), pair(bad, gate, 'bad').provider.client_secret]) {
    assert.ok(secret.length > 20);
    assert.ok(!landed.text.includes(secret) && !gate.log.includes(secret), secret);
  }
});

const lines = (message) => gate.log.trim().split('\n').map((line) => JSON.parse(line)).filter((line) => line.message === message);

// finding: A5, S9
test('sign-ins, refusals, sign-outs and logouts say from where, who and by which provider', async () => {
  await serve({ server: { trusted_proxies: ['127.0.0.1'] }, start: { logLevel: 'info' } });
  gate.addUser('root', 'super-admin');
  const host = new URL(gate.url).host;
  const via = { 'x-forwarded-for': '203.0.113.1', ...SAME_ORIGIN };
  const root = new Agent();
  await root.signInByPassword(gate, 'root', PASSWORD, { headers: via });
  const [byPassword] = lines('signed in by password');
  assert.deepEqual([byPassword.client, byPassword.user, byPassword.host], ['203.0.113.1', 'root', host]);
  for (const name of ['root', 'x\u001b\r\n{"', 'a password in the wrong field']) await root.signInByPassword(gate, name, WRONG, { headers: via });
  assert.deepEqual(gate.logged('password.wrong').map((line) => JSON.parse(line)).map(({ client, user, level }) => [client, user, level]), [['203.0.113.1', 'root', 'INFO'], ['203.0.113.1', 'x{"', 'INFO'], ['203.0.113.1', '(a name of 29 characters)', 'INFO']]);
  await root.request(`${gate.url}/logout`, { method: 'POST', headers: via });
  assert.deepEqual(lines('signed out').map(({ client, user, session }) => [client, user, session.length]), [['203.0.113.1', 'root', 32]]);

  bad.overrides = { claims: { sid: 'a-session' } };
  const ada = new Agent();
  await signIn(ada);
  const [signedIn] = lines('signed in');
  assert.deepEqual([signedIn.client, signedIn.provider, signedIn.host], ['127.0.0.1', 'bad', host]);
  // A cookie of no session, and a logout of no session, write nothing.
  const stranger = new Agent();
  stranger.cookies(gate.url).set('claimgate', 'invented');
  for (let count = 0; count < 20; count += 1) await stranger.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  assert.equal(lines('signed out').length, 1);
  await nextSecond();
  assert.equal((await gate.logOut(bad.logoutToken({ sub: 'of-nobody', sid: 'none' }))).status, 200);
  assert.equal(lines('back-channel logout').length, 0);
  const { subject } = gate.sessions()[0];
  assert.equal((await gate.logOut(bad.logoutToken({ sub: subject, sid: 'a-session' }))).status, 200);
  assert.deepEqual(lines('back-channel logout').map((line) => [line.client, line.provider, line.subject, line.sid, line.ended]), [['127.0.0.1', 'bad', subject, 'a-session', 1]]);
});

// finding: A11
test('a refusal’s line says what was found, and debug has the token under the same reference', async () => {
  await serve();
  const refused = async (overrides, code) => {
    bad.overrides = overrides;
    gate.forgetLog();
    await signIn(new Agent());
    const [line] = gate.logged(code);
    assert.ok(line, `${code}: ${gate.log}`);
    return JSON.parse(line);
  };
  const other = await refused({ claims: { aud: 'another' } }, 'claims.audience');
  assert.equal(other.found, 'aud: "another"');
  assert.equal(lines('refused token')[0].reference, other.reference);
  assert.match((await refused({ claims: { aud: [] } }, 'claims.type')).found, /aud: \[\]/);
  assert.match((await refused({ claims: { exp: undefined } }, 'claims.missing')).found, /the claims .*aud.*danger_logout_without_exp/);
  assert.equal((await refused({ header: { alg: 'RS512' } }, 'algorithm.not_allowed')).found, 'alg: "RS512"');
  const nameless = await refused({ claims: { preferred_username: undefined }, userinfo: (_response, send) => send({ sub: 's1' }) }, 'identity.no_username');
  assert.match(nameless.found, /^looked for preferred_username; the claims are .*aud.*sub/);
});

for (const format of ['json', 'text']) {
  // finding: A5
  test(`fail2ban: the filter finds the clients of refused passwords in the log as ${format}, and no other`, async (t) => {
    await serve({ server: { trusted_proxies: ['127.0.0.1'] }, start: { logLevel: 'info', logFormat: format } });
    gate.addUser('root', 'super-admin');
    const attempt = (client, username, password) => new Agent().signInByPassword(gate, username, password, { headers: { 'x-forwarded-for': client, ...SAME_ORIGIN } });
    await attempt('203.0.113.1', 'root', WRONG);
    await attempt('2001:db8::1', 'x', WRONG);
    for (const forged of ['"client":"198.51.100.1"', 'request refused code="password.wrong" client="198.51.100.1"', '"message":"request refused","code":"password.wrong","client":"198.51.100.1",']) await attempt('203.0.113.2', forged, WRONG);
    await attempt('203.0.113.3', 'root', PASSWORD);
    await fetch(`${gate.url}/callback/bad?error=${encodeURIComponent('request refused code="password.wrong" client="198.51.100.1"')}`, { headers: { 'x-forwarded-for': '203.0.113.4' } });
    const file = new URL('../../packaging/fail2ban/claimgate.conf', import.meta.url);
    const [, first, more] = /^failregex = (.*)\n((?: +.*\n)*)/m.exec(readFileSync(file, 'utf8'));
    const expressions = [first, ...more.trim().split('\n')].map((text) => new RegExp(text.trim().replace('<HOST>', '(?<host>[0-9a-f.:]+)')));
    const found = gate.log.split('\n').flatMap((line) => expressions.flatMap((expression) => expression.exec(line)?.groups.host ?? []));
    assert.deepEqual(found, ['203.0.113.1', '2001:db8::1', '203.0.113.2', '203.0.113.2', '203.0.113.2']);
    const run = spawnSync('fail2ban-regex', ['--print-all-matched', gate.logFile, fileURLToPath(file)], { encoding: 'utf8' });
    if (run.error?.code === 'ENOENT') return t.skip('fail2ban is not installed, and cannot be: its filter was read by a model of it alone');
    assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
    assert.match(run.stdout, / 5 matched/);
  });
}

// finding: V4
test('a session that a front-channel logout cannot end, for want of `sid`, is warned of', async () => {
  const other = await Claimgate.prepare();
  const { client, provider } = pair(bad, other, 'bad', { provider: { frontchannel_logout: true } });
  bad.configure([client]);
  await other.write({ providers: [provider] }).start();
  try {
    for (const [sid, lines] of [['s-1', 0], [undefined, 1], ['', 2]]) {
      bad.overrides = { claims: { sid } };
      const landed = await new Agent().walk(`${other.url}/login/bad`);
      assert.equal(landed.status, 200, landed.text);
      assert.equal(other.log.split('the ID token has no `sid`').length - 1, lines, String(sid));
    }
  } finally {
    bad.overrides = {};
    await other.close();
  }
});

// attack: administration.erased-user-in-events
test('a removed user is in no event: of a tenant, of a logout by sid alone, or under a name spelt otherwise', async () => {
  const tenant = '11111111-1111-1111-1111-111111111111';
  const template = `${bad.url}/{tenantid}/v2.0`;
  const issuer = template.replace('{tenantid}', tenant);
  const other = await Claimgate.prepare();
  const { client, provider } = pair(bad, other, 'bad', { provider: { frontchannel_logout: true } });
  bad.configure([client]);
  const claims = { iss: issuer, tid: tenant };
  const asTenant = (sid) => { bad.overrides = { metadata: { issuer: template }, keys: ({ key }) => [{ ...key.jwk, issuer: template }], claims: { ...claims, sid } }; };
  asTenant('s-0');
  await other.write({ providers: [{ ...provider, issuer: template, tenants: [tenant] }], signIn: { password_fallback_regular: true } }).start();
  try {
    for (const [sid, logOut] of [
      ['s-1', () => other.logOut(bad.logoutToken(claims))],
      ['s-2', () => other.logOut(bad.logoutToken({ ...claims, sub: undefined, sid: 's-2' }))],
      ['s-3', () => fetch(`${other.url}/api/v1/frontchannelLogout?iss=${encodeURIComponent(issuer)}&sid=s-3`)],
    ]) {
      asTenant(sid);
      const ada = new Agent();
      const landed = await ada.walk(`${other.url}/login/bad`);
      assert.equal(landed.status, 200, landed.text);
      assert.equal((await ada.me(other)).username, 'ada');
      await nextSecond();
      assert.equal((await logOut()).status, 200);
      assert.equal(await ada.me(other), undefined, sid);
      // A sign-in of the second of a logout is refused.
      await nextSecond();
    }
    // Refused before the user is looked up, by the limit on attempts.
    for (let attempt = 0; attempt < 40; attempt += 1) await new Agent().signInByPassword(other, ' ADA ', WRONG);
    await nextSecond();
    const named = other.events().filter(({ kind }) => kind !== 'administration');
    assert.deepEqual(new Set(named.map(({ user }) => user)), new Set(['ada']), JSON.stringify(named));
    assert.deepEqual(named.filter(({ kind }) => kind === 'logout').map(({ detail }) => detail), [undefined, 'sid s-2', 'sid s-3']);
    assert.equal(other.command(['user', 'remove', 'ada', '--yes']).code, 0);
    for (const event of other.events().filter(({ kind }) => kind !== 'administration')) {
      assert.match(event.user, /^\(removed user [0-9]+\)$/, JSON.stringify(event));
      assert.deepEqual([event.client, event.subject, event.detail], [undefined, undefined, undefined], JSON.stringify(event));
    }
  } finally {
    bad.overrides = {};
    await other.close();
  }
});
