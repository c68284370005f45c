// Security event tokens (RFC 8417) that a transmitter pushes (RFC 8935): made by jose, as CAEP and RISC have them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { Agent } from './agent.mjs';
import { nextSecond, replace, until } from './claimgate.mjs';
import { newKeys } from './jose.mjs';
import { LoopbackServer } from './loopback-server.mjs';
import { LOGOUT_EVENT, MisbehavingProvider } from './misbehaving-provider.mjs';

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type';
const SECRET = 'what the transmitter sends with each of its events';
const PATH = '/api/v1/securityEvents/bad';

/** A transmitter with keys of its own. */
class Transmitter extends LoopbackServer {
  async handle(_request, response, path) {
    if (this.down) return response.writeHead(500).end();
    if (path.startsWith('/.well-known/ssf-configuration')) {
      return this.configuration ? response.end(JSON.stringify(this.configuration)) : response.writeHead(404).end();
    }
    return response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [this.jwk] }));
  }

  makeKey() {
    const { publicJwk, privateKey } = newKeys('ec', { namedCurve: 'P-256' });
    this.jwk = { ...publicJwk, kid: randomUUID(), alg: 'ES256', use: 'sig' };
    this.key = privateKey;
  }

  /** Signs a token; `claims` and `header` replace what a good one has. */
  async token(events, claims = {}, header = {}) {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: this.url, aud: 'https://sso.example.com/events', iat: now, jti: randomUUID(), events, ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: this.jwk.kid, typ: 'secevent+jwt', ...header }).sign(this.key);
  }
}

let op;
let transmitter;
let gate;
before(async () => {
  op = await MisbehavingProvider.start();
  transmitter = await Transmitter.start();
  transmitter.makeKey();
});
after(async () => { await gate?.close(); await op?.stop(); await transmitter?.stop(); });

const settings = () => ({ issuer: transmitter.url, jwks_uri: `${transmitter.url}/jwks`, algorithms: ['ES256'], audience: 'https://sso.example.com/events', transmitter_secret: SECRET });

async function serve(events = settings()) {
  ({ gate } = await replace(gate, op, { provider: { security_events: events } }));
  await gate.keysFetched();
}

function push(token, { path = PATH, headers = {}, method = 'POST' } = {}) {
  const all = { 'content-type': 'application/secevent+jwt', authorization: `Bearer ${SECRET}`, ...headers };
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  return fetch(`${gate.url}${path}`, { method, headers: all, body: method === 'POST' ? token : undefined });
}

async function accepted(token) {
  const answer = await push(token);
  assert.equal(answer.status, 202, await answer.clone().text());
  assert.equal(await answer.text(), '');
}

const subject = (sub = 's1') => ({ format: 'iss_sub', iss: op.issuer, sub });
const revoked = (sub_id) => transmitter.token({ [`${CAEP}/session-revoked`]: { event_timestamp: Date.now() } }, { sub_id });

async function signedIn() {
  const agent = new Agent();
  await agent.signIn(gate, 'bad');
  assert.equal((await agent.me(gate))?.username, 'ada');
  return agent;
}

// finding: N2
test('session-revoked and account-disabled end the sessions of the account, and a later sign-in is open again', async () => {
  await serve();
  const agent = await signedIn();
  const bearer = op.idToken();
  assert.equal((await gate.verify(bearer)).active, true);
  await accepted(await revoked(subject('another')));
  assert.equal((await agent.me(gate))?.username, 'ada');
  await accepted(await revoked(subject()));
  assert.equal(await agent.me(gate), undefined);
  assert.equal((await gate.verify(bearer)).active, false, 'a token that is older is presented');
  for (const event of ['account-disabled', 'account-purged', 'credential-compromise', 'sessions-revoked']) {
    await nextSecond();
    const next = await signedIn();
    await accepted(await transmitter.token({ [`${RISC}/${event}`]: {} }, { sub_id: subject() }));
    assert.equal(await next.me(gate), undefined, event);
  }
  await until('the events are recorded', () => gate.events().some(({ code, detail }) => code === 'security_event' && detail === 'account-disabled'));
});

// finding: N2
test('one session of several, by the sid of a complex subject', async () => {
  await serve();
  op.overrides = { claims: { sid: 'one' } };
  const one = await signedIn();
  op.overrides = { claims: { sid: 'two' } };
  const two = await signedIn();
  op.overrides = {};
  await accepted(await revoked({ format: 'complex', user: subject(), session: { format: 'opaque', id: 'one' }, device: { format: 'opaque', id: 'd' } }));
  assert.equal(await one.me(gate), undefined);
  assert.equal((await two.me(gate))?.username, 'ada');
});

