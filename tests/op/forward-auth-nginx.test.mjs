// nginx before an application: auth_request, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as http from 'node:http';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { Application, documented } from './application.mjs';
import { Claimgate, freePort, pair } from './claimgate.mjs';
import { claimsOf } from './jose.mjs';
import { Nginx } from './nginx.mjs';
import { OpenIdProvider } from './provider.mjs';

/** A browser that opens a page. */
const PAGE = { accept: 'text/html' };

let op;
let gate;
let application;
let nginx;
let site;

before(async () => {
  op = await OpenIdProvider.start();
  gate = await Claimgate.prepare();
  const port = await freePort();
  site = `http://127.0.0.1:${port}`;
  application = await Application.start();

  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${site}/sso/callback/crm`];
  op.configure([client]);
  await gate.write({ providers: [provider], server: { public_url: `${site}/sso`, trusted_proxies: ['127.0.0.2'] } }).start();
  gate.addUser('root', 'super-admin');
  // From an address of its own, which a client on this machine does not have.
  const [location] = /    location \/ \{[^]*?\n    \}\n/.exec(documented('nginx'));
  const admin = location.replace('location /', 'location /admin/').replace('set $teams "";', 'set $teams "team=Administrators";');
  nginx = await Nginx.start(`proxy_bind 127.0.0.2; ${documented('nginx')
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace('server_name app.example.com;', '')
    .replace(/ *ssl_certificate[^;]*;\n/g, '')
    // A path with teams of its own, as documented.
    .replace(location, () => `${location}${admin}`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${gate.port}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${application.port}`)}`, `${site}/sso/healthz`);
});

after(async () => {
  nginx?.stop();
  await gate.close();
  await op.stop();
  await application.stop();
});

/** Sends a request with exactly these headers. */
function send(address, headers, method = 'GET') {
  return new Promise((resolve, reject) => {
    const request = http.request(address, { method, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    request.on('upgrade', (response, socket) => { socket.destroy(); resolve({ status: response.statusCode, headers: response.headers }); });
    request.on('error', reject);
    request.end();
  });
}

/** Requests a path that is not normalised before it is sent. */
function raw(path, headers) {
  const { hostname, port } = new URL(site);
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, path, headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode, headers: response.headers }));
    });
    request.on('error', reject).end();
  });
}

test('signed out: to the sign-in page, and back to what was asked for', async () => {
  const agent = new Agent();
  const sent = await agent.request(`${site}/reports?year=2026&month=1`, { headers: PAGE });
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.location).pathname, '/sso/login');
  const landed = await agent.walk(sent.location, { as: 'ada' });
  assert.equal(landed.url, `${site}/reports?year=2026&month=1`);
  const seen = JSON.parse(landed.text);
  assert.equal(seen.headers['x-auth-user'], 'ada');
  assert.equal(seen.headers['x-auth-email'], 'ada@example.com');
  assert.equal(seen.headers['x-auth-teams'], 'Administrators,sales');
  assert.equal(seen.headers['x-auth-name'], 'Ada Lovelace');
});

// attack: headers.assertion-asked-by-a-script
test('no client asks what nginx asks, and says nothing that only a proxy says', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'ada' });
  const { origin } = new URL(site);
  const said = { 'x-forwarded-host': 'bank.example.com', 'x-forwarded-uri': '/', 'x-forwarded-method': 'GET', 'x-forwarded-proto': 'https', origin, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' };
  for (const path of ['/sso/auth', '/sso/auth/', '/sso/auth/redirect', '/sso/auth/redirect/x', '/sso//auth/redirect/x', '/sso/%61uth/redirect/x', '/sso/x/../auth/redirect/x', '/sso/auth%2fredirect']) {
    const { status, headers } = await send(`${site}${path}`, { ...said, cookie: [...agent.cookies(site)].map((pair) => pair.join('=')).join('; ') });
    assert.deepEqual([path, status, headers['x-auth-user']], [path, 404, undefined]);
  }
  // nginx decodes a path before it compares it: these are none of /sso/auth/ to it, and pass as they are written.
  for (const path of ['/sso/auth/redirect/..%2f..%2fx', '/sso/auth/redirect/x%2f%2e%2e%2f..%2f../x', '/sso/auth/redirect/../../x']) {
    const { status, headers } = await raw(path, { ...said, cookie: [...agent.cookies(site)].map((pair) => pair.join('=')).join('; ') });
    assert.deepEqual([path, status, headers['x-auth-user']], [path, 400, undefined]);
  }
});

