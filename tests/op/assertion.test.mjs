// Signed assertions for applications: verified by jose and PyJWT, as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { documented, startDomain } from './application.mjs';
import { installed } from './installed.mjs';

/** Where `python-packages` installs PyJWT. */
const PYJWT = resolve(import.meta.dirname, '../../target/pyjwt');
const AUDIENCE = 'https://wiki.example.com';

let domain;
let issuer;
let token;
let other;

before(async () => {
  const application = (name, more) => ({ name, hosts: [`${name}.gate.localhost`], headers: { header: [{ name: 'X-Claimgate-Assertion', value: 'assertion' }] }, rule: [{ allow: 'signed_in' }], ...more });
  domain = await startDomain({ applications: [application('wiki', { assertion_audience: AUDIENCE }), application('other')] });
  issuer = `http://sso.gate.localhost:${domain.port}`;
  [token, other] = await Promise.all(['wiki', 'other'].map(assertionFor));
});

after(() => domain?.stop());

/** The assertion of the signed-in user for the application at a host. */
async function assertionFor(host) {
  const asked = { cookie: domain.cookie, 'x-forwarded-host': `${host}.gate.localhost`, 'x-forwarded-proto': 'http', 'x-forwarded-uri': '/', 'x-forwarded-method': 'GET' };
  return (await fetch(`${domain.gate.url}/auth`, { headers: asked })).headers.get('x-claimgate-assertion');
}

/** A documented program for this issuer; its key set is where Claimgate listens. */
const here = (text) => text.replace('https://sso.example.com/.well-known', `${domain.gate.url}/.well-known`).replaceAll('https://sso.example.com', issuer);

// attack: headers.other-assertion
// finding: R4
test('jose verifies an assertion by the documented lines: for one application, for a minute', async () => {
  const text = here(documented('js')).replace(/^import .*$/m, '');
  const AsyncFunction = (async () => {}).constructor;
  const verify = new AsyncFunction('createRemoteJWKSet', 'jwtVerify', 'request', `${text}\nreturn payload;`);
  const verified = (assertion) => verify(createRemoteJWKSet, jwtVerify, { headers: { 'x-claimgate-assertion': assertion } });
  const { iat, exp, ...claims } = await verified(token);
  assert.deepEqual(claims, { iss: issuer, aud: AUDIENCE, sub: '1', preferred_username: 'joe', name: 'joe', groups: ['Lab'] });
  assert.ok(exp - iat === 60 && Math.abs(iat - Date.now() / 1000) < 20, `${iat}`);
  await assert.rejects(verified(other), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
  await assert.rejects(verified(`${token.slice(0, -6)}AAAAAA`), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  const keys = createRemoteJWKSet(new URL(`${domain.gate.url}/.well-known/jwks.json`));
  const later = { algorithms: ['ES256'], currentDate: new Date(Date.now() + 90_000) };
  await assert.rejects(jwtVerify(token, keys, later), { code: 'ERR_JWT_EXPIRED' });
});

// attack: headers.other-assertion
test('PyJWT verifies an assertion by the documented lines: for one application', { skip: installed('PyJWT', join(PYJWT, 'jwt')) }, async () => {
  const program = `import sys\nassertion = sys.argv[1]\n${here(documented('python'))}\nprint(claims["sub"])`;
  const run = async (assertion) => {
    const python = spawn('python3', ['-c', program, assertion], { env: { ...process.env, PYTHONPATH: PYJWT } });
    let [out, error] = ['', ''];
    python.stdout.on('data', (chunk) => { out += chunk; });
    python.stderr.on('data', (chunk) => { error += chunk; });
    await new Promise((done) => python.on('close', done));
    return { out, error };
  };
  const admitted = await run(token);
  assert.equal(admitted.out, '1\n', admitted.error);
  for (const [assertion, error] of [[other, 'InvalidAudienceError'], [`${token.slice(0, -6)}AAAAAA`, 'InvalidSignatureError']]) {
    const refused = await run(assertion);
    assert.equal(refused.out, '');
    assert.ok(refused.error.includes(error), refused.error);
  }
});
