// A provider that answers everything itself, so that it can answer anything: `wrong` changes one thing.

import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import * as http from 'node:http';

const b64 = (value) => Buffer.from(value).toString('base64url');
export const json = (value) => b64(JSON.stringify(value));
export const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

function rsa(kid) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), ...(kid && { kid }), use: 'sig', alg: 'RS256' } };
}

export function sign(header, claims, key) {
  const input = `${json(header)}.${json(claims)}`;
  return `${input}.${createSign('RSA-SHA256').update(input).sign(key.privateKey).toString('base64url')}`;
}

export class BadOp {
  /** Listens on a free port of loopback. */
  static async start() {
    const op = new BadOp();
    op.key = rsa('one');
    op.other = rsa('two');
    op.server = http.createServer((request, response) => op.handle(request, response).catch(() => response.destroy()));
    await new Promise((done) => op.server.listen(0, '127.0.0.1', done));
    op.issuer = `http://127.0.0.1:${op.server.address().port}`;
    op.wrong = {};
    op.calls = {};
    return op;
  }

  async handle(request, response) {
    const url = new URL(request.url, this.issuer);
    const { wrong } = this;
    this.calls[url.pathname] = (this.calls[url.pathname] ?? 0) + 1;
    const send = (body, type = 'application/json') => response.setHeader('content-type', type).end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
    // Everything is at a second address, too.
    switch (url.pathname.replace(/^\/elsewhere/, '')) {
      case '/.well-known/openid-configuration': {
        if (wrong.discovery) return wrong.discovery(response, send);
        const at = (path) => `${this.issuer}${path}`;
        return send({ issuer: this.issuer, authorization_endpoint: at('/authorize'), token_endpoint: at('/token'), userinfo_endpoint: at('/me'), jwks_uri: at('/jwks'), end_session_endpoint: at('/end'), ...wrong.metadata });
      }
      case '/jwks':
        if (wrong.jwks) return wrong.jwks(response, send);
        return send({ keys: wrong.keys ? wrong.keys(this) : [this.key.jwk] });
      case '/authorize': {
        this.nonce = url.searchParams.get('nonce');
        const back = new URL(url.searchParams.get('redirect_uri'));
        back.searchParams.set('state', url.searchParams.get('state'));
        back.searchParams.set('code', this.code ?? 'c');
        return response.writeHead(303, { location: back.href }).end();
      }
      case '/token': {
        if (wrong.token) return wrong.token(response, send, request);
        return send({ token_type: 'Bearer', access_token: 'at', id_token: this.idToken() });
      }
      case '/me':
        this.bearer = request.headers.authorization;
        if (wrong.userinfo) return wrong.userinfo(response, send);
        return send({ sub: 's1', preferred_username: 'ada' });
      case '/end': {
        const back = new URL(url.searchParams.get('post_logout_redirect_uri'));
        const state = wrong.state === undefined ? url.searchParams.get('state') : wrong.state;
        if (state !== null) back.searchParams.set('state', state);
        return response.writeHead(303, { location: back.href }).end();
      }
      default:
        return response.writeHead(404).end();
    }
  }

  claims() {
    const now = Math.floor(Date.now() / 1000);
    return { iss: this.issuer, sub: 's1', aud: 'bad', iat: now, exp: now + 300, nonce: this.nonce, preferred_username: 'ada', ...this.wrong.claims };
  }

  idToken() {
    const { wrong } = this;
    if (wrong.idToken) return wrong.idToken(this);
    return sign({ alg: 'RS256', kid: 'one', ...wrong.header }, this.claims(), wrong.signer?.(this) ?? this.key);
  }

  logoutToken(claims = {}, header = {}, key = this.key) {
    const now = Math.floor(Date.now() / 1000);
    return sign({ alg: 'RS256', kid: 'one', typ: 'logout+jwt', ...header }, { iss: this.issuer, aud: 'bad', iat: now, exp: now + 120, jti: randomUUID(), sub: 's1', events: { [EVENT]: {} }, ...claims }, key);
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(done));
  }
}
