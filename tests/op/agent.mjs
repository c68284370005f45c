// A user agent without a display: cookies by host and port, redirects followed one by one, the provider's
// pages answered.

import * as http from 'node:http';
import { connect } from 'node:net';
import { SERVED, compareAnswer } from './openapi.mjs';

/** What a browser says of a request that a page of the same site made. */
export const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };
export const PASSWORD = 'correct horse battery staple';

/** Longest time without a byte of an answer, in milliseconds. */
const PATIENCE = 120_000;

/** Sends one request; fetch() would say of it that a script made it (`sec-fetch-mode: cors`). */
function exchange(url, { method, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => { text += chunk; });
      response.on('error', reject);
      response.on('end', () => {
        const received = new Headers();
        for (let index = 0; index < response.rawHeaders.length; index += 2) received.append(response.rawHeaders[index], response.rawHeaders[index + 1]);
        resolve({ status: response.statusCode, headers: received, text });
      });
    });
    request.setTimeout(PATIENCE, () => request.destroy(new Error(`no answer from ${url} in ${PATIENCE} ms`)));
    request.on('error', reject);
    request.end(body);
  });
}

export class Agent {
  constructor() { this.jars = new Map(); }

  #jar(url) {
    const { host } = new URL(url);
    if (!this.jars.has(host)) this.jars.set(host, new Map());
    return this.jars.get(host);
  }

  cookies(url) { return this.#jar(url); }

  async request(url, { method = 'GET', form, json, headers = {} } = {}) {
    const jar = this.#jar(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const body = form ? new URLSearchParams(form).toString() : json && JSON.stringify(json);
    const type = body === undefined ? {} : { 'content-type': json ? 'application/json' : 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
    const response = await exchange(url, { method, body, headers: { accept: '*/*', ...(cookie && { cookie }), ...type, ...headers } });
    if (SERVED.has(new URL(url).origin)) compareAnswer(method, url, response);
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const deleted = attributes.some((attribute) => /^max-age=0$/i.test(attribute) || /^expires=.*1970/i.test(attribute));
      if (deleted) jar.delete(pair.slice(0, at)); else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return { status: response.status, url, headers: response.headers, text: response.text, location: response.headers.has('location') ? new URL(response.headers.get('location'), url).href : undefined };
  }

  /** Follows redirects, and answers the provider's pages: `as` signs in, `deny` denies consent. */
  async walk(url, { as, deny, stopAt } = {}) {
    let response = await this.request(url);
    for (let steps = 0; steps < 25; steps += 1) {
      if (response.location) {
        if (stopAt && response.location.startsWith(stopAt)) return response;
        response = await this.request(response.location);
      } else if (response.text.includes('name="login"') || response.text.includes('name="consent"')) {
        const form = deny ? { deny: 'yes' } : response.text.includes('name="login"') ? { login: as } : { consent: 'yes' };
        response = await this.request(response.url, { method: 'POST', form });
      } else {
        return response;
      }
    }
    throw new Error(`too many redirects, at ${response.url}`);
  }

  /** Signs in by the provider and returns the user; fails where the sign-in does. */
  async signIn(gate, provider, as) {
    const landed = await this.walk(`${gate.url}/login/${provider}`, { as });
    if (landed.status !== 200) throw new Error(`sign-in ended with ${landed.status} at ${landed.url}: ${landed.text}`);
    return this.me(gate);
  }

  /** Signs in by password; `form` and `headers` are further fields and headers. */
  signInByPassword(gate, username, password = PASSWORD, { form = {}, headers = SAME_ORIGIN } = {}) {
    return this.request(`${gate.url}/login/password`, { method: 'POST', form: { username, password, ...form }, headers });
  }

  /** Signs in by password, and opens a session of the administration. */
  async administer(gate, username, password = PASSWORD) {
    await this.signInByPassword(gate, username, password);
    return this.openAdministration(gate, password);
  }

  /** Opens a session of the administration beside the sign-in session. */
  openAdministration(gate, password = PASSWORD, headers = SAME_ORIGIN) {
    return this.request(`${gate.url}/api/v1/admin/session`, { method: 'POST', json: { password }, headers });
  }

  /** The signed-in user, or undefined. */
  async me(gate) {
    const response = await this.request(`${gate.url}/api/v1/me`);
    return response.status === 200 ? JSON.parse(response.text) : undefined;
  }
}

/** Writes bytes to the server as they are, then nothing, and returns all that it answers within 20 seconds. */
export function exchangeBytes(gate, text) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(gate.port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.on('data', (chunk) => { answer += chunk; });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    setTimeout(() => socket.destroy(), 20_000).unref();
  });
}
