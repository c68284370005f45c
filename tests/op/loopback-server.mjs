// An HTTP server on loopback that counts its requests: the base of both providers, and the application
// behind a reverse proxy.

import * as http from 'node:http';
import * as https from 'node:https';
import { within } from './patience.mjs';

/** Longest time until the connections of a server that stops are closed, in milliseconds. */
const PATIENCE = 30_000;

export class LoopbackServer {
  /** Listens on a free port; with `tls`, a key and a certificate for `localhost`, by https. */
  static async start(tls) {
    const server = new this();
    const handle = (request, response) => server.#answer(request, response);
    server.server = tls ? https.createServer(tls, handle) : http.createServer(handle);
    await new Promise((done, fail) => server.server.once('error', fail).listen(0, '127.0.0.1', done));
    server.port = server.server.address().port;
    server.url = tls ? `https://localhost:${server.port}` : `http://127.0.0.1:${server.port}`;
    return server;
  }

  /** The number of requests by path. */
  requests = {};

  /** Holds the answers of a path back until the function that it returns is called. */
  hold(path) {
    let release;
    this.held = { path, released: new Promise((done) => { release = done; }) };
    return release;
  }

  async #answer(request, response) {
    const path = new URL(request.url, this.url).pathname;
    this.requests[path] = (this.requests[path] ?? 0) + 1;
    if (this.held?.path === path) await this.held.released;
    try {
      await this.handle(request, response, path);
    } catch {
      response.destroy();
    }
  }

  async stop() {
    this.server.closeAllConnections();
    await within(PATIENCE, 'the server closes', new Promise((done) => this.server.close(done)));
  }
}
