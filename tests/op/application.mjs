// An application behind a reverse proxy, and the proxy configurations that the documentation prints.

import { readFileSync } from 'node:fs';
import { Agent } from './agent.mjs';
import { Claimgate, freePort, pair } from './claimgate.mjs';
import { LoopbackServer } from './loopback-server.mjs';
import { OpenIdProvider } from './provider.mjs';

/** Answers with the address and the headers that it received, as JSON. */
export class Application extends LoopbackServer {
  handle(request, response) { response.end(JSON.stringify({ url: request.url, headers: request.headers })); }
}

export const DOCUMENTATION = readFileSync(new URL('../../docs/guide/forward-auth.md', import.meta.url), 'utf8');

/** The first configuration in this language that begins with this text. */
export const documented = (language, beginning = '') => new RegExp(`\`\`\`${language}\\n(${beginning}[^]*?)\`\`\``).exec(DOCUMENTATION)[1];

/**
 * Starts the hosts of a domain behind one proxy, which listens on `port`: a server for all of them, an application,
 * and the session cookie of a user without email address and name, in a team of its own. `server` are further settings.
 */
export async function startDomain(server = {}) {
  const op = await OpenIdProvider.start();
  const gate = await Claimgate.prepare();
  const port = await freePort();
  const application = await Application.start();
  const { client, provider } = pair(op, gate, 'crm');
  op.configure([client]);
  await gate.write({
    providers: [provider],
    signIn: { password_fallback_regular: true },
    server: { public_url: `http://sso.gate.localhost:${port}`, cookie_domain: 'gate.localhost', trusted_proxies: ['127.0.0.1'], ...server },
  }).start();
  gate.addUser('joe', 'regular', '--team', 'Lab');
  const agent = new Agent();
  await agent.signInByPassword(gate, 'joe');
  const cookie = `claimgate=${agent.cookies(gate.url).get('claimgate')}`;
  const stop = () => Promise.all([gate.close(), op.stop(), application.stop()]);
  return { gate, port, application, cookie, stop };
}