// attack: headers.from-the-client
test('identity headers of a client are overwritten', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  const claimed = { 'x-auth-user': 'root', 'x-auth-teams': 'Administrators', 'x-auth-email': 'root@example.com', 'x-auth-name': 'Root' };
  for (const name of Object.keys(claimed)) {
    const [, , field] = name.split('-');
    for (const spelling of [`x_auth_${field}`, `x-auth_${field}`, `x_auth-${field}`]) claimed[spelling] = 'root';
  }
  const answer = await agent.request(`${site}/`, { headers: claimed });
  assert.ok(!answer.text.includes('"root"'), answer.text);
  const { headers } = JSON.parse(answer.text);
  assert.equal(headers['x-auth-user'], 'linus');
  assert.equal(headers['x-auth-teams'], undefined);
  assert.equal(headers['x-auth-email'], 'linus@example.com');
  const stranger = await new Agent().request(`${site}/`, { headers: { ...claimed, ...PAGE } });
  assert.equal(stranger.status, 303);
});

test('for a team alone: others are refused, whatever their own query says', async () => {
  const [ada, grace] = [new Agent(), new Agent()];
  await ada.walk(`${site}/sso/login/crm`, { as: 'ada' });
  await grace.walk(`${site}/sso/login/crm`, { as: 'grace' });
  assert.equal((await ada.request(`${site}/admin/x?team=nobody`)).status, 200);
  for (const query of ['', '?team=support', '?x&team=support', '?team=Administrators']) {
    assert.equal((await grace.request(`${site}/admin/x${query}`)).status, 403, query);
  }
  // Spellings of the path, sent as they stand.
  for (const path of ['/%61dmin/x', '//admin/x', '/x/../admin/x', '/./admin/x', '/x/%2e%2e/admin/x']) {
    const cookie = (agent) => ({ cookie: [...agent.cookies(site)].map((pair) => pair.join('=')).join('; ') });
    assert.equal((await raw(path, cookie(grace))).status, 403, path);
    assert.equal((await raw(path, cookie(ada))).status, 200, path);
  }
  assert.equal((await new Agent().request(`${site}/admin/x?team=support`)).status, 401);
  assert.equal((await new Agent().request(`${site}/admin/x?team=support`, { headers: PAGE })).status, 303);
});

test('programs get one challenge', async () => {
  const { status, headers } = await send(`${site}/`, { accept: 'application/json' });
  assert.equal(status, 401);
  // Of a header that occurs twice the values are joined.
  assert.equal(headers['www-authenticate'], 'Cookie realm="claimgate"');
});

