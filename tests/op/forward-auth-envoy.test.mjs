// Envoy before an application: ext_authz, configured as docs/guide/forward-auth.md prints it. `python-packages` installs
// Envoy; without it these tests are skipped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { received, testProxy } from './behind-proxy.mjs';
import { until } from './claimgate.mjs';
import { envoy } from './proxies.mjs';

testProxy(envoy, (get) => {
  const { skip } = envoy;

  // attack: headers.from-the-client
  test('a header that overrides method or path has its own name only', { skip }, async () => {
    const { ask, cookie } = get();
    for (const name of ['X_HTTP_Method_Override', 'X.HTTP.Method.Override', 'X_Original_URL']) {
      assert.ok(!Object.values(received(await ask('app', '/', { cookie, [name]: 'odd' }))).includes('odd'), name);
    }
  });

  // attack: headers.assertion-asked-by-a-script
  test('at Claimgate’s own host no client asks what Envoy asks', { skip }, async () => {
    const { ask, cookie } = get();
    assert.equal((await ask('sso', '/login')).status, 200);
    const said = { cookie, 'x-forwarded-host': 'bank.example.com', 'x-forwarded-uri': '/', 'x-forwarded-method': 'GET' };
    for (const path of ['/auth', '/auth/redirect', '/auth/redirect/x']) {
      const { status, headers } = await ask('sso', path, said);
      assert.deepEqual([path, status, headers['x-auth-user']], [path, 404, undefined]);
    }
    assert.equal((await ask('sso', '/api/v1/me', said)).status, 200);
  });

  test('the client counts by its own address, whatever it claims', { skip }, async () => {
    const { ask, gate } = get();
    gate.forgetLog();
    assert.equal((await ask('app', '/', { accept: '*/*', 'x-forwarded-for': '203.0.113.9' }, { localAddress: '127.0.0.5' })).status, 401);
    await until('the refusal is logged', () => gate.log.includes('"client":"127.0.0.5"'));
    assert.doesNotMatch(gate.log, /"client":"(203\.0\.113\.9|127\.0\.0\.1)"/);
  });
});
