// A provider that answers everything by itself, so that it can answer anything: `overrides` replaces claims,
// header members, keys or whole answers. Without overrides it is a good provider.

import { randomUUID } from 'node:crypto';
import { LOGOUT_EVENT, rsaKey, sign } from './jose.mjs';
import { LoopbackServer } from './loopback-server.mjs';

export { LOGOUT_EVENT };

export class MisbehavingProvider extends LoopbackServer {
  clientName = 'bad';
  key = rsaKey('one');
  other = rsaKey('two');
  overrides = {};

  get issuer() { return this.url; }

  /** Sets the overrides and forgets the counts; every client is known. */
  configure(_clients, overrides = {}) {
    this.overrides = overrides;
    this.requests = {};
  }

  async handle(request, response, path) {
    const url = new URL(request.url, this.issuer);
    const { overrides } = this;
    const send = (body, type = 'application/json') => response.setHeader('content-type', type).end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
    // Each endpoint has a second address below /elsewhere, and one where Entra ID has its metadata for all tenants.
    switch (path.replace(/^\/(elsewhere|organizations\/v2\.0)/, '')) {
      case '/.well-known/openid-configuration': {
        if (overrides.discovery) return overrides.discovery(response, send);
        const at = (path) => `${this.issuer}${path}`;
        return send({ issuer: this.issuer, authorization_endpoint: at('/authorize'), token_endpoint: at('/token'), userinfo_endpoint: at('/me'), jwks_uri: at('/jwks'), end_session_endpoint: at('/end'), ...overrides.metadata });
      }
      case '/jwks':
        if (overrides.jwks) return overrides.jwks(response, send);
        return send({ keys: overrides.keys ? overrides.keys(this) : [this.key.jwk] });
      case '/authorize': {
        this.nonce = url.searchParams.get('nonce');
        const back = new URL(url.searchParams.get('redirect_uri'));
        back.searchParams.set('state', url.searchParams.get('state'));
        back.searchParams.set('code', this.code ?? 'c');
        return response.writeHead(303, { location: back.href }).end();
      }
      case '/token': {
        if (overrides.token) return overrides.token(response, send, request);
        return send({ token_type: 'Bearer', access_token: 'at', id_token: this.idToken() });
      }
      case '/me':
        this.bearer = request.headers.authorization;
        if (overrides.userinfo) return overrides.userinfo(response, send);
        return send({ sub: 's1', preferred_username: 'ada' });
      case '/end': {
        const back = new URL(url.searchParams.get('post_logout_redirect_uri'));
        const state = overrides.state === undefined ? url.searchParams.get('state') : overrides.state;
        if (state !== null) back.searchParams.set('state', state);
        return response.writeHead(303, { location: back.href }).end();
      }
      default:
        return response.writeHead(404).end();
    }
  }

  idTokenClaims() {
    const now = Math.floor(Date.now() / 1000);
    return { iss: this.issuer, sub: 's1', aud: 'bad', iat: now, exp: now + 300, nonce: this.nonce, preferred_username: 'ada', ...this.overrides.claims };
  }

  idToken() {
    const { overrides } = this;
    if (overrides.idToken) return overrides.idToken(this);
    return sign({ alg: 'RS256', kid: 'one', ...overrides.header }, this.idTokenClaims(), overrides.signer?.(this) ?? this.key);
  }

  logoutToken(claims = {}, header = {}, key = this.key) {
    const now = Math.floor(Date.now() / 1000);
    return sign({ alg: 'RS256', kid: 'one', typ: 'logout+jwt', ...header }, { iss: this.issuer, aud: 'bad', iat: now, exp: now + 120, jti: randomUUID(), sub: 's1', events: { [LOGOUT_EVENT]: {} }, ...claims }, key);
  }
}
