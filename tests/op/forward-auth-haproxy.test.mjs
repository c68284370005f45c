// HAProxy before an application: packaging/haproxy/claimgate.lua, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Application } from './application.mjs';
import { testProxy } from './behind-proxy.mjs';
import { freePort, until } from './claimgate.mjs';
import { haproxy, headersOf } from './proxies.mjs';

testProxy(haproxy);

test('a request whose check fails or is aborted does not reach the application', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claimgate-haproxy-'));
  const application = await Application.start();
  const script = join(folder, 'claimgate.lua');
  writeFileSync(script, 'core.register_action("claimgate", { "http-req" }, function() error("on purpose") end, 1)');
  const port = await freePort();
  const [command, ...options] = haproxy.configure({ folder, headers: headersOf('claimgate'), port, claimgate: port, application: application.port, script });
  const proxy = spawn(command, options, { stdio: 'ignore' });
  const ask = () => fetch(`http://127.0.0.1:${port}/`).then(({ status }) => status, () => undefined);
  await until('the proxy answers', async () => (await ask()) !== undefined);
  assert.equal(await ask(), 503);
  assert.deepEqual(application.requests, {});
  proxy.kill();
  await application.stop();
  rmSync(folder, { recursive: true, force: true });
});
