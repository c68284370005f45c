// A real OpenID Provider on loopback: the npm package oidc-provider, with people, groups and clients of
// every kind, pages of its own, outages and key rotation.

import { randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';
import { newKeys } from './jose.mjs';
import { LoopbackServer } from './loopback-server.mjs';

export const PEOPLE = {
  ada: { groups: ['crm-admin', '/crm/sales'], email: 'ada@example.com', name: 'Ada Lovelace', given_name: 'Ada', family_name: 'Lovelace', phone_number: '+44 1' },
  grace: { groups: ['/crm/support'], email: 'grace@example.com', name: 'Grace Hopper', given_name: 'Grace', family_name: 'Hopper' },
  linus: { groups: [], email: 'linus@example.com', name: 'Linus' },
};

export const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
export const SYMMETRIC = ['HS256', 'HS384', 'HS512'];

const jwk = (kind, options) => ({ ...newKeys(kind, options).privateJwk, kid: randomUUID(), use: 'sig' });

/** One key of each family. */
export function freshKeys() {
  return [
    jwk('rsa', { modulusLength: 2048 }),
    jwk('ec', { namedCurve: 'P-256' }),
    jwk('ec', { namedCurve: 'P-384' }),
    jwk('ec', { namedCurve: 'P-521' }),
    jwk('ed25519'),
  ];
}

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}`;

export class OpenIdProvider extends LoopbackServer {
  clientName = 'crm';
  keys = freshKeys();

  get issuer() { return this.url; }

  /** Takes these clients, in oidc-provider's terms, in place of all before; sessions, codes and counts go. */
  configure(clients) {
    this.clients = clients;
    this.storage = new Map();
    this.requests = {};
    this.#make();
  }

  /** Makes all sign-ins at the provider older, by seconds. */
  age(seconds) {
    for (const [key, value] of this.storage) if (key.startsWith('Session:') && value.loginTs) value.loginTs -= seconds;
  }

  /** Revokes all grants, as an administrator of the provider does who disables a person. */
  revokeGrants() {
    for (const key of [...this.storage.keys()]) if (/^(Grant|RefreshToken|Session):/.test(key)) this.storage.delete(key);
  }

  /** Replaces all keys; sessions stay. */
  rotateKeys() {
    this.keys = freshKeys();
    this.#make();
  }

  #make() {
    const storage = this.storage;
    this.provider = new Provider(this.issuer, {
      adapter: adapterOn(storage),
      clients: this.clients,
      jwks: { keys: this.keys },
      cookies: { keys: ['a key for tests'] },
      // Loopback addresses are refused by default.
      fetch: (url, options) => { delete options.dispatcher; return fetch(url, options); },
      subjectTypes: ['public', 'pairwise'],
      pairwiseIdentifier: (_ctx, accountId, client) => `pairwise-${client.clientId}-${accountId}`,
      claims: {
        openid: ['sub'],
        profile: ['name', 'given_name', 'family_name', 'preferred_username', 'groups', 'hasgroups', 'hd'],
        email: ['email', 'email_verified'],
        phone: ['phone_number'],
      },
      scopes: ['openid', 'profile', 'email', 'phone', 'offline_access'],
      // Each refresh replaces the token, and one that is used twice ends the grant.
      rotateRefreshToken: true,
      acrValues: ['mfa'],
      conformIdTokenClaims: false,
      clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'],
      enabledJWA: {
        idTokenSigningAlgValues: [...ASYMMETRIC, ...SYMMETRIC],
        clientAuthSigningAlgValues: ['HS256', 'RS256', 'ES256', 'EdDSA'],
        userinfoSigningAlgValues: ['RS256', 'ES256'],
      },
      extraTokenClaims: (_ctx, token) => this.tokenClaims?.(token),
      features: {
        // A client that asks for a `resource` gets JWTs as access tokens (RFC 8707, RFC 9068).
        resourceIndicators: {
          enabled: true,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, audience) => ({ scope: 'orders:read', audience, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } } }),
        },
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: true },
        clientCredentials: { enabled: true },
        claimsParameter: { enabled: true },
        jwtUserinfo: { enabled: true },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: (ctx, form) => {
            ctx.body = page('Sign out at the provider?', `${form}<button autofocus type="submit" form="op.logoutForm" value="yes" name="logout">Yes</button>`);
          },
        },
      },
      interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (_ctx, id) => PEOPLE[id] && ({
        accountId: id,
        claims: () => ({ sub: id, preferred_username: id, email_verified: true, ...PEOPLE[id], ...this.claims?.[id] }),
      }),
      renderError: (ctx, out) => { ctx.body = page('Error', `<pre>${JSON.stringify(out)}</pre>`); },
    });
    this.provider.on('server_error', (_ctx, error) => { this.lastError = error; });
    this.callback = this.provider.callback();
  }

  async handle(request, response, path) {
    if (this.down) { request.socket.destroy(); return; }
    if (this.signedOutPage && path === '/signed-out') { response.setHeader('content-type', 'text/html'); response.end(this.signedOutPage); return; }
    if (this.tap) listen(request, response, (sent, answer) => this.tap(path, request, sent, answer));
    try {
      if (path.startsWith('/interaction/')) await this.#interact(request, response);
      else await this.callback(request, response);
    } catch (error) {
      this.lastError = error;
      response.writeHead(500).end(String(error));
    }
  }

  /** Answers the pages of sign-in, with a button for each person and one to deny, and of consent. */
  async #interact(request, response) {
    const details = await this.provider.interactionDetails(request, response);
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      const people = Object.keys(PEOPLE).map((id) => `<button name="login" value="${id}">${id}</button>`).join('');
      const buttons = details.prompt.name === 'login' ? people : '<button name="consent" value="yes">Allow</button>';
      response.end(page(details.prompt.name, `<form method="post">${buttons}<button name="deny" value="yes">Deny</button></form>`));
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const form = new URLSearchParams(body);
    let result;
    if (form.has('deny')) {
      result = { error: 'access_denied', error_description: 'The person <b>said</b> no' };
    } else if (details.prompt.name === 'login') {
      result = { login: { accountId: form.get('login'), acr: details.params.acr_values?.split(' ')[0] } };
    } else {
      const grant = details.grantId
        ? await this.provider.Grant.find(details.grantId)
        : new this.provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
      const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = details.prompt.details;
      if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
      if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
      for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
      result = { consent: { grantId: await grant.save() } };
    }
    await this.provider.interactionFinished(request, response, result, { mergeWithLastSubmission: !form.has('deny') });
  }

  /** Sends a back-channel logout to the client; with `sid` where the client asks for one. */
  async logOut(clientId, sub, sid) {
    const client = await this.provider.Client.find(clientId);
    return client.backchannelLogout(sub, sid);
  }

  /** Makes a logout token and does not send it. */
  async logoutToken(clientId, sub, sid) {
    const client = await this.provider.Client.find(clientId);
    const token = new this.provider.IdToken({ sub }, { client, ctx: undefined });
    token.mask = { sub: null };
    token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} });
    token.set('jti', randomUUID());
    if (sid) token.set('sid', sid);
    return token.issue({ use: 'logout' });
  }
}

/** Passes the bodies of a request and its answer to `heard`, and changes neither. */
function listen(request, response, heard) {
  const [sent, answered] = [[], []];
  const { push } = request;
  request.push = (chunk, encoding) => { if (chunk) sent.push(chunk); return push.call(request, chunk, encoding); };
  for (const name of ['write', 'end']) {
    const own = response[name];
    response[name] = (chunk, ...rest) => { if (chunk && typeof chunk !== 'function') answered.push(Buffer.from(chunk)); return own.call(response, chunk, ...rest); };
  }
  response.on('finish', () => heard(Buffer.concat(sent).toString(), Buffer.concat(answered).toString()));
}

/** A storage adapter for oidc-provider that survives a change of keys. */
function adapterOn(storage) {
  return class {
    constructor(model) { this.model = model; }
    #key(id) { return `${this.model}:${id}`; }
    async upsert(id, payload) { storage.set(this.#key(id), payload); }
    async find(id) { return storage.get(this.#key(id)); }
    async findByUid(uid) {
      for (const [key, value] of storage) if (key.startsWith(`${this.model}:`) && value.uid === uid) return value;
      return undefined;
    }
    async findByUserCode() { return undefined; }
    async consume(id) { const value = storage.get(this.#key(id)); if (value) value.consumed = Math.floor(Date.now() / 1000); }
    async destroy(id) { storage.delete(this.#key(id)); }
    async revokeByGrantId(grantId) {
      for (const [key, value] of storage) if (value.grantId === grantId) storage.delete(key);
    }
  };
}
