// TLS: the server's own, a provider whose certificate a private authority signed, and the cookies over https.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as tls from 'node:tls';
import { BINARY, Claimgate, until } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';

let gate;
let op;
let ca;

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

  op = await MisbehavingProvider.start({ key: readFileSync(join(gate.folder, 'op.key')), cert: readFileSync(join(gate.folder, 'op.pem')) });
});
after(async () => { await gate?.close(); await op?.stop(); });

function request(url, { cookies = '', headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    https.get(url, { ca, headers: { ...(cookies && { cookie: cookies }), ...headers }, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', reject);
  });
}

const pairs = (response) => (response.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).filter((pair) => !pair.endsWith('=')).join('; ');

const provider = () => ({ id: 'crm', issuer: op.issuer, client_id: 'bad', client_secret: 'a secret', ca_file: 'ca.pem' });

test('sign-in over https, with __Host- cookies', async () => {
  const site = `https://localhost:${gate.port}`;
  gate.write({ providers: [provider()], server: { public_url: site, tls_certificate: 'gate.pem', tls_key: 'gate.key' } });
  const ready = gate.start().catch(() => {});
  await until('it answers', () => request(`${site}/healthz`).then(({ status }) => status === 200, () => false));
  const begun = await request(`${site}/login/crm`);
  assert.equal(begun.status, 303, gate.log);
  assert.match(begun.headers['set-cookie'][0], /^__Host-claimgate-login-[\w-]{12}=[\w-]+; HttpOnly; SameSite=Lax; Secure; Path=\/; Max-Age=900$/);
  assert.equal(begun.headers['strict-transport-security'], 'max-age=31536000');
  assert.equal(JSON.parse(execFileSync(BINARY, ['health', '--config', join(gate.folder, 'claimgate.toml')], { encoding: 'utf8' })).store, true);
  const back = await request(begun.headers.location);
  const done = await request(back.headers.location, { cookies: pairs(begun) });
  assert.equal(done.status, 303, done.text);
  const [session, ended] = done.headers['set-cookie'];
  assert.match(session, /^__Host-claimgate=[\w-]{43}; HttpOnly; SameSite=Lax; Secure; Path=\/; Max-Age=43200$/);
  assert.match(ended, /^__Host-claimgate-login-[\w-]{12}=; .*Max-Age=0$/);
  const me = await request(`${site}/api/v1/me`, { cookies: pairs(done) });
  assert.equal(JSON.parse(me.text).username, 'ada');
  // Two different session cookies are none: another application of the host may have set one.
  assert.equal((await request(`${site}/api/v1/me`, { cookies: `${pairs(done)}; __Host-claimgate=other` })).status, 401);
  await gate.stop('SIGKILL');
  await ready;
});

test('a renewed certificate is taken on SIGHUP; an old protocol is refused', async () => {
  const site = `https://localhost:${gate.port}`;
  const ready = gate.start().catch(() => {});
  await until('it answers', () => request(`${site}/healthz`).then(({ status }) => status === 200, () => false));
  const subject = () => new Promise((resolve, reject) => {
    const socket = tls.connect({ port: gate.port, host: 'localhost', ca }, () => { resolve(socket.getPeerCertificate().subject.CN); socket.destroy(); });
    socket.on('error', reject);
  });
  assert.equal(await subject(), 'gate');
  renameSync(join(gate.folder, 'renewed.pem'), join(gate.folder, 'gate.pem'));
  renameSync(join(gate.folder, 'renewed.key'), join(gate.folder, 'gate.key'));
  gate.process.kill('SIGHUP');
  await until('the new certificate', async () => (await subject()) === 'renewed');
  await assert.rejects(new Promise((resolve, reject) => {
    tls.connect({ port: gate.port, host: 'localhost', ca, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }).on('error', reject).on('secureConnect', () => resolve());
  }));
  await gate.stop('SIGKILL');
  await ready;
});

// attack: access.host
test('over HTTP/2 the host of the rules is `:authority`, in capitals, with a port or a final dot', async () => {
  const applications = [{ hosts: ['wiki.example.com'], rule: [{ paths: ['/hooks/*'], allow: 'anyone' }, { paths: ['/admin/*'], allow: 'no_one' }, { allow: 'signed_in' }] }];
  gate.write({ providers: [provider()], applications, server: { public_url: `https://localhost:${gate.port}`, tls_certificate: 'gate.pem', tls_key: 'gate.key' } });
  const ready = gate.start().catch(() => {});
  await until('it answers', () => request(`https://localhost:${gate.port}/healthz`).then(({ status }) => status === 200, () => false));
  const session = http2.connect(`https://localhost:${gate.port}`, { ca });
  const ask = (authority, path, headers = {}) => new Promise((resolve) => {
    const stream = session.request({ ':authority': authority, ':path': `/auth/redirect${path}`, accept: 'application/json', ...headers });
    stream.on('response', (answer) => resolve(answer[':status'])).on('error', ({ code }) => resolve(code)).resume().end();
  });
  try {
    for (const authority of ['wiki.example.com', 'wiki.example.com:443', 'wiki.example.com:8443', 'WIKI.Example.COM', 'wiki.example.com.', 'Wiki.example.com.:443']) {
      for (const [path, wanted] of [['/hooks/x', 200], ['/page', 401], ['/admin/x', 403]]) assert.equal(await ask(authority, path), wanted, `${authority}${path}`);
    }
    // What a proxy says of a request comes before the host that the proxy itself asks.
    const said = { 'x-forwarded-host': 'WIKI.example.com.:443', 'x-forwarded-uri': '/hooks/x', 'x-forwarded-method': 'GET' };
    assert.equal(await ask('localhost', '', said), 200);
    // Other hosts have no rules, however much they look like one that has.
    for (const authority of ['localhost', 'wiki.example.com.evil.com', 'evil.com:wiki.example.com', 'wiki.example.com..', '.wiki.example.com', 'wiki.example.com@evil.com', 'wiki.example.com:443:443', 'xwiki.example.com']) {
      const answer = await ask(authority, '/hooks/x');
      assert.ok([400, 403, 'ERR_HTTP2_STREAM_ERROR'].includes(answer), `${authority}: ${answer}`);
    }
    // Beside it `Host` counts for nothing (RFC 9113 §8.3.1).
    assert.equal(await ask('wiki.example.com', '/page', { host: 'other.example.com' }), 401);
    assert.equal(await ask('other.example.com', '/hooks/x', { host: 'wiki.example.com' }), 403);
  } finally {
    session.destroy();
    await gate.stop('SIGKILL');
    await ready;
  }
});

// attack: discovery.plain-http
test('an https provider that names plain http, even on this machine, is not used', async () => {
  for (const [member, required] of [['authorization_endpoint', true], ['token_endpoint', true], ['jwks_uri', true], ['userinfo_endpoint', false], ['end_session_endpoint', false]]) {
    op.overrides = { metadata: { [member]: 'http://127.0.0.1:1/' } };
    gate.forgetLog();
    await gate.write({ providers: [provider()] }).start();
    const answer = await fetch(`${gate.url}/login/crm`, { redirect: 'manual' });
    // Without an optional endpoint people sign in; the address is not asked either.
    assert.equal(answer.status, required ? 503 : 303, member);
    if (required) assert.match(await answer.text(), /The sign-in provider cannot be reached, or does not answer as it should/);
    await until('the log says so', () => gate.logged('discovery.endpoint').length > 0);
    await gate.stop();
  }
  op.overrides = {};
});

test('a provider whose authority is not trusted is not used', async () => {
  const { ca_file: _, ...untrusted } = provider();
  await gate.write({ providers: [untrusted] }).start();
  const answer = await fetch(`${gate.url}/login/crm`, { redirect: 'manual' });
  assert.equal(answer.status, 503);
  assert.match(gate.log, /certificate/i);
  await gate.stop();
});

// attack: redirect.credentials, redirect.backslashes
test('a domain’s hosts share the session where the configuration says so, and sign-in leads to these hosts alone', async () => {
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
