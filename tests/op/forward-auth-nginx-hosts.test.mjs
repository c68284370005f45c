// nginx before applications on several hosts: auth_request, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exchangeBytes } from './agent.mjs';
import { testProxy } from './behind-proxy.mjs';
import { nginx } from './proxies.mjs';

testProxy(nginx, (get) => {
  // finding: A9
  test('the host that chooses the teams is the one that the application gets', async () => {
    const { port, cookie } = get();
    const host = (name) => `${name}.gate.localhost:${port}`;
    // The host of the request line chooses the teams; the application would get that of the header.
    const raw = (line, name) => exchangeBytes({ port }, `GET ${line}\r\nHost: ${name}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`);
    for (const [line, name] of [
      [`http://${host('app')}/secret HTTP/1.1`, host('admin')],
      [`http://${host('app')}/secret HTTP/1.0`, host('admin')],
      ['/secret HTTP/1.1', host('other')],
      ['/secret HTTP/1.1', `.${host('admin')}`],
      ['http://x/secret HTTP/1.1', host('admin')],
    ]) {
      assert.match(await raw(line, name), /^HTTP\/1\.1 (421|400) /, `${line} ${name}`);
    }
    assert.match(await raw(`http://${host('app')}/ HTTP/1.1`, host('app')), /^HTTP\/1\.1 200 /);
    assert.match(await raw('/ HTTP/1.1', host('APP')), /^HTTP\/1\.1 200 /);
  });
});
