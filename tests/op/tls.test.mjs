// https: the server's own TLS, a provider with a private authority, and what cookies look like then.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import * as https from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as tls from 'node:tls';
import { Claimgate, until } from './claimgate.mjs';

let gate;
let op;
let issuer;
let ca;
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const openssl = (...args) => execFileSync('openssl', args, { cwd: gate.folder, stdio: ['ignore', 'pipe', 'pipe'] });

/** A certificate for localhost by the test's own authority. */
function certificate(name) {
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-out', `${name}.pem`, '-extfile', 'san');
}

before(async () => {
  gate = await Claimgate.prepare();
  execFileSync('sh', ['-c', 'echo "subjectAltName=DNS:localhost,IP:127.0.0.1" > san'], { cwd: gate.folder });
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=Test authority');
  certificate('op');
  certificate('gate');
  certificate('renewed');
  ca = readFileSync(join(gate.folder, 'ca.pem'));

  op = https.createServer({ key: readFileSync(join(gate.folder, 'op.key')), cert: readFileSync(join(gate.folder, 'op.pem')) }, (request, response) => {
    const url = new URL(request.url, issuer);
    const send = (body) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
    if (url.pathname === '/authorize') {
      op.nonce = url.searchParams.get('nonce');
      const back = new URL(url.searchParams.get('redirect_uri'));
      back.search = new URLSearchParams({ code: 'c', state: url.searchParams.get('state') });
      return response.writeHead(303, { location: back.href }).end();
    }
    if (url.pathname === '/jwks') return send({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k' }] });
    if (url.pathname === '/token') {
      const now = Math.floor(Date.now() / 1000);
      const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const input = `${encode({ alg: 'RS256', kid: 'k' })}.${encode({ iss: issuer, sub: 's1', aud: 'crm', iat: now, exp: now + 60, nonce: op.nonce, preferred_username: 'ada' })}`;
      return send({ id_token: `${input}.${createSign('RSA-SHA256').update(input).sign(privateKey).toString('base64url')}` });
    }
    return send({ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`, ...op.metadata });
  });
  await new Promise((done) => op.listen(0, '127.0.0.1', done));
  issuer = `https://localhost:${op.address().port}`;
});
after(async () => { await gate.close(); op.closeAllConnections(); op.close(); });

function request(url, { cookies = '', headers = {} } = {}) {
  return new Promise((done, failed) => {
    https.get(url, { ca, headers: { ...(cookies && { cookie: cookies }), ...headers }, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => done({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', failed);
  });
}

const pairs = (response) => (response.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).filter((pair) => !pair.endsWith('=')).join('; ');

const provider = () => ({ name: 'crm', issuer, client_id: 'crm', client_secret: 'a secret', ca_file: 'ca.pem' });

test('sign-in over https, with __Host- cookies', async () => {
  const site = `https://localhost:${gate.port}`;
  gate.write({ providers: [provider()], server: { public_url: site, tls_certificate: 'gate.pem', tls_key: 'gate.key' } });
  const ready = gate.start().catch(() => {});
  await until('it answers', () => request(`${site}/healthz`).then(({ status }) => status === 200, () => false));
  const begun = await request(`${site}/login/crm`);
  assert.equal(begun.status, 303, gate.log);
  assert.match(begun.headers['set-cookie'][0], /^__Host-claimgate-login-[\w-]{12}=[\w-]+; HttpOnly; SameSite=Lax; Secure; Path=\/; Max-Age=900$/);
  assert.equal(begun.headers['strict-transport-security'], 'max-age=31536000');
  const back = await request(begun.headers.location);
  const done = await request(back.headers.location, { cookies: pairs(begun) });
  assert.equal(done.status, 303, done.text);
  const [session, ended] = done.headers['set-cookie'];
  assert.match(session, /^__Host-claimgate=[\w-]{43}; HttpOnly; SameSite=Lax; Secure; Path=\/; Max-Age=43200$/);
  assert.match(ended, /^__Host-claimgate-login-[\w-]{12}=; .*Max-Age=0$/);
  const me = await request(`${site}/api/v1/me`, { cookies: pairs(done) });
  assert.equal(JSON.parse(me.text).username, 'ada');
  // Two that differ are none: a neighbour may have slipped one in.
  assert.equal((await request(`${site}/api/v1/me`, { cookies: `${pairs(done)}; __Host-claimgate=other` })).status, 401);
  await gate.stop('SIGKILL');
  await ready;
});

test('a renewed certificate is taken on SIGHUP; an old protocol is refused', async () => {
  const site = `https://localhost:${gate.port}`;
  const ready = gate.start().catch(() => {});
  await until('it answers', () => request(`${site}/healthz`).then(({ status }) => status === 200, () => false));
  const subject = () => new Promise((done, failed) => {
    const socket = tls.connect({ port: gate.port, host: 'localhost', ca }, () => { done(socket.getPeerCertificate().subject.CN); socket.destroy(); });
    socket.on('error', failed);
  });
  assert.equal(await subject(), 'gate');
  renameSync(join(gate.folder, 'renewed.pem'), join(gate.folder, 'gate.pem'));
  renameSync(join(gate.folder, 'renewed.key'), join(gate.folder, 'gate.key'));
  gate.process.kill('SIGHUP');
  await until('the new certificate', async () => (await subject()) === 'renewed');
  await assert.rejects(new Promise((_done, failed) => {
    tls.connect({ port: gate.port, host: 'localhost', ca, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }).on('error', failed).on('secureConnect', () => _done());
  }));
  await gate.stop('SIGKILL');
  await ready;
});

// attack: discovery.plain-http
test('an https provider that names plain http, even on this machine, is not used', async () => {
  for (const member of ['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri', 'end_session_endpoint']) {
    op.metadata = { [member]: 'http://127.0.0.1:1/' };
    gate.forgetLog();
    await gate.write({ providers: [provider()] }).start();
    const answer = await fetch(`${gate.url}/login/crm`, { redirect: 'manual' });
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /The sign-in provider cannot be reached, or does not answer as it should/);
    await until('the log says so', () => gate.logged('discovery.endpoint').length > 0);
    await gate.stop();
  }
  op.metadata = {};
});

test('a provider whose authority is not trusted is not talked to', async () => {
  const { ca_file: _, ...untrusted } = provider();
  await gate.write({ providers: [untrusted] }).start();
  const answer = await fetch(`${gate.url}/login/crm`, { redirect: 'manual' });
  assert.equal(answer.status, 503);
  assert.match(gate.log, /certificate/i);
  await gate.stop();
});

// attack: redirect.credentials, redirect.backslashes
test('a domain’s hosts share the session where the file says so, and sign-in leads within it', async () => {
  gate.write({ providers: [provider()], server: { public_url: 'https://sso.example.test', cookie_domain: 'example.test' } });
  await gate.start();
  for (const [asked, landed] of [
    ['https://app.example.test/x?y=1', 'https://app.example.test/x?y=1'],
    ['https://example.test/', 'https://example.test/'],
    ['/x', '/x'],
    ['http://app.example.test/', '/'],
    ['https://example.test.evil.com/', '/'],
    ['https://evilexample.test/', '/'],
    ['https://user@app.example.test/', '/'],
    ['https://app.example.test\\@evil.com/', '/'],
  ]) {
    const begun = await fetch(`${gate.url}/login/crm?return_to=${encodeURIComponent(asked)}`, { redirect: 'manual' });
    const back = new URL((await request(begun.headers.get('location'))).headers.location);
    assert.equal(back.origin, 'https://sso.example.test');
    const done = await fetch(`${gate.url}${back.pathname}${back.search}`, { redirect: 'manual', headers: { cookie: begun.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ') } });
    assert.equal(done.status, 303);
    assert.equal(done.headers.get('location'), landed, asked);
    assert.match(done.headers.getSetCookie()[0], /^__Secure-claimgate=[\w-]{43}; HttpOnly; SameSite=Lax; Secure; Path=\/; Domain=example\.test; Max-Age=43200$/);
  }
});