test('after a back-channel logout the application asks for sign-in', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'grace' });
  assert.equal((await agent.request(`${site}/`)).status, 200);
  const [session] = gate.sessions().filter(({ subject }) => subject === 'grace');
  const answer = await fetch(`${site}/sso/api/v1/backchannelLogout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('crm', 'grace', session.sid) }) });
  assert.equal(answer.status, 200);
  assert.equal((await agent.request(`${site}/`, { headers: PAGE })).status, 303);
});

test('a user in 300 teams is let through', async () => {
  op.claims = { linus: { groups: Array.from({ length: 300 }, (_, index) => `/crm/a team with a long name, number ${index}`) } };
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  op.claims = undefined;
  const answer = await agent.request(`${site}/`);
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.text).headers['x-auth-teams'].split(',').length, 300);
});

// finding: S17
// attack: headers.session-for-the-application
test('the application receives the client’s cookies, and none of Claimgate’s', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  const secret = agent.cookies(site).get('claimgate');
  const seen = async (cookie) => {
    const { status, text } = await send(`${site}/`, { cookie });
    return status === 200 ? JSON.parse(text).headers.cookie ?? '' : status;
  };
  for (const [sent, received] of [
    [`claimgate=${secret}`, ''],
    [`a=1; claimgate=${secret}`, 'a=1;'],
    [`claimgate=${secret}; b=2`, 'b=2'],
    [`a=1; claimgate=${secret}; b=2`, 'a=1; b=2'],
    [`a=1;claimgate=${secret};b=2`, 'a=1;b=2'],
    [`myclaimgate=1; claimgate=${secret}; claimgates=2`, 'myclaimgate=1;'],
    [`a=1; claimgate=${secret}; claimgate=${secret}`, 'a=1;'],
    [[`a=1`, `claimgate=${secret}`, 'b=2'], 'a=1; b=2'],
    [`a=1; __Host-claimgate=${secret}; claimgate=${secret}`, 'a=1;'],
    // A sign-in under way: the holder of its cookie and of the code completes it.
    [`claimgate=${secret}; a=1; __Host-claimgate-login-x=1; claimgate-login-y=2;claimgate-logout=3; b=2`, 'a=1; b=2'],
    [`__Secure-claimgate-admin=1; claimgate=${secret}; a="claimgate=1"; b=2`, 'a="claimgate=1"; b=2'],
    // Three groups: none is passed on.
    [`claimgate=${secret}; a=1; claimgate-login-x=1; b=2; claimgate-login-y=2`, ''],
  ]) assert.equal(await seen(sent), received, `${sent}`);
  // In all requests that reached it.
  assert.equal(await seen(`a=1; claimgate=${secret}; b=2`), 'a=1; b=2');
});

// finding: A3, A9
test('the refusal page is Claimgate’s, with a style sheet that is served', async () => {
  const grace = new Agent();
  await grace.walk(`${site}/sso/login/crm`, { as: 'grace' });
  gate.forgetLog();
  const refused = await grace.request(`${site}/admin/x?secret=of-the-application`, { headers: PAGE });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /signed in as <b id="user">grace<\/b>/);
  assert.match(refused.text, /members of the team Administrators/);
  const [, style] = /rel="stylesheet" href="([^"]*)"/.exec(refused.text);
  assert.equal((await grace.request(style)).status, 200);
  const warned = gate.logged('request.forbidden').map((line) => JSON.parse(line)).filter(({ level }) => level === 'WARN');
  assert.equal(warned.length, 1);
  assert.equal(warned[0].application, `${site}/admin/x`);
  const out = await grace.request(/id="sign-out" href="([^"]*)"/.exec(refused.text)[1], { headers: { 'sec-fetch-site': 'same-origin' } });
  assert.equal(out.status, 303);
  assert.equal((await grace.request(`${site}/`)).status, 401);
});

// finding: A9
test('WebSockets pass; a form after the session has ended gets a page', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  const upgrade = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  const answer = await send(`${site}/socket`, { ...upgrade, cookie: `claimgate=${agent.cookies(site).get('claimgate')}` });
  assert.equal(answer.status, 101);
  assert.equal(JSON.parse(answer.headers['x-received'])['x-auth-user'], 'linus');
  assert.equal((await send(`${site}/socket`, { ...upgrade, ...PAGE })).status, 401);
  const form = await new Agent().request(`${site}/save`, { method: 'POST', form: { a: 'b' }, headers: PAGE });
  assert.equal(form.status, 401);
  assert.match(form.text, /did not reach the application/);
});

// attack: headers.from-the-client, headers.raw-list
// finding: R4
test('headers of other names, an assertion among them', async () => {
  const port = await freePort();
  const own = await Claimgate.prepare();
  const { provider } = pair(op, own, 'crm');
  const rule = [{ allow: 'anyone' }];
  const assertion = [{ name: 'X-Claimgate-Assertion', value: 'assertion' }];
  const applications = [
    { name: 'https://wiki.example.com', hosts: ['wiki.gate.localhost'], headers: { preset: 'authelia', encoding: 'raw', header: [...assertion, { name: 'X-Person', value: 'id' }] }, rule },
  ];
  const server = { public_url: `http://wiki.gate.localhost:${port}/sso`, trusted_proxies: ['127.0.0.1'] };
  await own.write({ providers: [provider], applications, signIn: { password_fallback_regular: true }, server }).start();
  own.addUser('joé', 'regular', '--team', 'Lab', '--team', 'Lab,Administrators');
  const copied = [['Remote-User', 'user'], ['Remote-Email', 'email'], ['Remote-Groups', 'teams'], ['Remote-Name', 'name'], ['X-Claimgate-Assertion', 'assertion'], ['X-Person', 'person']];
  const lines = copied.map(([name, variable]) => `auth_request_set $auth_${variable} $upstream_http_${name.toLowerCase().replaceAll('-', '_')}; proxy_set_header ${name} $auth_${variable};`);
  const running = await Nginx.start(documented('nginx')
    .replace(/ *(auth_request_set|proxy_set_header X-Auth-)[^;]*;\n/g, '')
    .replace('proxy_set_header Cookie $application_cookie;', `proxy_set_header Cookie $application_cookie; ${lines.join(' ')}`)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace('server_name app.example.com;', '')
    .replace(/ *ssl_certificate[^;]*;\n/g, '')
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${own.port}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${application.port}`), `http://wiki.gate.localhost:${port}/sso/healthz`);
  try {
    const signedIn = new Agent();
    await signedIn.request(`${own.url}/sso/login/password`, { method: 'POST', form: { username: 'joé', password: PASSWORD }, headers: { 'sec-fetch-site': 'same-origin', origin: server.public_url.replace('/sso', '') } });
    const cookie = `claimgate=${signedIn.cookies(own.url).get('claimgate')}`;
    const seen = async (host, headers) => {
      const { status, text } = await send(`http://127.0.0.1:${port}/page`, { host: `${host}.gate.localhost:${port}`, ...headers });
      assert.equal(status, 200);
      return JSON.parse(text).headers;
    };
    const forged = { 'remote-user': 'root', 'Remote_User': 'root', 'Remote.User': 'root', 'remote-groups': 'Administrators', 'remote-email': 'root@example.com', 'x-person': '1', 'x-claimgate-assertion': 'x.y.z', 'X_Claimgate_Assertion': 'x.y.z' };
    const identity = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => /remote|person|x.auth|assertion/i.test(name)));
    const got = identity(await seen('wiki', { cookie, ...forged }));
    const token = got['x-claimgate-assertion'];
    // Node reads header fields as Latin-1. The team that could be read as two is left out.
    assert.deepEqual(got, { 'remote-user': Buffer.from('joé').toString('latin1'), 'remote-name': Buffer.from('joé').toString('latin1'), 'remote-groups': 'Lab', 'x-person': '1', 'x-claimgate-assertion': token });
    assert.deepEqual(identity(await seen('wiki', forged)), {});
    assert.equal(claimsOf(token).aud, 'https://wiki.example.com');
  } finally {
    running.stop();
    await own.close();
  }
});

