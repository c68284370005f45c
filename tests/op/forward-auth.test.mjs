// Forward-auth as reverse proxies ask for it. nginx and Caddy themselves: forward-auth-nginx.test.mjs and
// forward-auth-caddy.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

// attack: headers.from-the-client, headers.line-breaks, headers.non-ascii
test('forward-auth: the user, or 401; teams; no header of the client in the answer', async () => {
  await serve();
  const agent = new Agent();
  const ask = (path, headers = {}) => agent.request(`${gate.url}${path}`, { headers });
  assert.equal((await ask('/auth')).status, 401);
  op.claims = { ada: { family_name: 'Lovelace é\r\nX-Auth-User: root', groups: ['crm-admin', '/crm/a,b'] } };
  await agent.signIn(gate, 'crm', 'ada');
  op.claims = undefined;
  const answer = await ask('/auth', { 'x-auth-user': 'root', 'x-auth-teams': 'root' });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('x-auth-user'), 'ada');
  assert.equal(answer.headers.get('x-auth-email'), 'ada@example.com');
  assert.equal(answer.headers.get('x-auth-teams'), 'Administrators,a%2Cb');
  // A family name with a line break is left out.
  assert.equal(answer.headers.get('x-auth-name'), 'Ada');
  assert.equal((await ask('/auth?team=Administrators')).status, 200);
  assert.equal((await ask('/auth?team=nobody&team=Administrators')).status, 200);
  assert.equal((await ask('/auth?team=nobody')).status, 403);
});

for (const name of ['Team', 'teams', 'group', 'allowed_groups', 'team%20', 'x']) {
  // finding: S11, A2
  // attack: headers.misspelt-rule
  test(`forward-auth: the unknown parameter ${name} admits no user and is in the log`, async () => {
    if (!gate) await serve();
    const agent = new Agent();
    await agent.signIn(gate, 'crm', 'ada');
    for (const path of ['/auth', '/auth/redirect']) {
      gate.forgetLog();
      for (const query of [`${name}=Administrators`, `team=Administrators&${name}=Administrators`]) {
        assert.equal((await agent.request(`${gate.url}${path}?${query}`)).status, 400, query);
      }
      const [line] = gate.logged('request.parameter').map((text) => JSON.parse(text));
      assert.equal(line.level, 'WARN');
      assert.ok(line.error.includes(`\`${decodeURIComponent(name)}\``), line.error);
      assert.equal((await agent.request(`${gate.url}${path}?`)).status, 200);
    }
  });
}

// finding: A3, O-F11
test('forward-auth: the refusal page says who is signed in and what is wanted, with absolute addresses, in one warning', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'grace');
  gate.forgetLog();
  const asked = { accept: 'text/html', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-uri': '/page?token=of-the-application' };
  const answer = await agent.request(`${gate.url}/auth/redirect?team=Administrators&team=Board`, { headers: asked });
  assert.equal(answer.status, 403);
  assert.match(answer.text, /signed in as <b id="user">grace<\/b>/);
  assert.match(answer.text, /members of one of the teams Administrators, Board/);
  const links = [...answer.text.matchAll(/(?:href|action)="([^"]*)"/g)].map(([, link]) => link.replaceAll('&amp;', '&'));
  for (const link of links) assert.ok(link.startsWith(gate.url) || link === 'data:,', link);
  assert.ok(links.some((link) => link.startsWith(`${gate.url}/assets/claimgate.css?v=`)) && links.includes(`${gate.url}/logout`));
  assert.ok(answer.headers.get('content-security-policy').includes(`style-src 'self' ${gate.url};`));
  // "Use another account" asks the provider who the person is, and comes back.
  const another = links.find((link) => link.includes('another_account'));
  assert.equal(new URL(another).searchParams.get('return_to'), 'http://wiki.example.com/page?token=of-the-application');
  assert.equal(new URL((await agent.request(another)).location).searchParams.get('prompt'), 'login');
  // The parts of the page, and the proxy's first question, repeat the refusal below WARN.
  await agent.request(`${gate.url}/auth?team=Administrators`, { headers: asked });
  await agent.request(`${gate.url}/auth/redirect?team=Administrators`, { headers: { ...asked, accept: 'image/*', 'sec-fetch-mode': 'no-cors' } });
  const lines = gate.logged('request.forbidden').map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ level }) => level), ['WARN', 'INFO', 'INFO']);
  const { user, teams, application, client, reference } = lines[0];
  assert.deepEqual({ user, teams, application, client }, { user: 'grace', teams: 'Administrators, Board', application: 'http://wiki.example.com/page', client: '127.0.0.1' });
  assert.ok(answer.text.includes(reference));
});

