// An application behind a reverse proxy, and the proxy configurations that the documentation prints.

import { readFileSync } from 'node:fs';
import { LoopbackServer } from './loopback-server.mjs';

/** Answers with the address and the headers that it received, as JSON. */
export class Application extends LoopbackServer {
  handle(request, response) { response.end(JSON.stringify({ url: request.url, headers: request.headers })); }
}

export const DOCUMENTATION = readFileSync(new URL('../../docs/guide/forward-auth.md', import.meta.url), 'utf8');

/** The first configuration in this language that begins with this text. */
export const documented = (language, beginning = '') => new RegExp(`\`\`\`${language}\\n(${beginning}[^]*?)\`\`\``).exec(DOCUMENTATION)[1];
