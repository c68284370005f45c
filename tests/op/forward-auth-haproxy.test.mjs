// HAProxy before an application: packaging/haproxy/claimgate.lua, configured as docs/guide/forward-auth.md prints it.

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { documented } from './application.mjs';
import { testProxy } from './behind-proxy.mjs';

const SCRIPT = resolve(import.meta.dirname, '../../packaging/haproxy/claimgate.lua');

testProxy({
  configure({ folder, port, claimgate, application }) {
    const ask = /^ *http-request lua\.claimgate (\S+) unless sso$/m;
    const configuration = documented('haproxy')
      .replace('/etc/haproxy/claimgate.lua', SCRIPT)
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
    return ['/usr/sbin/haproxy', '-f', file, '-db'];
  },
});