test('a stream is verified, and what ends no session is acknowledged', async () => {
  await serve();
  const agent = await signedIn();
  await accepted(await transmitter.token({ [`${SSF}/verification`]: { state: 'x' } }, { sub_id: { format: 'opaque', id: 'stream' } }));
  await accepted(await transmitter.token({ [`${SSF}/stream-updated`]: { status: 'paused' } }));
  await accepted(await transmitter.token({ [`${CAEP}/credential-change`]: { change_type: 'create' } }, { sub_id: subject() }));
  assert.equal((await agent.me(gate))?.username, 'ada');
  const metrics = await (await fetch(`${gate.url}/metrics`)).text();
  for (const outcome of ['verification', 'stream_updated', 'other']) assert.match(metrics, new RegExp(`claimgate_security_events_total\\{outcome="${outcome}"\\} 1`));
});

// attack: security-event.another-kind, security-event.as-another-kind, security-event.events-of-a-wrong-type
// attack: security-event.wrong-issuer, security-event.unsigned, security-event.subject-of-another-issuer
// attack: security-event.email, security-event.replayed, security-event.without-secret, security-event.body
test('what is no event of the transmitter about an account here ends nothing', async () => {
  await serve();
  const used = await revoked(subject());
  await accepted(used);
  await nextSecond();
  const agent = await signedIn();
  const end = { [`${CAEP}/session-revoked`]: {} };
  const token = (claims, header) => transmitter.token(end, { sub_id: subject(), ...claims }, header);
  const now = Math.floor(Date.now() / 1000);
  const { key } = transmitter;
  const other = newKeys('ec', { namedCurve: 'P-256' }).privateKey;
  transmitter.key = other;
  const forged = await token();
  const forgedName = await token({}, { kid: 'invented' });
  transmitter.key = key;
  const unsecured = new UnsecuredJWT({ iss: transmitter.url, aud: 'https://sso.example.com/events', iat: now, jti: 'u', events: end, sub_id: subject() }).encode();
  for (const [sent, err] of [
    [op.logoutToken(), 'invalid_request'], [op.idToken(), 'invalid_request'],
    [await token({}, { typ: 'JWT' }), 'invalid_request'], [await token({}, { typ: undefined }), 'invalid_request'],
    [await token({}, { typ: 'logout+jwt' }), 'invalid_request'], [await token({}, { typ: 'at+jwt' }), 'invalid_request'],
    [await token({ events: { [LOGOUT_EVENT]: {} }, sub: 's1' }), 'invalid_request'],
    ...(await Promise.all([undefined, {}, [], [`${CAEP}/session-revoked`], { [`${CAEP}/session-revoked`]: null }].map((events) => token({ events })))).map((one) => [one, 'invalid_request']),
    [await token({ iss: op.issuer }), 'invalid_issuer'], [await token({ iss: undefined }), 'invalid_issuer'],
    [await token({ aud: 'bad' }), 'invalid_audience'], [await token({ aud: undefined }), 'invalid_audience'],
    [await token({ jti: undefined }), 'invalid_request'], [await token({ iat: undefined }), 'invalid_request'],
    [await token({ iat: now - 8 * 86_400 }), 'invalid_request'], [await token({ iat: now + 600 }), 'invalid_request'],
    [forged, 'invalid_key'], [unsecured, 'invalid_request'], [`${await token()}x`, 'invalid_request'], ['', 'invalid_request'],
  ]) {
    const answer = await push(sent);
    // An unknown key may be published at any moment: such a token cannot be judged yet.
    if (answer.status === 503) { assert.equal(err, 'invalid_key', sent); assert.ok(answer.headers.get('retry-after')); continue; }
    assert.equal(answer.status, 400, sent);
    assert.equal(answer.headers.get('content-type'), 'application/json');
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const body = await answer.json();
    assert.deepEqual(Object.keys(body), ['description', 'err']);
    assert.equal(body.err, err, `${sent} ${body.description}`);
  }
  assert.equal((await push(forgedName)).status, 503);
  for (const [headers, err] of [
    [{ authorization: undefined }, 'authentication_failed'], [{ authorization: `Bearer ${SECRET}x` }, 'authentication_failed'],
    [{ authorization: `Basic ${SECRET}` }, 'authentication_failed'], [{ authorization: SECRET }, 'authentication_failed'],
    [{ 'content-type': 'application/jwt' }, 'invalid_request'], [{ 'content-type': 'application/x-www-form-urlencoded' }, 'invalid_request'],
    [{ 'content-type': 'application/json' }, 'invalid_request'], [{ 'content-type': 'text/plain' }, 'invalid_request'],
  ]) {
    const answer = await push(await token(), { headers });
    assert.equal(answer.status, 400, JSON.stringify(headers));
    assert.equal((await answer.json()).err, err, JSON.stringify(headers));
  }
  assert.equal((await push('', { method: 'GET' })).status, 405);
  for (const path of ['/api/v1/securityEvents/other', '/api/v1/securityEvents/']) assert.equal((await push(await token(), { path })).status, 404);
  assert.equal((await push('x'.repeat(300_000))).status, 413);
  // The same token grants and ends nothing elsewhere.
  assert.equal((await gate.logOut(await token({ iss: op.issuer }))).status, 400);
  assert.equal((await gate.verify(await token({ iss: op.issuer, sub: 's1', exp: now + 300 }))).active, false);
  // Valid, and about nobody here.
  await accepted(await token({ sub_id: { format: 'iss_sub', iss: 'https://other.example.com', sub: 's1' } }));
  await accepted(await token({ sub_id: { format: 'email', email: 'ada@example.com' } }));
  await accepted(await token({ sub_id: { format: 'opaque', id: 's1' } }));
  await accepted(used);
  assert.equal((await agent.me(gate))?.username, 'ada', 'a session was ended');
  await accepted(await token());
  assert.equal(await agent.me(gate), undefined);
});

