// HAProxy before an application: packaging/haproxy/claimgate.lua, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { Application, documented } from './application.mjs';
import { testProxy } from './behind-proxy.mjs';
import { freePort, until } from './claimgate.mjs';

const HAPROXY = '/usr/sbin/haproxy';
const SCRIPT = resolve(import.meta.dirname, '../../packaging/haproxy/claimgate.lua');

/** Writes the documented configuration with a script for these ports, and returns the command line. */
function configured({ folder, port, claimgate, application, script = SCRIPT }) {
  const ask = /^ *http-request lua\.claimgate (\S+) unless sso$/m;
  const configuration = documented('haproxy')
    .replace('/etc/haproxy/claimgate.lua', script)
    .replace(':443 ssl crt /etc/ssl/example.com.pem', `127.0.0.1:${port}`)
    // The same application for a team alone, as documented.
    .replace(ask, (line, address) => `    acl admin hdr(host),host_only -m str admin.gate.localhost
${line} or admin
    http-request lua.claimgate ${address}?team=Administrators if admin`)
    .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
    .replaceAll('app:3000', `127.0.0.1:${application}`)
    .replaceAll('sso.example.com', 'sso.gate.localhost');
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(file, configuration);
  return [HAPROXY, '-f', file, '-db'];
}

testProxy({ configure: configured });

test('a request whose check fails or is aborted does not reach the application', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claimgate-haproxy-'));
  const application = await Application.start();
  const script = join(folder, 'claimgate.lua');
  writeFileSync(script, 'core.register_action("claimgate", { "http-req" }, function() error("on purpose") end, 1)');
  const port = await freePort();
  const [command, ...options] = configured({ folder, port, claimgate: port, application: application.port, script });
  const proxy = spawn(command, options, { stdio: 'ignore' });
  const ask = () => fetch(`http://127.0.0.1:${port}/`).then(({ status }) => status, () => undefined);
  await until('the proxy answers', async () => (await ask()) !== undefined);
  assert.equal(await ask(), 503);
  assert.deepEqual(application.requests, {});
  proxy.kill();
  await application.stop();
  rmSync(folder, { recursive: true, force: true });
});