// finding: O-F3, O-F4, A8, R9
test('forward-auth: programs get 401 with a challenge; a browser that sends a form gets a page, not a redirect', async () => {
  await serve();
  const ask = (path, headers, method = 'GET') => new Agent().request(`${gate.url}${path}`, { method, headers });
  const browser = { accept: 'text/html,*/*' };
  for (const [what, headers] of [
    ['curl', {}],
    ['no Accept', { accept: '' }],
    ['JSON', { accept: 'application/json' }],
    ['a script', { ...browser, 'sec-fetch-mode': 'cors' }],
    ['XMLHttpRequest', { ...browser, 'x-requested-with': 'XMLHttpRequest' }],
    ['credentials', { ...browser, authorization: 'Bearer x' }],
    ['a WebSocket', { ...browser, upgrade: 'websocket' }],
  ]) {
    const answer = await ask('/auth/redirect', headers);
    assert.equal(answer.status, 401, what);
    assert.equal(answer.headers.get('www-authenticate'), 'Cookie realm="claimgate"', what);
    assert.equal(JSON.parse(answer.text).error, 'request.signed_out', what);
  }
  assert.equal((await ask('/auth/redirect', { accept: '*/*', 'sec-fetch-mode': 'navigate' })).status, 303);
  const form = { ...browser, 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${gate.port}`, 'x-forwarded-uri': '/save' };
  for (const [headers, method] of [[{ ...form, 'x-forwarded-method': 'POST' }, 'GET'], [form, 'POST'], [{ ...form, 'x-forwarded-method': 'PUT' }, 'GET']]) {
    const answer = await ask('/auth/redirect', headers, method);
    assert.equal(answer.status, 401);
    assert.match(answer.text, /did not reach the application/);
    const [, link] = /href="([^"]*\/login\?[^"]*)"/.exec(answer.text);
    assert.equal(new URL(link.replaceAll('&amp;', '&')).searchParams.get('return_to'), `${gate.url}/`);
  }
  for (const path of ['/auth', '/api/v1/me']) assert.equal((await ask(path)).headers.get('www-authenticate'), 'Cookie realm="claimgate"');
  for (const method of ['OPTIONS', 'POST']) assert.equal((await ask('/auth', {}, method)).headers.get('www-authenticate'), 'Cookie realm="claimgate"');
});

test('forward-auth for proxies that pass the answer on', async () => {
  await serve();
  const page = { accept: 'text/html' };
  const ask = (path, headers) => new Agent().request(`${gate.url}${path}`, { headers });
  const traefik = { ...page, 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${gate.port}`, 'x-forwarded-uri': '/reports?a=1&b=2' };
  const sent = await ask('/auth/redirect', traefik);
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.location).searchParams.get('return_to'), `${gate.url}/reports?a=1&b=2`);
  const envoy = await ask('/auth/redirect/reports?a=1', page);
  assert.equal(new URL(envoy.location).searchParams.get('return_to'), `${gate.url}/reports?a=1`);
  assert.equal((await ask('/auth/redirect', { accept: 'application/json' })).status, 401);
  for (const [mode, status] of [['navigate', 303], ['cors', 401], ['no-cors', 401]]) {
    assert.equal((await ask('/auth/redirect', { accept: '*/*', 'sec-fetch-mode': mode })).status, status, mode);
  }
  const evil = await new Agent().walk(`${gate.url}/login/crm?return_to=${encodeURIComponent('http://evil.example.com/')}`, { as: 'ada' });
  assert.equal(evil.url, `${gate.url}/`);
});