test('by the keys of the provider, which is the transmitter then; without keys it cannot be judged', async () => {
  await serve({});
  const agent = await signedIn();
  const claims = { sub: undefined, exp: undefined, events: { [`${RISC}/account-disabled`]: {} }, sub_id: { format: 'opaque', id: 's1' } };
  const event = (more) => op.logoutToken({ ...claims, ...more }, { typ: 'secevent+jwt' });
  // The same `jti` as that of a logout token hides neither.
  const jti = randomUUID();
  assert.equal((await gate.logOut(op.logoutToken({ sub: 'another', jti }))).status, 200);
  await accepted(event({ jti }));
  assert.equal(await agent.me(gate), undefined);
  await gate.close();
  transmitter.down = true;
  ({ gate } = await replace(undefined, op, { provider: { security_events: settings() } }));
  const answer = await push(await revoked(subject()));
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get('retry-after'));
  transmitter.down = false;
});

test('a file without the table takes no events', async () => {
  ({ gate } = await replace(gate, op));
  assert.equal((await push(await revoked(subject()))).status, 404);
});

test('config check --online compares the settings with what the transmitter publishes', async () => {
  await serve();
  const check = async () => (await gate.commandBeside(['config', 'check', '--online', gate.config])).out;
  assert.match(await check(), /note {5}\S+\/\.well-known\/ssf-configuration: the transmitter's configuration was answered with the status 404; .* not compared/);
  const right = { issuer: transmitter.url, jwks_uri: `${transmitter.url}/jwks`, delivery_methods_supported: ['urn:ietf:rfc:8935'] };
  transmitter.configuration = right;
  const good = await check();
  assert.ok(good.includes(`ok       the transmitter of its security events is ${transmitter.url}, by ${transmitter.url}/.well-known/ssf-configuration\n`), good);
  assert.ok(good.includes(`ok       the transmitter names these keys: ${transmitter.url}/jwks\n`), good);
  assert.doesNotMatch(good, /PROBLEM.*transmitter/);
  for (const [change, problem] of [
    [{ issuer: 'https://another.example.com' }, 'write `issuer = "https://another.example.com"` in [provider.security_events]'],
    [{ jwks_uri: 'https://another.example.com/keys' }, `its events are verified by those at ${transmitter.url}/jwks; write \`jwks_uri = "https://another.example.com/keys"\``],
    [{ jwks_uri: 'http://another.example.com/keys' }, 'the transmitter\'s keys are at http://another.example.com/keys, which is not used: not https'],
    [{ delivery_methods_supported: ['urn:ietf:rfc:8936'] }, 'the transmitter does not announce delivery by push (urn:ietf:rfc:8935)'],
  ]) {
    transmitter.configuration = { ...right, ...change };
    const wrong = await check();
    assert.equal(wrong.match(/PROBLEM.*transmitter/g)?.length, 1, wrong);
    assert.ok(wrong.includes(problem), wrong);
  }
  // A body without an end costs no memory.
  transmitter.configuration = { issuer: 'x'.repeat(300_000) };
  assert.match(await check(), /ssf-configuration: 127\.0\.0\.1 answered with more than 262144 bytes; .* not compared/);
  transmitter.configuration = undefined;
});
