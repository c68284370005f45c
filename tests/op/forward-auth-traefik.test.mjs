// Traefik before an application: forwardAuth, configured as docs/guide/forward-auth.md prints it. `run` installs
// Traefik; without it these tests are skipped.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { documented } from './application.mjs';
import { testProxy } from './behind-proxy.mjs';

const BINARY = process.env.TRAEFIK ?? fileURLToPath(new URL('../../target/traefik/bin/traefik', import.meta.url));

testProxy({
  server: { application_cookies: true },
  skip: existsSync(BINARY) ? false : 'Traefik is not installed',
  configure({ folder, port, claimgate, application }) {
    const configuration = documented('yaml', 'http:')
      .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
      .replaceAll('app:3000', `127.0.0.1:${application}`)
      .replaceAll('app.example.com', 'app.gate.localhost')
      .replaceAll('sso.example.com', 'sso.gate.localhost');
    // The same application for a team alone, as documented.
    const [middleware] = /    claimgate:\n      forwardAuth:\n[^]*?(?=  routers:)/.exec(configuration);
    const forTeam = middleware.replace('claimgate:', 'claimgate-team:').replace('/auth/redirect', '/auth/redirect?team=Administrators');
    writeFileSync(join(folder, 'routes.yaml'), configuration
      .replace(middleware, middleware + forTeam)
      .replace('  routers:\n', '  routers:\n    admin: { rule: Host(`admin.gate.localhost`), middlewares: [claimgate-team], service: app }\n'));
    const file = join(folder, 'traefik.yaml');
    writeFileSync(file, `${documented('yaml', 'entryPoints:').replace('  web:\n', `  web:\n    address: 127.0.0.1:${port}\n`)}
providers: { file: { filename: ${join(folder, 'routes.yaml')} } }
global: { checkNewVersion: false, sendAnonymousUsage: false }
`);
    return [BINARY, `--configFile=${file}`];
  },
});
