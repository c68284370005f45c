// Caddy before an application: forward_auth, configured as docs/guide/forward-auth.md prints it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { documented, DOCUMENTATION } from './application.mjs';
import { testProxy } from './behind-proxy.mjs';

testProxy({
  configure({ folder, port, claimgate, application }) {
    const configuration = documented('caddyfile');
    // The same application for a team alone, as documented.
    const [, forTeam] = /`(uri \/auth\/redirect\?team=Administrators)`/.exec(DOCUMENTATION);
    const app = configuration.slice(configuration.indexOf('app.example.com {'));
    const admin = app.replace('app.example.com {', `http://admin.gate.localhost:${port} {\nbind 127.0.0.1`).replace('uri /auth/redirect?', forTeam);
    const file = join(folder, 'Caddyfile');
    writeFileSync(file, `{
  admin off
  auto_https off
  storage file_system ${folder}
}
${(configuration + admin)
    .replace('sso.example.com {', `http://sso.gate.localhost:${port} {\nbind 127.0.0.1`)
    .replace('app.example.com {', `http://app.gate.localhost:${port} {\nbind 127.0.0.1`)
    .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
    .replaceAll('app:3000', `127.0.0.1:${application}`)}`);
    return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
  },
});
