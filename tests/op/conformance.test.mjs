// A provider that misbehaves in every way. Rows are named after the modules of the OpenID Foundation's
// conformance suite for relying parties, where the suite has one. Each row says how it must end.

import assert from 'node:assert/strict';
import { createHash, createHmac, createSign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Agent } from './agent.mjs';
import { nextSecond, pair, replace, until } from './claimgate.mjs';
import { encode, newKeys, sign } from './jose.mjs';
import { LOGOUT_EVENT, MisbehavingProvider } from './misbehaving-provider.mjs';

let op;
let gate;
before(async () => { op = await MisbehavingProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

const signIn = (agent = new Agent()) => agent.walk(`${gate.url}/login/bad`);
const never = (response) => { response.write('{'); };
const endless = (response) => { const chunk = Buffer.alloc(65536, 0x20); const more = () => { while (!response.destroyed && response.write(chunk)); }; response.on('drain', more); response.setHeader('content-type', 'application/json'); more(); };
const redirect = (to) => (response) => response.writeHead(302, { location: to }).end();
const unsigned = (alg) => (bad) => `${encode({ alg })}.${encode(bad.idTokenClaims())}.`;
const hmac = (secret) => (bad) => { const input = `${encode({ alg: 'HS256', kid: 'one' })}.${encode(bad.idTokenClaims())}`; return `${input}.${createHmac('sha256', secret(bad)).update(input).digest('base64url')}`; };
const spoiled = (bad) => { const [header, claims, signature] = sign({ alg: 'RS256', kid: 'one' }, bad.idTokenClaims(), bad.key).split('.'); return `${header}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`; };

const EC = newKeys('ec', { namedCurve: 'P-256' });
EC.jwk = { ...EC.publicJwk, kid: 'ec' };
const ecdsa = (bad) => { const input = `${encode({ alg: 'ES256', kid: 'ec' })}.${encode(bad.idTokenClaims())}`; return `${input}.${createSign('SHA256').update(input).sign({ key: EC.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`; };

// Name, overrides, the code in the log or none for a sign-in that works, the allowed algorithms if not RS256.
const SIGN_INS = [
  ['oidcc-client-test', {}],
  ['oidcc-client-test-idtoken-sig-rs256', {}],
  ['oidcc-client-test-invalid-iss', { claims: { iss: 'https://other.example.com/' } }, 'claims.issuer'],
  ['oidcc-client-test-missing-sub', { claims: { sub: undefined } }, 'claims.missing'],
  ['oidcc-client-test-invalid-aud', { claims: { aud: 'other' } }, 'claims.audience'],
  ['oidcc-client-test-missing-aud', { claims: { aud: undefined } }, 'claims.missing'],
  ['oidcc-client-test-missing-iat', { claims: { iat: undefined } }, 'claims.missing'],
  ['oidcc-client-test-kid-absent-single-jwks', { header: { kid: undefined } }],
  ['oidcc-client-test-kid-absent-multiple-jwks', { header: { kid: undefined }, keys: (bad) => [bad.other.jwk, bad.key.jwk] }],
  ['keys without a kid', { keys: (bad) => [{ ...bad.key.jwk, kid: undefined }] }],
  // attack: none.empty-signature
  ['oidcc-client-test-idtoken-sig-none', { idToken: unsigned('none') }, 'jws.no_signature'],
  // attack: none.spelling
  ['alg nOnE with a signature', { idToken: (bad) => `${unsigned('nOnE')(bad)}AAAA` }, 'algorithm.not_allowed'],
  ['oidcc-client-test-invalid-sig-rs256', { idToken: spoiled }, 'signature.invalid'],
  ['HS256 where it is not allowed', { idToken: hmac(() => pair(op, gate, 'bad').provider.client_secret) }, 'algorithm.not_allowed'],
  ['HS256 by the client secret', { idToken: hmac(() => pair(op, gate, 'bad').provider.client_secret) }, undefined, ['HS256']],
  ['oidcc-client-test-invalid-sig-hs256', { idToken: hmac(() => 'another secret') }, 'signature.invalid', ['HS256']],
  ['ES256', { keys: () => [EC.jwk], idToken: (bad) => ecdsa(bad) }, undefined, ['ES256']],
  ['oidcc-client-test-invalid-sig-es256', { keys: () => [EC.jwk], idToken: (bad) => { const token = ecdsa(bad); const at = token.lastIndexOf('.') + 20; return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`; } }, 'signature.invalid', ['ES256']],
  // attack: confusion.pem
  ['confusion: HS256 by the public key', { idToken: hmac((bad) => bad.key.publicKey.export({ type: 'spki', format: 'pem' })) }, 'algorithm.not_allowed'],
  ['signed by another key of the same name', { signer: (bad) => bad.other }, 'signature.invalid'],
  ['an unknown kid', { header: { kid: 'three' } }, 'key.unknown_kid'],
  ['an unknown kid, several keys', { header: { kid: 'three' }, keys: (bad) => [bad.other.jwk, bad.key.jwk] }, 'key.unknown_kid'],
  ['an unknown kid, keys without a kid', { header: { kid: 'three' }, keys: (bad) => [{ ...bad.other.jwk, kid: undefined }, { ...bad.key.jwk, kid: undefined }] }],
  // attack: kid.empty
  ['an empty kid', { header: { kid: '' } }, 'key.unknown_kid'],
  // attack: embedded-keys.jwk
  ['a key of its own in the header', { header: { kid: 'two', jwk: { kty: 'RSA' } }, signer: (bad) => bad.other }, 'key.unknown_kid'],
  // attack: crit.unknown
  ['an unknown crit', { header: { crit: ['x'], x: 1 } }, 'header.crit'],
  ['oidcc-client-test-nonce-invalid', { claims: { nonce: 'another' } }, 'id_token.nonce'],
  ['no nonce', { claims: { nonce: undefined } }, 'id_token.nonce'],
  ['oidcc-client-test-invalid-athash', { claims: { at_hash: createHash('sha256').update('other').digest().subarray(0, 16).toString('base64url') } }, 'id_token.at_hash'],
  ['a right at_hash', { claims: { at_hash: createHash('sha256').update('at').digest().subarray(0, 16).toString('base64url') } }],
  ['expired', { claims: { exp: 1_000_000_000 } }, 'claims.expired'],
  ['for an untrusted audience, too', { claims: { aud: ['bad', 'other'], azp: 'bad' } }, 'claims.audience_untrusted'],
  ['for one audience twice', { claims: { aud: ['bad', 'bad'] } }],
  ['by another', { claims: { azp: 'other' } }, 'claims.azp'],
  // attack: typ.logout-token-as-id-token
  ['a logout token as an ID token', { idToken: (bad) => bad.logoutToken({ nonce: bad.nonce }) }, 'claims.typ'],
  // attack: typ.access-token-as-either
  ['an access token as an ID token', { header: { typ: 'at+jwt' } }, 'claims.typ'],
  ['oidcc-client-test-userinfo-invalid-sub', { userinfo: (_response, send) => send({ sub: 's2', groups: ['crm-admin'] }) }, 'userinfo.subject'],
  ['UserInfo without sub', { userinfo: (_response, send) => send({ groups: ['crm-admin'] }) }, 'userinfo.subject'],
  ['UserInfo redirects', { userinfo: redirect('http://127.0.0.1:1/') }, 'userinfo.status'],
  ['UserInfo is a page', { userinfo: (_response, send) => send('<html>', 'text/html') }, 'userinfo.json'],
  ['the token endpoint redirects', { token: redirect('http://127.0.0.1:1/') }, 'token.refused'],
  ['the token endpoint never ends', { token: endless }, 'fetch.too_large'],
  ['no ID token', { token: (_response, send) => send({ access_token: 'at' }) }, 'token.no_id_token'],
  // attack: discovery.other-issuer
  ['oidcc-client-test-discovery-issuer-mismatch', { metadata: { issuer: 'https://other.example.com' } }, 'discovery.issuer'],
  // attack: key-fetch.redirect-to-metadata
  ['discovery redirects to a metadata address', { discovery: redirect('http://169.254.169.254/latest/meta-data/') }, 'discovery.status'],
  ['discovery is a page', { discovery: (_response, send) => send('<html>', 'text/html') }, 'discovery.json'],
  ['discovery never ends', { discovery: endless }, 'fetch.too_large'],
  // attack: discovery.no-jwks-uri
  ['discovery has no jwks_uri', { metadata: { jwks_uri: undefined } }, 'discovery.member'],
  // attack: discovery.plain-http
  ['discovery names a file', { metadata: { jwks_uri: 'file:///etc/passwd' } }, 'discovery.endpoint'],
  // attack: discovery.plain-http
  ['discovery names plain http elsewhere', { metadata: { token_endpoint: 'http://192.0.2.1/token' } }, 'discovery.endpoint'],
  // attack: key-fetch.redirect-to-a-file
  ['the key set redirects to a file', { jwks: redirect('file:///etc/passwd') }, 'jwks.status'],
  // attack: key-fetch.redirect-to-metadata
  ['the key set redirects to a metadata address', { jwks: redirect('http://169.254.169.254/latest/meta-data/') }, 'jwks.status'],
  // attack: key-fetch.html
  ['the key set is a page', { jwks: (_response, send) => send('<html>', 'text/html') }, 'key.json'],
  // attack: key-fetch.never-ending
  ['the key set never ends', { jwks: endless }, 'fetch.too_large'],
  // attack: size.key-set
  ['the key set has 1,500 keys', { jwks: (_response, send) => send({ keys: Array(1_500).fill({ kty: 'RSA' }) }) }, 'key.set_too_large'],
  // attack: key-fetch.gzip-bomb
  ['the key set is a gzip bomb', { jwks: (response, send) => { response.setHeader('content-encoding', 'gzip'); send(gzipSync(Buffer.alloc(50_000_000, 0x20))); } }, 'key.json'],
  // attack: keys.beside-good
  ['the key set has a bad key beside the good one', { keys: (bad) => [{ kty: 'RSA', n: 'AQ', e: 'AQAB', kid: 'weak' }, { kty: '?' }, { ...bad.other.jwk, use: 'enc' }, bad.key.jwk] }],
];

for (const [what, overrides, code, algorithms] of SIGN_INS) {
  test(`sign-in: ${what}`, async () => {
    await serve({ overrides, provider: algorithms && { algorithms } });
    const agent = new Agent();
    const landed = await signIn(agent);
    const me = await agent.me(gate);
    if (code) {
      assert.equal(me, undefined, landed.text);
      assert.ok(landed.status >= 400, landed.text);
      assert.ok(gate.logged(code).length >= 1, `not ${code}:\n${gate.log}`);
      assert.deepEqual(gate.users(), [], 'a user was created');
    } else {
      assert.equal(me?.username, 'ada', landed.text);
    }
  });
}

// finding: F4, D3, D11, U-s02, U-s03, U-s04, U-s05, U-s33
test('sign-in: deviations that weaken no check', async () => {
  for (const [what, overrides, said] of [
    ['null and empty endpoints', { metadata: { userinfo_endpoint: '', end_session_endpoint: null } }],
    ['optional endpoints that must not be called', { metadata: { userinfo_endpoint: '/me', end_session_endpoint: 'http://192.0.2.1/end' } }, /endpoint not used[^\n]*"code":"discovery\.endpoint"/],
    ['null in keys', { keys: (bad) => [{ ...bad.key.jwk, use: null, alg: null, key_ops: null }] }],
    ['a null token_type', { token: (_response, send) => send({ token_type: null, access_token: 'at', id_token: op.idToken() }) }],
    ['a byte order mark before the keys', { jwks: (_response, send) => send(`\uFEFF${JSON.stringify({ keys: [op.key.jwk] })}`) }],
    ['a byte order mark before UserInfo', { userinfo: (_response, send) => send('\uFEFF{"sub":"s1"}') }],
    ['one key with a member twice', { jwks: (_response, send) => send(`{"keys":[{"kty":"RSA","kid":"x","kid":"y"},${JSON.stringify(op.key.jwk)}]}`) }],
  ]) {
    await serve({ overrides });
    const agent = new Agent();
    const landed = await signIn(agent);
    assert.equal((await agent.me(gate))?.username, 'ada', `${what}: ${landed.text}`);
    if (said) assert.match(gate.log, said, what);
  }
});

// finding: D1, O-F7, U-t10s
test('sign-in and sign-out: audiences and parties that the configuration trusts', async () => {
  const provider = { trusted_audiences: ['https://identity.example.com/'], authorized_parties: ['app'] };
  await serve({ provider, overrides: { claims: { aud: ['https://identity.example.com/', 'bad'], azp: 'app' } } });
  const agent = new Agent();
  const landed = await signIn(agent);
  assert.equal((await agent.me(gate))?.username, 'ada', landed.text);
  const token = op.logoutToken({ aud: ['bad', 'https://identity.example.com/'] });
  assert.equal((await gate.logOut(token)).status, 200);
  assert.equal(await agent.me(gate), undefined);
  const other = await gate.logOut(op.logoutToken({ aud: ['bad', 'https://other.example.com/'] }));
  assert.equal(other.status, 400);
  assert.ok(gate.logged('claims.audience_untrusted').length >= 1, gate.log);
});

// finding: U-s27, U-s30
test('sign-in: what the token endpoint said is in the log', async () => {
  await serve({ overrides: { token: (_response, send) => send({ error: 'invalid_grant', error_description: 'used before' }) } });
  assert.ok((await signIn()).status >= 400);
  assert.match(gate.log, /token\.refused[^\n]*invalid_grant: used before/);
  op.overrides = { token: (response) => response.writeHead(401, { 'www-authenticate': 'Basic error="invalid_client"' }).end() };
  // The code is redacted from what the endpoint said: one of a single letter would be found in each word.
  op.code = 'a code of several words';
  assert.ok((await signIn()).status >= 400);
  op.code = undefined;
  assert.match(gate.log, /status 401 \(WWW-Authenticate: Basic error=/);
});

test('sign-in: oidcc-client-test-signing-key-rotation', async () => {
  await serve();
  assert.equal((await signIn()).status, 200);
  op.overrides = { keys: (bad) => [bad.other.jwk], header: { kid: 'two' }, signer: (bad) => bad.other };
  const agent = new Agent();
  await signIn(agent);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('sign-in: oidcc-client-test-signing-key-rotation-just-before-signing', async () => {
  await serve();
  await gate.keysFetched();
  const agent = new Agent();
  const callback = await agent.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` });
  op.overrides = { keys: (bad) => [bad.other.jwk], header: { kid: 'two' }, signer: (bad) => bad.other };
  await agent.request(callback.location);
  assert.equal((await agent.me(gate)).username, 'ada');
  assert.equal(op.requests['/jwks'], 2);
});

// conformance: oidcc-client-test-discovery-openid-config, oidcc-client-test-discovery-jwks-uri-keys
// conformance: oidcc-client-test-userinfo-bearer-header, oidcc-client-test-scope-userinfo-claims
// conformance: oidcc-client-test-nonce-unless-code-flow
test('each endpoint is called where the document says, and the access token is in the header', async () => {
  const at = (path) => `${op.issuer}/elsewhere${path}`;
  const metadata = { authorization_endpoint: at('/authorize'), token_endpoint: at('/token'), userinfo_endpoint: at('/me'), jwks_uri: at('/jwks') };
  await serve({ overrides: { metadata, claims: { preferred_username: undefined }, userinfo: (_response, send) => send({ sub: 's1', preferred_username: 'ada', email: 'ada@example.com', given_name: 'Ada' }) } });
  const agent = new Agent();
  const asked = new URL((await agent.request(`${gate.url}/login/bad`)).location);
  assert.equal(asked.searchParams.get('scope'), 'openid profile email phone');
  assert.equal(asked.searchParams.get('nonce').length, 43);
  await signIn(agent);
  const me = await agent.me(gate);
  assert.deepEqual([me.username, me.email, me.name], ['ada', 'ada@example.com', 'Ada']);
  assert.equal(op.bearer, 'Bearer at');
  assert.deepEqual(Object.keys(op.requests).sort(), ['/.well-known/openid-configuration', '/elsewhere/authorize', '/elsewhere/jwks', '/elsewhere/me', '/elsewhere/token']);
});

// conformance: oidcc-client-test-3rd-party-init-login
test('a sign-in that another site began ends here, not where that site says', async () => {
  await serve();
  const agent = new Agent();
  const query = new URLSearchParams({ iss: op.issuer, login_hint: 'ada', target_link_uri: 'https://evil.example.com/' });
  const landed = await agent.walk(`${gate.url}/login/bad?${query}`);
  assert.equal(landed.url, `${gate.url}/`);
  assert.equal((await agent.me(gate)).username, 'ada');
});

for (const [what, state] of [['oidcc-client-test-rp-init-logout', undefined], ['oidcc-client-test-rp-init-logout-other-state', 'another'], ['oidcc-client-test-rp-init-logout-no-state', null]]) {
  // conformance: oidcc-client-test-rp-init-logout, oidcc-client-test-rp-init-logout-other-state
  // conformance: oidcc-client-test-rp-init-logout-no-state
  test(`sign-out: ${what}`, async () => {
    await serve({ overrides: { state } });
    const agent = new Agent();
    await signIn(agent);
    const sent = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
    const address = new URL(sent.location);
    assert.equal(`${address.origin}${address.pathname}`, `${op.issuer}/end`);
    assert.equal(address.searchParams.get('id_token_hint').split('.').length, 3);
    assert.ok(address.searchParams.get('state').length > 20);
    assert.equal(await agent.me(gate), undefined, 'the session ends before the browser leaves');
    const back = await agent.request(address.href);
    assert.ok(back.location.startsWith(`${gate.url}/logged-out`));
    const landed = await agent.request(back.location);
    assert.match(landed.text, /You are signed out/);
    assert.equal(gate.log.includes('a logout came back with another state'), state === 'another');
  });
}

for (const [what, wrong] of [['discovery', { discovery: never }], ['the key set', { jwks: never }], ['the token endpoint', { token: never }], ['UserInfo', { userinfo: never }]]) {
  test(`${what} is slow`, async () => {
    await serve({ overrides: wrong });
    const agent = new Agent();
    const begun = Date.now();
    const landed = await signIn(agent);
    assert.ok([403, 503].includes(landed.status), landed.text);
    assert.ok(Date.now() - begun < 32_000, `${Date.now() - begun} ms: ten seconds for each of two calls are the limit, before the 35 of a request`);
    assert.equal(await agent.me(gate), undefined);
    assert.ok(gate.logged('fetch.unreachable').length >= 1, gate.log);
  });
}

test('a provider that answers slowly delays no other request', async () => {
  await serve({ overrides: { token: never } });
  const waiting = signIn();
  const begun = Date.now();
  for (let index = 0; index < 20; index += 1) assert.equal((await fetch(`${gate.url}/auth`)).status, 401);
  assert.ok(Date.now() - begun < 8_000, 'they did not wait for the ten seconds of the provider');
  const landed = await waiting;
  assert.equal(landed.status, 503);
  assert.ok(Date.now() - begun < 25_000, 'ten seconds are the limit');
  assert.equal(gate.logged('fetch.unreachable').length, 1);
});

const LOGOUTS = [
  ['oidcc-client-test-rp-backchannel-rpinitlogout', {}],
  ['typ JWT', { header: { typ: 'JWT' } }],
  ['no typ', { header: { typ: undefined } }],
  // attack: back-channel.unsigned
  ['oidcc-client-test-rp-backchannel-rpinitlogout-alg-none', { token: (bad) => `${encode({ alg: 'none' })}.${bad.logoutToken().split('.')[1]}.` }, 'jws.no_signature'],
  // attack: back-channel.unsigned
  ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg', { token: (bad) => { const input = `${encode({ alg: 'HS256' })}.${bad.logoutToken().split('.')[1]}`; return `${input}.${createHmac('sha256', 'x').update(input).digest('base64url')}`; } }, 'algorithm.not_allowed'],
  // attack: back-channel.no-events
  ['oidcc-client-test-rp-backchannel-rpinitlogout-no-event', { claims: { events: undefined } }, 'claims.events'],
  ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event', { claims: { events: { 'http://schemas.openid.net/event/other': {} } } }, 'claims.events'],
  // attack: back-channel.nonce
  ['oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce', { claims: { nonce: 'n' } }, 'claims.nonce_present'],
  // attack: back-channel.wrong-audience
  ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud', { claims: { aud: 'other' } }, 'claims.audience'],
  ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss', { claims: { iss: 'https://other.example.com' } }, 'backchannel.issuer'],
  // attack: back-channel.nobody
  ['neither sub nor sid', { claims: { sub: undefined } }, 'claims.sub_or_sid'],
  // attack: back-channel.replayed
  ['no jti', { claims: { jti: undefined } }, 'claims.missing'],
  ['no iat', { claims: { iat: undefined } }, 'claims.missing'],
  ['no exp', { claims: { exp: undefined } }, 'claims.missing'],
  ['events is a list', { claims: { events: [LOGOUT_EVENT] } }, 'claims.events'],
  // attack: typ.id-token-as-logout-token
  ['an ID token', { claims: { events: undefined, nonce: 'n' }, header: { typ: 'JWT' } }, 'claims.events'],
  ['another typ', { header: { typ: 'at+jwt' } }, 'claims.typ'],
  // attack: back-channel.unsigned
  ['signed by another key', { signer: (bad) => bad.other }, 'signature.invalid'],
];

for (const [what, wrong, code] of LOGOUTS) {
  test(`logout: ${what}`, async () => {
    if (!gate?.process || op.overrides.token) await serve();
    op.overrides = {};
    // Of a logout and a sign-in in the same second, the logout wins.
    await nextSecond();
    const agent = new Agent();
    await signIn(agent);
    assert.equal((await agent.me(gate))?.username, 'ada');
    const token = wrong.token?.(op) ?? op.logoutToken(wrong.claims, wrong.header, wrong.signer?.(op));
    const before = code && gate.logged(code).length;
    const answer = await gate.post('/api/v1/backchannelLogout', { logout_token: token });
    assert.equal(answer.status, code ? 400 : 200);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal((await agent.me(gate))?.username, code ? 'ada' : undefined);
    if (code) await until(`the log says ${code}`, () => gate.logged(code).length === before + 1);
  });
}

test('logout: providers without exp, where the file says so', async () => {
  await serve({ provider: { danger_logout_without_exp: true } });
  assert.equal((await gate.logOut(op.logoutToken({ exp: undefined }))).status, 200);
  assert.equal((await gate.logOut(op.logoutToken({ exp: undefined, iat: Math.floor(Date.now() / 1000) - 700 }))).status, 400);
  assert.equal(gate.logged('claims.too_old').length, 1);
});

test('logout: strict type', async () => {
  await serve({ provider: { strict_logout_type: true } });
  assert.equal((await gate.logOut(op.logoutToken())).status, 200);
  assert.equal((await gate.logOut(op.logoutToken({}, { typ: 'JWT' }))).status, 400);
});

// attack: prefix.tenant
// finding: R10
test('several tenants with one issuer each: iss and tid name the same accepted tenant, and keys of a single tenant verify none', async () => {
  const [one, two, other] = ['1', '2', '3'].map((digit) => [8, 4, 4, 4, 12].map((length) => digit.repeat(length)).join('-'));
  const template = `${op.url}/{tenantid}/v2.0`;
  const of = (iss, tid = iss) => ({ iss: template.replace('{tenantid}', iss), tid });
  const overrides = {
    metadata: { issuer: template },
    keys: (bad) => [{ ...bad.key.jwk, issuer: template }, { ...bad.other.jwk, issuer: template.replace('{tenantid}', one) }],
  };
  await serve({ provider: { issuer: template, tenants: [one, two] }, overrides });
  const code = async (claims, more = {}) => {
    op.overrides = { ...overrides, claims, ...more };
    gate.forgetLog();
    const landed = await signIn();
    return landed.status === 200 ? 'signed in' : /"code":"([a-z_.]+)"/.exec(gate.log.split('\n').findLast((line) => line.includes('"code"')))[1];
  };
  assert.equal(await code(of(one)), 'signed in');
  assert.equal(gate.sessions()[0].issuer, template.replace('{tenantid}', one));
  // The same subject of another tenant is another person, whose name is taken here.
  assert.equal(await code(of(two)), 'sign_in.username_taken');
  assert.equal(await code(of(two, one)), 'claims.tenant');
  assert.equal(await code(of(other)), 'claims.issuer');
  assert.equal(await code({ iss: template, tid: '{tenantid}' }), 'claims.issuer');
  assert.equal(await code(of(two), { header: { kid: 'two' }, signer: (bad) => bad.other }), 'key.unknown_kid');

  op.overrides = overrides;
  const status = async (claims) => (await gate.logOut(op.logoutToken(claims))).status;
  for (const claims of [of(other), of(one, two), { iss: template }]) assert.equal(await status(claims), 400);
  assert.equal(gate.sessions().length, 1);
  await nextSecond();
  assert.equal(await status(of(two)), 200);
  assert.equal(gate.sessions().length, 1);
  assert.equal(await status(of(one)), 200);
  assert.equal(gate.sessions().length, 0);
});
