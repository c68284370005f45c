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
after(async () => { await gate.close(); await op.stop(); });

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
