// The reverse proxies of docs/guide/forward-auth.md, configured as the guide prints it: `configure` gets the ports and a
// folder, and returns the command line of a proxy for the hosts `sso` (Claimgate), `app` (the application) and `admin`
// (the same for the team Administrators) of `gate.localhost`. `headers` are those of a preset, `grpc` says that the
// application speaks HTTP/2.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DOCUMENTATION, documented } from './application.mjs';
import { installed } from './installed.mjs';
import { BINARY as NGINX } from './nginx.mjs';

/** The headers of a preset, as the guide's table has them. */
export function headersOf(preset) {
  const [row] = new RegExp(`\\| \`"${preset}"\` \\|.*`).exec(DOCUMENTATION);
  const [, username, email, name, teams] = row.split('|').slice(1).map((cell) => [...cell.matchAll(/`([A-Za-z-]+)`/g)].map(([, header]) => header));
  return { preset, username, email, name, teams, all: [...username, ...email, ...teams, ...name] };
}

/** The cells of the guide's table of what a preset changes in the texts of Caddy, Envoy and HAProxy. */
function changesOf({ preset }) {
  const [, caddy, connection, envoy, haproxy] = new RegExp(`\\n\\| \`"${preset}"\` \\| ([^|]*) \\| \`(\\(.i\\).*)\` \\| (.*) \\| (.*) \\|\\n`).exec(DOCUMENTATION);
  const quoted = (cell) => /^`(.*)`$/.exec(cell)?.[1];
  return { caddy, connection, envoy: quoted(envoy), haproxy: quoted(haproxy) };
}

const isOwn = ({ preset }) => preset === 'claimgate';

/** The documented `http` block of nginx for several hosts: Claimgate at a host of its own, the teams by host. */
function nginxText() {
  const [, teamsOfHost] = /```nginx\n(map \$host[^]*?)```/.exec(DOCUMENTATION);
  const one = documented('nginx');
  const own = /location \/sso\/ \{[^}]*\}/.exec(one)[0];
  const [closed] = /location \/sso\/auth\/ \{[^}]*\}/.exec(one);
  if (!DOCUMENTATION.includes('`location /auth { return 404; }`')) throw new Error('the guide closes no /auth');
  return `${teamsOfHost}
    ${one.replace(own, '').replace(closed, '').replace('set $teams "";', 'set $teams $teams_of_host;').replaceAll('/sso/auth', '/auth').replace('server_name app.example.com;', 'server_name app.example.com admin.example.com;')}
    server { listen 443 ssl; server_name sso.example.com; ${own.replace('/sso/', '/')} location /auth { return 404; } }`;
}

export const nginx = {
  configure({ folder, port, claimgate, application, headers, grpc }) {
    const lines = headers.all.map((name, index) => `auth_request_set $auth_${index} $upstream_http_${name.toLowerCase().replaceAll('-', '_')}; proxy_set_header ${name} $auth_${index};`).join('\n');
    let text = nginxText();
    if (!isOwn(headers)) text = text.replace(/ *(auth_request_set|proxy_set_header X-Auth-)[^;]*;\n/g, '').replace('proxy_set_header Cookie $application_cookie;', (line) => `${line}\n${lines}`);
    if (grpc) text = text.replace(/ *proxy_pass http:\/\/127\.0\.0\.1:3000;[^}]*/, () => documented('nginx', ' *grpc_pass')).replaceAll('listen 443 ssl;', 'listen 443 ssl http2;');
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, `daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${text
    .replaceAll('listen 443 ssl default_server; ssl_reject_handshake on;', 'listen 443 ssl default_server;')
    .replaceAll('listen 443 ssl', `listen 127.0.0.1:${port}`)
    .replace(/ *ssl_certificate[^;]*;\n/g, '')
    .replaceAll('example.com', 'gate.localhost')
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${claimgate}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${application}`)}
}`);
    return [NGINX, '-c', file, '-p', folder];
  },
};

/** The text of a proxy for an application that speaks HTTP/2: a documented line in place of the one for HTTP/1.1. */
function overHttp2(text, line, change) {
  if (!DOCUMENTATION.includes(`\`${change}\``)) throw new Error(`the guide has no \`${change}\``);
  return text.replace(line, () => change);
}

