// Access tokens of the provider for a resource (RFC 8707): JWTs of RFC 9068.

import assert from 'node:assert/strict';
import { Agent } from './agent.mjs';

async function ask(op, { client_id, client_secret }, parameters) {
  const response = await fetch(`${op.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client_id}:${encodeURIComponent(client_secret)}`)}` },
    body: new URLSearchParams(parameters),
  });
  const { access_token: token, ...rest } = await response.json();
  assert.equal(token?.split('.').length, 3, JSON.stringify(rest));
  return token;
}

/** Signs a person in at the provider and returns the access token of the client. */
export async function personsToken(op, client, as, resource, scope = 'openid') {
  const [redirect_uri] = client.redirect_uris;
  const parameters = new URLSearchParams({ client_id: client.client_id, response_type: 'code', scope, resource, redirect_uri, code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' });
  const landed = await new Agent().walk(`${op.issuer}/auth?${parameters}`, { as, stopAt: redirect_uri });
  const code = new URL(landed.location).searchParams.get('code');
  assert.ok(code, landed.location);
  return ask(op, client, { grant_type: 'authorization_code', code, redirect_uri, code_verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', resource });
}

/** Returns an access token of a client on its own behalf. */
export const clientsToken = (op, client, resource) => ask(op, client, { grant_type: 'client_credentials', resource });
