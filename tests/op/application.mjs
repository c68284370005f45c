// An application behind a reverse proxy, and the proxy configurations that the documentation prints.

import { createHash, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { clientsToken } from './access-tokens.mjs';
import { Agent } from './agent.mjs';
import { Claimgate, freePort, pair } from './claimgate.mjs';
import { claimsOf } from './jose.mjs';
import { LoopbackServer } from './loopback-server.mjs';
import { OpenIdProvider } from './provider.mjs';

/** Answers with the address and the headers that it received, as JSON; a WebSocket with the headers alone. */
export class Application extends LoopbackServer {
  static async start() {
    const application = await super.start();
    application.server.on('upgrade', ({ url, headers }, socket) => {
      application.requests[url] = (application.requests[url] ?? 0) + 1;
      const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nX-Received: ${JSON.stringify(headers)}\r\n\r\n`);
    });
    return application;
  }

  handle(request, response) { response.end(JSON.stringify({ url: request.url, headers: request.headers })); }
}

export const DOCUMENTATION = readFileSync(new URL('../../docs/guide/forward-auth.md', import.meta.url), 'utf8');

/** The first configuration in this language that begins with this text. */
export const documented = (language, beginning = '') => new RegExp(`\`\`\`${language}\\n(${beginning}[^]*?)\`\`\``).exec(DOCUMENTATION)[1];

/** What the application of a domain is called in bearer tokens. */
const AUDIENCE = 'https://app.example.com/api';
const ROBOT = { client_id: 'robot', client_secret: 'a client secret: 0123456789abcdef', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };

/** Rules of the application: open, for a team that the user of the domain has or has not, by method, for a program, for all. */
export const RULES = [
  { paths: ['/hooks/*'], methods: ['GET', 'POST'], allow: 'anyone' },
  { paths: ['/hooks/*'], allow: 'no_one' },
  { paths: ['/admin/*'], teams: ['Administrators'] },
  { paths: ['/lab/*'], teams: ['Lab'] },
  { paths: ['/archive/*'], methods: ['GET'], allow: 'signed_in' },
  { paths: ['/archive/*'], allow: 'no_one' },
  { paths: ['/api/*'], clients: ['robot'] },
  { allow: 'signed_in' },
];

/**
 * Starts the hosts of a domain behind one proxy, which listens on `port`: a server for all of them, an application,
 * and the session cookie of a user without email address and name, in a team of its own. `server` are further settings,
 * `applications` tables of the configuration, which `apply` replaces; `token` returns an access token of the program
 * `robot`, with claims or by a key of its own.
 */
export async function startDomain({ server = {}, applications = [], port } = {}) {
  const op = await OpenIdProvider.start();
  const gate = await Claimgate.prepare();
  port ??= await freePort();
  const application = await Application.start();
  const { client, provider } = pair(op, gate, 'crm', { provider: { verify: { kind: 'access_token' } } });
  op.configure([client, ROBOT]);
  const write = (applications) => gate.write({
    providers: [provider],
    applications,
    signIn: { password_fallback_regular: true },
    server: { public_url: `http://sso.gate.localhost:${port}`, cookie_domain: 'gate.localhost', trusted_proxies: ['127.0.0.1'], ...server },
  });
  const stop = () => Promise.all([gate.close(), op.stop(), application.stop()]);
  const agent = new Agent();
  try {
    await write(applications).start();
    gate.addUser('joe', 'regular', '--team', 'Lab');
    const below = new URL(server.public_url ?? gate.url).pathname.replace(/\/$/, '');
    await agent.signInByPassword({ url: `${gate.url}${below}` }, 'joe');
  } catch (error) {
    await stop();
    throw error;
  }
  const cookie = `claimgate=${agent.cookies(gate.url).get('claimgate')}`;
  const apply = async (applications) => { write(applications); await gate.reload(); };
  const token = async (claims = {}, key = op.keys[0]) => {
    const issued = claimsOf(await clientsToken(op, ROBOT, AUDIENCE));
    const header = { alg: 'RS256', typ: 'at+jwt', kid: op.keys[0].kid };
    return new SignJWT({ ...issued, ...claims }).setProtectedHeader(header).sign(createPrivateKey({ key, format: 'jwk' }));
  };
  return { gate, port, application, cookie, apply, token, stop };
}

/** The table of an application at a host of the domain. */
export const applicationAt = (host, rule, more = {}) => ({ name: host, hosts: [`${host}.gate.localhost`], bearer_audience: [AUDIENCE], rule, ...more });