/** Writes a Caddyfile with these sites and returns the command line. */
function caddyCommand({ folder, port, claimgate, application, grpc }, sites) {
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, `{
  admin off
  auto_https off
  ${grpc ? 'servers {\n protocols h1 h2c\n }' : ''}
  storage file_system ${folder}
}
${sites
    .replace(/^(\w+)\.example\.com \{/gm, (_, host) => `http://${host}.gate.localhost:${port} {\nbind 127.0.0.1`)
    .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
    .replaceAll('app:3000', `127.0.0.1:${application}`)}`);
  return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
}

export const caddy = {
  configure(options) {
    const { headers } = options;
    let text = documented('caddyfile');
    if (!isOwn(headers)) {
      const change = changesOf(headers);
      const [, only] = /^`(-\w+\*)` alone$/.exec(change.caddy) ?? [];
      const [, inPlace] = /^`(\w+)` for `Auth`$/.exec(change.caddy) ?? [];
      text = only ? text.replace(/(?: *request_header "?-X.*Auth\*.*\n)+/, `request_header ${only}\n`) : text.replace(/(request_header "?-X.)Auth\*/g, `$1${inPlace}*`);
      text = text.replace('(?i)x[^a-z0-9]auth[^,]*', () => change.connection).replace('X-Auth-User X-Auth-Email X-Auth-Teams X-Auth-Name', headers.all.join(' '));
    }
    // The same application for a team alone, as documented.
    const [, forTeam] = /`(uri \/auth\/redirect\?team=Administrators)`/.exec(DOCUMENTATION);
    if (options.grpc) text = overHttp2(text, 'reverse_proxy app:3000', 'reverse_proxy h2c://app:3000');
    const app = text.slice(text.indexOf('app.example.com {'));
    return caddyCommand(options, text + app.replace('app.', 'admin.').replace('uri /auth/redirect?', forTeam));
  },
};

/** Caddy with Claimgate below the path `/sso` of the application's host. */
export const caddyBelowPath = {
  configure: (options) => caddyCommand(options, documented('caddyfile').replace(/^sso[^]*?\n}\n/, '')
    .replace('app.example.com {\n', (line) => `${line}${documented('caddyfile', ' *# Claimgate.s own pages')}`)
    .replace('uri /auth/redirect?', /`(uri \/sso\/auth\/redirect\?)`/.exec(DOCUMENTATION)[1])),
};

const TRAEFIK = process.env.TRAEFIK ?? resolve(import.meta.dirname, '../../target/traefik/bin/traefik');

export const traefik = {
  server: { application_cookies: true },
  skip: installed('Traefik', TRAEFIK),
  configure({ folder, port, claimgate, application, headers, grpc }) {
    const documentation = documented('yaml', 'http:');
    const configuration = (grpc ? overHttp2(documentation, 'url: http://app:3000', 'url: h2c://app:3000') : documentation)
      .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
      .replaceAll('app:3000', `127.0.0.1:${application}`)
      .replaceAll('app.example.com', 'app.gate.localhost')
      .replaceAll('sso.example.com', 'sso.gate.localhost')
      .replace('X-Auth-User, X-Auth-Email, X-Auth-Teams, X-Auth-Name', headers.all.join(', '));
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
    return [TRAEFIK, `--configFile=${file}`];
  },
};

const ENVOY = process.env.ENVOY ?? resolve(import.meta.dirname, '../../target/envoy/envoy/_bin/envoy');

/** The documented filters of Envoy for the headers of a preset. */
function envoyFilters(headers) {
  const text = documented('yaml', 'http_filters');
  if (isOwn(headers)) return text;
  const { envoy: pattern } = changesOf(headers);
  const own = /( *)if odd or name:lower.*\n/.exec(text);
  return (pattern ? text.replace('^x[^a-z0-9]auth[^a-z0-9]', () => pattern) : text.replace(own[0], () => documented('lua').replace(/^/gm, own[1]).trimEnd().concat('\n')))
    .replace('[{ prefix: x-auth- }]', `[${headers.all.map((name) => `{ exact: ${name.toLowerCase()} }`).join(', ')}]`);
}

export const envoy = {
  skip: installed('Envoy', ENVOY),
  // Envoy appends the path to the address that it asks: the rules of the configuration choose the teams.
  teamsByRules: true,
  configure({ folder, port, claimgate, application, headers, grpc }) {
    const [, http2] = /`(typed_extension_protocol_options: \{ .* \})`/.exec(DOCUMENTATION);
    const cluster = (name, port, more = '') => `  - name: ${name}
    type: STATIC
    load_assignment: { cluster_name: ${name}, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }] }
${more && `    ${more}\n`}`;
    const file = join(folder, 'envoy.yaml');
    writeFileSync(file, `
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: test
          use_remote_address: true
          route_config:
${documented('yaml', 'virtual_hosts').replace('sso.example.com', '"sso.gate.localhost", "sso.gate.localhost:*"').replace(/^/gm, '            ').trimEnd()}
            - { name: app, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: app } }] }
          ${/`(upgrade_configs: .*)`/.exec(DOCUMENTATION)[1]}
${envoyFilters(headers).replace(/^/gm, '          ')}
  clusters:
${cluster('claimgate', claimgate)}${cluster('app', application, grpc && http2)}`);
    return [ENVOY, '-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'warning'];
  },
};

const LUA = resolve(import.meta.dirname, '../../packaging/haproxy/claimgate.lua');

export const haproxy = {
  configure({ folder, port, claimgate, application, headers, grpc, script = LUA }) {
    const ask = /^ *http-request lua\.claimgate (\S+) unless sso$/m;
    let text = documented('haproxy');
    if (!isOwn(headers)) {
      const names = headers.all.map((name) => `"${name.toLowerCase()}"`).join(', ');
      script = join(folder, 'claimgate.lua');
      writeFileSync(script, readFileSync(LUA, 'utf8').replace(/^local IDENTITY = .*$/m, `local IDENTITY = { ${names} }`));
      const { haproxy: pattern } = changesOf(headers);
      if (pattern) text = text.replace('^x[^a-z0-9]auth[^a-z0-9]', () => pattern);
      else text = text.replace(/ *http-request del-header \^x.*\n/, '');
    }
    if (grpc) text = overHttp2(text, 'server app app:3000', 'server app app:3000 proto h2');
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, text
      .replace('/etc/haproxy/claimgate.lua', script)
      .replace(':443 ssl crt /etc/ssl/example.com.pem', `127.0.0.1:${port}${grpc ? ' proto h2' : ''}`)
      // The same application for a team alone, as documented.
      .replace(ask, (line, address) => `    acl admin hdr(host),host_only -m str admin.gate.localhost
${line} or admin
    http-request lua.claimgate ${address}?team=Administrators if admin`)
      .replaceAll('claimgate:8080', `127.0.0.1:${claimgate}`)
      .replaceAll('app:3000', `127.0.0.1:${application}`)
      .replaceAll('sso.example.com', 'sso.gate.localhost'));
    return ['/usr/sbin/haproxy', '-f', file, '-db'];
  },
};
