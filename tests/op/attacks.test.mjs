// Attacks on the running server. Each test names in an `attack:` line the inputs of tests/house/attacks.toml
// that it shows refused.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, exchangeBytes, PASSWORD } from './agent.mjs';
import { Claimgate, IDENTITY, nextSecond, pair, replace, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { encode, forge } from './jose.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>';

let op;
let gate;
before(async () => { op = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

const signIn = (agent, query = '') => agent.walk(`${gate.url}/login/bad${query}`);

/** Signs in with these claims; returns the user, or the code of the refusal. */
async function person(claims) {
  op.overrides = { claims, userinfo: (_response, send) => send({ sub: claims.sub ?? 's1' }) };
  const agent = new Agent();
  const landed = await signIn(agent);
  const me = await agent.me(gate);
  return me ?? /<code id="code">([^<]+)/.exec(landed.text)[1];
}

// --- redirect -------------------------------------------------------------------------------------

// attack: redirect.two-slashes, redirect.scheme-without-slashes, redirect.backslashes, redirect.slash-backslash
// attack: redirect.javascript, redirect.line-breaks, redirect.encoded, redirect.dot-segments, redirect.own-origin
// attack: redirect.credentials
test('return_to: no spelling leads to another site', async () => {
  await serve();
  const own = gate.url;
  for (const asked of [
    '//evil.example', '///evil.example', '////evil.example', 'https:evil.example', 'https:/evil.example', 'https:///evil.example', 'http:evil.example',
    '\\evil.example', '\\\\evil.example', '/\\evil.example', '/\\/evil.example', '\\/evil.example', '/%5Cevil.example', '/%2F/evil.example', '/%2fevil.example',
    'javascript:alert(1)', 'JavaScript:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'blob:x',
    '/\r\nLocation: //evil.example', '/\r\n\r\n<script>', '/%0d%0aLocation:%20//evil.example', '/\t/evil.example', '\t//evil.example', ' //evil.example', '/\u0000/evil.example', '/\u2028/evil.example',
    // With the dots resolved, these begin with two slashes.
    '/.//evil.example', '/..//evil.example', '/a/..//evil.example', '/%2e//evil.example', '/%2e%2e//evil.example', '/.//.//evil.example', '/./\u002f/evil.example',
    // The own origin, and after it text that a browser would take for another.
    `${own}//evil.example`, `${own}/.//evil.example`, `${own}/a/..//evil.example`, `${own}\\\\evil.example`, `${own}@evil.example`, `${own}.evil.example`,
    'http://user@127.0.0.1/', `http://user:pass@127.0.0.1:${gate.port}/`, '@evil.example', 'evil.example', '?//evil.example', '#//evil.example', '', ' ', '/'.repeat(4000),
  ]) {
    const agent = new Agent();
    const callback = await agent.walk(`${gate.url}/login/bad?return_to=${encodeURIComponent(asked)}`, { stopAt: `${gate.url}/callback` });
    const done = await agent.request(callback.location);
    assert.equal(done.status, 303, `${JSON.stringify(asked)}: ${done.text}`);
    const to = done.headers.get('location');
    // As a browser resolves it on the callback's page.
    assert.equal(new URL(to, done.url).origin, own, `${JSON.stringify(asked)} leads to ${to}`);
    assert.ok(to.startsWith('/') && !/^\/[/\\]/.test(to) && !/[\r\n\t]/.test(to), to);
    // The sign-in page sends a user who is signed in already straight there.
    const again = await agent.request(`${gate.url}/login?return_to=${encodeURIComponent(asked)}`);
    assert.equal(new URL(again.headers.get('location'), again.url).origin, own, asked);
  }
});

// attack: redirect.long
test('return_to: none makes a cookie that browsers drop, or sign-ins of other tabs end', async () => {
  await serve();
  const agent = new Agent();
  await agent.request(`${gate.url}/login/bad?return_to=/first`);
  const [[name]] = agent.cookies(gate.url);
  for (const asked of [`/${'\u00e9'.repeat(1020)}`, `/${'<'.repeat(2040)}`, `/${'x'.repeat(2040)}`]) {
    const begun = await agent.request(`${gate.url}/login/bad?return_to=${encodeURIComponent(asked)}`);
    assert.equal(begun.status, 303);
    for (const line of begun.headers.getSetCookie()) assert.ok(line.split(';')[0].length <= 4096, `${line.length} bytes`);
    assert.ok(agent.cookies(gate.url).has(name), asked);
    for (const other of [...agent.cookies(gate.url).keys()]) if (other !== name) agent.cookies(gate.url).delete(other);
  }
});

// attack: redirect.forwarded-headers
test('the headers of a proxy lead to no other site either', async () => {
  await serve();
  for (const headers of [
    { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-uri': '/' },
    { 'x-forwarded-host': `127.0.0.1:${gate.port}`, 'x-forwarded-proto': 'http', 'x-forwarded-uri': '//evil.example' },
    { 'x-forwarded-host': `127.0.0.1:${gate.port}@evil.example`, 'x-forwarded-proto': 'http', 'x-forwarded-uri': '/' },
    { 'x-forwarded-proto': 'javascript', 'x-forwarded-host': 'alert(1)//', 'x-forwarded-uri': '/' },
  ]) {
    const sent = await new Agent().request(`${gate.url}/auth/redirect`, { headers: { accept: 'text/html', ...headers } });
    assert.equal(new URL(sent.location).origin, gate.url);
    const agent = new Agent();
    const callback = await agent.walk(sent.location, { stopAt: `${gate.url}/callback` });
    const done = await agent.request(callback.location);
    assert.equal(new URL(done.headers.get('location'), done.url).origin, gate.url);
  }
});

// --- state ----------------------------------------------------------------------------------------

// attack: state.mix-up
test('a callback of one provider is not taken for another’s', async (t) => {
  await gate?.close();
  gate = await Claimgate.prepare();
  op.configure();
  const other = await MisbehavingProvider.start();
  t.after(() => other.stop());
  gate.write({ providers: [pair(op, gate, 'bad').provider, { ...pair(other, gate, 'other').provider, client_id: 'bad' }] });
  await gate.start();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  const mixed = await agent.request(callback.location.replace('/callback/bad', '/callback/other'));
  assert.equal(mixed.status, 400);
  assert.match(mixed.text, /callback\.state/);
  assert.equal(other.requests['/token'], undefined, 'the code was given to the other provider');
  const named = new URL(callback.location);
  named.searchParams.set('iss', other.issuer);
  assert.match((await agent.request(named.href)).text, /callback\.issuer/);
  assert.equal(op.requests['/token'], undefined, 'the code was redeemed');
  // An answer without `iss`, where the provider's metadata promise one, is another provider's.
  op.overrides = { metadata: { authorization_response_iss_parameter_supported: true } };
  await gate.stop();
  await gate.start();
  assert.match((await signIn(new Agent())).text, /callback\.no_issuer/);
});

// attack: state.absent, state.another-browser, state.made-up
test('a callback without its browser’s sealed sign-in is refused', async () => {
  await serve();
  const [ada, eve] = [new Agent(), new Agent()];
  const begun = await ada.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  const eves = await eve.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  const url = new URL(begun.location);
  url.searchParams.delete('state');
  const none = await ada.request(url.href);
  assert.equal(none.status, 400);
  assert.match(none.text, /callback\.state/);
  // The callback of one in the browser of the other: a forced sign-in.
  for (const [agent, address] of [[eve, begun.location], [ada, eves.location]]) {
    assert.match((await agent.request(address)).text, /callback\.state/);
    assert.equal(await agent.me(gate), undefined);
  }
  // The content of ada's cookie under the name of eve's.
  const [sealed] = ada.cookies(gate.url).values();
  const [cookieOfEve] = eve.cookies(gate.url).keys();
  eve.cookies(gate.url).set(cookieOfEve, sealed);
  assert.match((await eve.request(eves.location)).text, /callback\.state/);
  for (const content of ['', 'x', sealed.slice(0, -2), `${sealed}AA`, Buffer.alloc(200).toString('base64url')]) {
    eve.cookies(gate.url).set(cookieOfEve, content);
    assert.match((await eve.request(eves.location)).text, /callback\.state/);
  }
});

// attack: state.old
test('a callback of more than fifteen minutes ago', async () => {
  const { set, env } = clock();
  await serve({ start: { env } });
  const [agent, other] = [new Agent(), new Agent()];
  const begun = await agent.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  const late = await other.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  set('+14m');
  op.overrides = { claims: { exp: Math.floor(Date.now() / 1000) + 3600, nonce: undefined } };
  assert.match((await other.request(late.location)).text, /sign_in\.token/, 'the callback was accepted');
  set('+16m');
  const answer = await agent.request(begun.location);
  assert.equal(answer.status, 400);
  assert.match(answer.text, /callback\.too_late/);
  assert.equal(await agent.me(gate), undefined);
});

// --- embedded keys --------------------------------------------------------------------------------

// attack: embedded-keys.jwk, embedded-keys.jku, embedded-keys.x5u, embedded-keys.x5c
test('a header’s addresses are not called, its keys not used', async () => {
  await serve();
  const at = `${op.issuer}/evil`;
  const { jwk } = op.other;
  for (const header of [{ jku: at }, { x5u: at }, { jwk }, { x5c: ['AAAA'], x5t: 'AAAA' }, { jku: 'file:///etc/passwd' }, { jku: at, x5u: at, jwk, kid: 'two' }, { jku: at, kid: undefined }]) {
    op.overrides = { header, signer: (bad) => bad.other };
    const agent = new Agent();
    // An unknown kid cannot be judged within the cool-down after a fetch.
    const [signInStatus, logoutStatus] = header.kid === 'two' ? [503, 503] : [403, 400];
    assert.equal((await signIn(agent)).status, signInStatus);
    assert.equal(await agent.me(gate), undefined);
    const logout = await gate.logOut(op.logoutToken({}, header, op.other));
    assert.equal(logout.status, logoutStatus);
  }
  assert.equal(op.requests['/evil'], undefined, 'the address was called');
});

// --- mapping --------------------------------------------------------------------------------------

// attack: mapping.group-like-a-team, mapping.group-with-a-newline, mapping.empty-capture
test('a group is no team, and a group’s text no more than its rule lets through', async () => {
  const identity = `${IDENTITY}[[identity.team]]\nregex = "^team:(?P<name>.*)$"\nteam = "{name}"\n`;
  await serve({ identity });
  for (const [groups, teams] of [
    [['Administrators', 'administrators', 'crm-admin2', 'CRM-ADMIN', ' crm-admin', 'crm-admin '], []],
    [['crm-admin\n', '\ncrm-admin', 'x\ncrm-admin', 'team:a\nAdministrators', 'team:a\u2028b', 'crm-admin\u0000', 'crm\u00ad-admin'], []],
    [['team:', 'team: ', '/crm/', '/crm/ '], []],
    [['team:Lab', '/crm/sales'], ['Lab', 'sales']],
    [['team:Administrators\u202e'], []],
    [['crm-admin'], ['Administrators']],
  ]) {
    const me = await person({ groups });
    assert.deepEqual(me.teams, teams, JSON.stringify(groups));
  }
  for (const groups of [{ a: 1 }, 7, [7], [['crm-admin']], true]) assert.equal(await person({ groups }), 'identity.group_type', JSON.stringify(groups));
});

// finding: S6, D8
// attack: mapping.two-subjects, mapping.confusables, size.groups, mapping.long-username, mapping.controls
// attack: mapping.bidirectional, mapping.invisible
test('a username is never taken from its owner, nor shown as another', async () => {
  await serve();
  const ada = await person({ sub: 's1', preferred_username: 'ada' });
  assert.equal(ada.username, 'ada');
  for (const name of ['ada', 'ADA', 'Ada', ' ada', 'ada ', '\u3000ada']) {
    assert.equal(await person({ sub: 's2', preferred_username: name }), 'sign_in.username_taken', JSON.stringify(name));
  }
  for (const name of ['a\u0000da', 'ada\n', 'ada\r\nroot', '\u001b[31mada', 'a\u007fda', 'a\u0085da', '\u202eada', 'a\u2066da', 'a\u200bda', 'ada\u200d', '\ufeffada', 'ada\u00ad', 'ada\u{e0041}', 'ada\u3164', 'ada\u115f', 'ada\uffa0', 'ada\u034f', 'ada\ufe0f', 'ada\u{e0100}', 'ada\u17b4', 'ada\u180b', 'ada\u2800', '\u2800', 'ada\uffff', 'ada\u{1d159}', 'ada\u{13441}', 'ada\ue000', 'ada\u0378']) {
    assert.equal(await person({ sub: 's3', preferred_username: name }), 'identity.username_characters', JSON.stringify(name));
  }
  assert.equal(await person({ sub: 's4', preferred_username: 'x'.repeat(256) }), 'identity.username_too_long');
  assert.equal(await person({ sub: 's4', preferred_username: ['ada'] }), 'identity.username_type');
  assert.equal(await person({ sub: 's4', groups: Array(5001).fill('g') }), 'identity.group_limit');
  // One name in two encodings is one account.
  assert.equal((await person({ sub: 's6', preferred_username: '\u00e9ve' })).username, '\u00e9ve');
  assert.equal(await person({ sub: 's7', preferred_username: 'e\u0301ve' }), 'sign_in.username_taken');
  // Look-alikes are other names, and other accounts.
  const cyrillic = await person({ sub: 's5', preferred_username: '\u0430d\u0430' });
  assert.notEqual(cyrillic.id, ada.id);
  assert.equal((await person({ sub: 's1', preferred_username: 'renamed' })).id, ada.id, 'an account belongs to its subject, whatever the name');
  assert.deepEqual(gate.users().map(({ username }) => username), ['ada', '\u00e9ve', '\u0430d\u0430']);
});

// attack: mapping.admin-from-outside
test('no claim makes an admin', async () => {
  await serve();
  for (const kind of ['admin', 'super-admin', 'api', 'system', 'portal']) gate.command(['user', 'add', kind, '--kind', kind, '--no-password']);
  for (const name of ['admin', 'Admin', 'super-admin']) assert.equal(await person({ sub: name, preferred_username: name }), 'sign_in.admin');
  for (const name of ['api', 'system', 'portal']) assert.equal(await person({ sub: name, preferred_username: name }), 'sign_in.kind');
  const me = await person({ preferred_username: 'eve', kind: 'admin', role: 'admin', roles: ['admin'], is_admin: true, admin: true, active: true, id: 1, teams: ['Administrators'], team: 'Administrators' });
  assert.equal(me.kind, 'regular');
  assert.deepEqual(me.teams, []);
});

// --- headers and pages ----------------------------------------------------------------------------

// attack: headers.from-the-client, headers.line-breaks, headers.non-ascii
test('identity headers hold one line of plain ASCII, and nothing that the client sent', async () => {
  await serve({ identity: IDENTITY.replace('[identity.profile]', '[identity.profile]\nname = "name"') });
  const agent = new Agent();
  op.overrides = { claims: { name: 'Ada\r\nX-Auth-User: root', given_name: 'Zo\u00eb', family_name: '\u674e\u200b', email: 'a\u00eb@x.io', preferred_username: 'zo\u00eb%0d', groups: ['/crm/a,b', '/crm/\u00e9', '/crm/x\r\ny'] }, userinfo: (_response, send) => send({ sub: 's1' }) };
  await signIn(agent);
  const claimed = { 'x-auth-user': 'root', 'X-Auth-Teams': 'Administrators', 'x-auth-email': 'root@x.io', 'x-auth-name': 'Root', 'x-auth-anything': 'root' };
  for (const path of ['/auth', '/auth/redirect']) {
    const answer = await agent.request(`${gate.url}${path}`, { headers: claimed });
    assert.equal(answer.status, 200);
    const identity = Object.fromEntries([...answer.headers].filter(([name]) => name.startsWith('x-auth-')));
    assert.deepEqual(identity, { 'x-auth-user': 'zo%C3%AB%250d', 'x-auth-teams': 'a%2Cb,%C3%A9', 'x-auth-email': 'a%C3%AB@x.io', 'x-auth-name': 'Zo%C3%AB' });
    const stranger = await new Agent().request(`${gate.url}${path}`, { headers: { ...claimed, accept: 'application/json' } });
    assert.equal(stranger.status, 401);
    assert.deepEqual([...stranger.headers].filter(([name]) => name.startsWith('x-auth-')), []);
  }
});

// attack: console.script-in-claims, console.script-in-groups, console.script-in-provider-errors
test('text of providers and clients is escaped in every page', async () => {
  const identity = `${IDENTITY}[[identity.team]]\nprefix = "any:"\nteam = "{rest}"\n`;
  await serve({ identity });
  const seen = [];
  const agent = new Agent();
  op.overrides = { claims: { preferred_username: HOSTILE.toLowerCase(), given_name: HOSTILE, family_name: "' onload='x", email: HOSTILE, groups: [`any:${HOSTILE}`] }, userinfo: (_response, send) => send({ sub: 's1' }) };
  seen.push(await signIn(agent));
  assert.ok(seen[0].text.includes('&lt;script&gt;alert(1)&lt;/script&gt;'), seen[0].text);
  seen.push(await agent.request(`${gate.url}/?x=${encodeURIComponent(HOSTILE)}`));
  op.overrides = { token: (response, send) => { response.statusCode = 400; send({ error: HOSTILE, error_description: `${HOSTILE}\u202e\u001b[2J\r\n` }); } };
  seen.push(await signIn(new Agent()));
  const denied = new Agent();
  const callback = new URL((await denied.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` })).location);
  callback.searchParams.delete('code');
  callback.searchParams.set('error', HOSTILE);
  callback.searchParams.set('error_description', `${HOSTILE}\u202e\u2066`);
  seen.push(await denied.request(callback.href));
  for (const path of ['/login', '/callback/bad', '/login/x', '/logged-out', '/nowhere', '/logout', '/auth', '/api/v1/me']) {
    seen.push(await new Agent().request(`${gate.url}${path}?return_to=/${encodeURIComponent(HOSTILE)}&state=${encodeURIComponent(HOSTILE)}&code=${encodeURIComponent(HOSTILE)}&team=${encodeURIComponent(HOSTILE)}`, { headers: { accept: 'text/html' } }));
  }
  for (const answer of seen) {
    assert.ok(!/<script|<img/.test(answer.text) || answer.headers.get('content-type') === 'application/json', `${answer.url}: ${answer.text}`);
    assert.ok(!/[\u202a-\u202e\u2066-\u2069\u001b]/.test(answer.text), `${answer.url}: ${JSON.stringify(answer.text)}`);
    assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('x-frame-options'), 'DENY');
  }
});

// attack: console.session-fixation
test('a session cookie from before sign-in is not accepted after it', async () => {
  await serve();
  const planted = 'A'.repeat(43);
  const agent = new Agent();
  agent.cookies(gate.url).set('claimgate', planted);
  await signIn(agent);
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.notEqual(agent.cookies(gate.url).get('claimgate'), planted);
  const probe = (cookie) => fetch(`${gate.url}/api/v1/me`, { headers: { cookie } }).then(({ status }) => status);
  assert.equal(await probe(`claimgate=${planted}`), 401);
  // Another user's live session, planted: sign-in ends it and does not take it over.
  const eve = new Agent();
  await nextSecond();
  op.overrides = { claims: { sub: 's9', preferred_username: 'eve' }, userinfo: (_response, send) => send({ sub: 's9' }) };
  await signIn(eve);
  const eves = eve.cookies(gate.url).get('claimgate');
  op.overrides = {};
  const ada = new Agent();
  ada.cookies(gate.url).set('claimgate', eves);
  await signIn(ada);
  assert.equal((await ada.me(gate)).username, 'ada');
  assert.equal(await probe(`claimgate=${eves}`), 401);
});

// attack: console.cross-site
test('no other site’s form does anything', async () => {
  await serve();
  const agent = new Agent();
  await signIn(agent);
  gate.addUser('root', 'super-admin');
  const root = new Agent();
  await root.administer(gate, 'root');
  assert.equal((await root.me(gate)).username, 'root');
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' }, { origin: 'null' }, { origin: `${gate.url}.evil.example` }, { 'sec-fetch-site': 'cross-site', origin: gate.url }]) {
    for (const [method, path] of [['POST', '/logout'], ['POST', '/login/password'], ['POST', '/api/v1/users'], ['GET', '/api/v1/users'], ['POST', '/api/v1/admin/session'], ['PATCH', '/api/v1/users/1'], ['PUT', '/api/v1/users/1/password'], ['DELETE', '/api/v1/users/1/sessions'], ['DELETE', `/api/v1/sessions/${'0'.repeat(32)}`]]) {
      const answer = await root.request(`${gate.url}${path}`, { method, headers, ...(method === 'GET' ? {} : path.startsWith('/api') ? { json: {} } : { form: { username: 'root', password: PASSWORD } }) });
      assert.equal(answer.status, 403, `${method} ${path} ${JSON.stringify(headers)}`);
      assert.match(answer.text, /request\.cross_site/);
    }
    const asked = await root.request(`${gate.url}/logout`, { headers: { ...headers, 'sec-fetch-dest': 'image' } });
    assert.equal((await root.me(gate))?.username, 'root', `GET /logout ${JSON.stringify(headers)}: ${asked.status}`);
  }
  assert.equal((await agent.me(gate)).username, 'ada');
});

// --- size -----------------------------------------------------------------------------------------

// attack: key-fetch.hundred-megabytes, key-fetch.never-ending, size.key-set, size.memory
test('a key set of 100 MB, or without an end, costs no memory', async () => {
  const megabyte = Buffer.alloc(1 << 20, 0x20);
  for (const [jwks, code] of [
    [(response) => { response.setHeader('content-length', 100 << 20); let left = 100; const more = () => { while (left > 0 && !response.destroyed) { left -= 1; if (!response.write(megabyte)) return; } }; response.on('drain', more); more(); }, 'fetch.too_large'],
    [(response) => { const more = () => { while (!response.destroyed && response.write(megabyte)); }; response.on('drain', more); more(); }, 'fetch.too_large'],
    [(_response, send) => send({ keys: Array(10_000).fill({ kty: 'RSA' }) }), 'key.json'],
    [(_response, send) => send({ keys: Array(10_000).fill({}) }), 'key.set_too_large'],
  ]) {
    await serve({ overrides: { jwks } });
    await until('the key set is refused', () => gate.logged(code).length > 0);
    assert.equal((await signIn(new Agent())).status, 503);
    assert.ok(gate.memory('VmHWM') < 120, `${gate.memory('VmHWM')} MiB`);
  }
});

// attack: size.header, size.token, size.dots, size.claims, size.audience, size.memory, kid.one-megabyte
test('oversized tokens are refused at once, and memory stays where it was', async () => {
  await serve();
  await signIn(new Agent());
  const header = { alg: 'RS256', kid: 'one' };
  const claims = { iss: op.issuer, sub: 's1', aud: 'bad' };
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, index]));
  for (const token of [
    forge({ ...header, kid: 'k'.repeat(1_000_000) }, claims), 'a'.repeat(10_000_000), '.'.repeat(100_000), forge(header, many(1_000_000)), forge(header, { ...claims, aud: Array(100_000).fill('a') }),
    // Below the limit of the body, beyond those of the engine.
    forge({ ...header, kid: 'k'.repeat(100_000) }, claims), '.'.repeat(200_000), forge(header, { ...many(9_000), ...claims }), forge(header, { ...claims, aud: Array(30_000).fill('') }),
    `${encode(header)}.${Buffer.from(`{"iss":${'['.repeat(100_000)}`).toString('base64url')}.AAAA`,
  ]) {
    for (const [path, field] of [['/backchannel-logout', 'logout_token'], ['/api/v1/verify', 'token']]) {
      const begun = Date.now();
      const answer = await gate.post(path, { [field]: token }).catch(() => undefined);
      if (answer) assert.ok([400, 413].includes(answer.status) || (await answer.json()).active === false, `${answer.status}`);
      else assert.ok(token.length > 256 * 1024);
      assert.ok(Date.now() - begun < 10_000, `${token.slice(0, 40)}: ${Date.now() - begun} ms`);
    }
  }
  // A head beyond the limit of the HTTP parser.
  const answer = await exchangeBytes(gate, `GET /auth HTTP/1.1\r\nhost: x\r\ncookie: claimgate=${'x'.repeat(2_000_000)}\r\n\r\n`).catch(() => '');
  assert.ok(answer === '' || /^HTTP\/1\.1 4\d\d /.test(answer), answer.slice(0, 100));
  assert.ok(gate.memory('VmHWM') < 120, `${gate.memory('VmHWM')} MiB`);
});
