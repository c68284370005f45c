// Caddy before an application: forward_auth, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDomain } from './application.mjs';
import { startProxy, testProxy, testWebSockets } from './behind-proxy.mjs';
import { freePort } from './claimgate.mjs';
import { caddy, caddyBelowPath } from './proxies.mjs';

testProxy(caddy);

// attack: headers.assertion-asked-by-a-script
test('Claimgate below a path of the application’s host: its pages, WebSockets, and no client asks what Caddy asks', async () => {
  const port = await freePort();
  const site = `http://app.gate.localhost:${port}`;
  const domain = await startDomain({ port, server: { public_url: `${site}/sso`, cookie_domain: undefined } });
  let running;
  try {
    running = await startProxy(caddyBelowPath, domain, { port });
    const { ask } = running;
    const sent = await ask('app', '/reports?year=2026');
    assert.equal(sent.status, 303);
    const address = new URL(sent.headers.location);
    assert.deepEqual([address.origin, address.pathname, address.searchParams.get('return_to')], [site, '/sso/login', `${site}/reports?year=2026`]);
    assert.equal((await ask('app', address.pathname + address.search)).status, 200);
    assert.equal(JSON.parse((await ask('app', '/page', { cookie: domain.cookie })).text).url, '/page');
    await testWebSockets(domain, ask, '/socket');
    const said = { cookie: domain.cookie, 'x-forwarded-host': 'bank.example.com', 'x-forwarded-uri': '/', 'x-forwarded-method': 'GET' };
    for (const path of ['/sso/auth', '/sso/auth/', '/sso/auth/redirect', '/sso/auth/redirect/x', '/sso/%61uth', '/sso//auth', '/sso/x/../auth/redirect', '/SSO/auth']) {
      const { status, headers } = await ask('app', path, said);
      assert.deepEqual([path, status, headers['x-auth-user']], [path, 404, undefined]);
    }
    // Caddy decodes a path before it compares it: this is none of /sso/auth/ to it, and passes as it is written.
    const { status, headers } = await ask('app', '/sso/auth/redirect/..%2f..%2fx', said);
    assert.deepEqual([status, headers['x-auth-user']], [400, undefined]);
    assert.equal((await ask('app', '/sso/api/v1/me', said)).status, 200);
  } finally {
    running?.stop();
    await domain.stop();
  }
});