// finding: S17
// attack: administration.sign-in-cookie-alone, administration.beside-applications
test('an application with a super-admin’s cookie, or a script of its own, administers nothing', async () => {
  const root = new Agent();
  await root.request(`${site}/sso/login/password`, { method: 'POST', form: { username: 'root', password: PASSWORD }, headers: SAME_ORIGIN });
  assert.equal((await root.request(`${site}/sso/api/v1/me`)).status, 200);
  const backdoor = { username: 'backdoor', kind: 'super-admin', password: 'a password for the backdoor' };
  const script = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', origin: site };
  const off = await root.request(`${site}/sso/api/v1/users`, { method: 'POST', json: backdoor, headers: script });
  assert.equal(off.status, 403);
  assert.equal(JSON.parse(off.text).error, 'admin.off');
  // Neither does the application where the file allows administration there: it does not know the password.
  const { provider } = pair(op, gate, 'crm');
  gate.write({ providers: [provider], server: { public_url: `${site}/sso`, trusted_proxies: ['127.0.0.2'], danger_admin_beside_applications: true } });
  await gate.reload();
  for (const address of [`${site}/sso`, `${gate.url}/sso`]) {
    for (const headers of [{}, script]) {
      const application = new Agent();
      application.cookies(address).set('claimgate', root.cookies(site).get('claimgate'));
      assert.equal((await application.request(`${address}/api/v1/users`, { method: 'POST', json: backdoor, headers })).status, 401);
      assert.equal((await application.request(`${address}/api/v1/admin/session`, { method: 'POST', json: { password: '' }, headers })).status, 403);
    }
  }
  assert.deepEqual(gate.users().filter(({ username }) => username === 'backdoor'), []);
});

// finding: S22
test('the documented rule of the firewall refuses the connections of an address beyond 256, and those of no other', { skip: process.getuid() !== 0 && 'only root has networks of its own' }, () => {
  const clients = `
    const { connect, createServer } = require('node:net');
    const server = createServer((socket) => socket.on('error', () => {})).listen(443, '127.0.0.1', async () => {
      const accepted = async (localAddress, count) => {
        const one = () => new Promise((done) => {
          const socket = connect({ host: '127.0.0.1', port: 443, localAddress }, () => done(1)).on('error', () => done(0));
        });
        return (await Promise.all(Array.from({ length: count }, one))).reduce((sum, each) => sum + each, 0);
      };
      console.log(JSON.stringify([await accepted('127.0.0.2', 300), await accepted('127.0.0.3', 20)]));
      process.exit();
    });`;
  const script = 'ip link set lo up && nft -f - && exec "$0" -e "$1"';
  const run = spawnSync('unshare', ['--net', 'sh', '-c', script, process.execPath, clients], { input: documented('nft'), encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(JSON.parse(run.stdout), [256, 20]);
});
