// An OpenID Provider that signs with ES256K (RFC 8812), as a process of its own: one person, one client,
// authorization code flow with PKCE, back-channel logout.
//
//   node es256k-op.mjs CLIENT_ID CLIENT_SECRET REDIRECT_URI LOGOUT_URI
//
// Prints its issuer. `POST /log-out?sid=…` sends a logout token to LOGOUT_URI and returns the answer;
// `GET /id-token` returns an ID token, `GET /sids` the newest session; `?tamper=1` flips a bit of a signature.

import { createHash, randomUUID, sign } from 'node:crypto';
import * as http from 'node:http';
import { LOGOUT_EVENT, encode, newKeys } from './jose.mjs';

const [, , clientId, clientSecret, redirectUri, logoutUri] = process.argv;
const { privateKey, publicJwk } = newKeys('ec', { namedCurve: 'secp256k1' });
const jwk = { ...publicJwk, kid: 'k1', use: 'sig', alg: 'ES256K' };
const codes = new Map();
let newest;

function token(typ, claims, tamper) {
  const now = Math.floor(Date.now() / 1000);
  const input = `${encode({ alg: 'ES256K', kid: 'k1', typ })}.${encode({ iss: issuer, aud: clientId, iat: now, exp: now + 300, ...claims })}`;
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (tamper) signature[40] ^= 1;
  return `${input}.${signature.toString('base64url')}`;
}

const idToken = (claims, tamper) => token('JWT', { sub: 's1', preferred_username: 'ada', groups: ['crm-admin'], ...claims }, tamper);

function logoutToken(sid, tamper) {
  const events = { [LOGOUT_EVENT]: {} };
  return token('logout+jwt', { sub: 's1', sid, jti: randomUUID(), events }, tamper);
}

function issueTokens(form, authorization) {
  const given = Buffer.from((authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
  // RFC 6749 §2.3.1: both parts are form-urlencoded.
  const [id, secret] = given.split(':').map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
  if (id !== clientId || secret !== clientSecret) return [401, { error: 'invalid_client' }];
  const code = codes.get(form.get('code'));
  codes.delete(form.get('code'));
  const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
  if (!code || code.challenge !== challenge || form.get('redirect_uri') !== redirectUri) return [400, { error: 'invalid_grant' }];
  return [200, { token_type: 'Bearer', access_token: 'unused', id_token: idToken({ nonce: code.nonce, sid: code.sid }, code.tamper) }];
}

let tamperNext = false;
async function answer(request, url) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const tamper = url.searchParams.has('tamper');
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /.well-known/openid-configuration':
      return [200, {
        issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`,
        id_token_signing_alg_values_supported: ['ES256K'], token_endpoint_auth_methods_supported: ['client_secret_basic'],
        code_challenge_methods_supported: ['S256'], backchannel_logout_supported: true, backchannel_logout_session_supported: true,
      }];
    case 'GET /jwks':
      return [200, { keys: [jwk] }];
    case 'GET /authorize': {
      if (url.searchParams.get('client_id') !== clientId || url.searchParams.get('redirect_uri') !== redirectUri) return [400, { error: 'unregistered' }];
      const code = randomUUID();
      newest = randomUUID();
      codes.set(code, { challenge: url.searchParams.get('code_challenge'), nonce: url.searchParams.get('nonce'), sid: newest, tamper: tamperNext });
      const location = new URL(redirectUri);
      location.searchParams.set('code', code);
      location.searchParams.set('state', url.searchParams.get('state'));
      return [303, {}, { location: location.href }];
    }
    case 'POST /token':
      return issueTokens(new URLSearchParams(body), request.headers.authorization);
    case 'POST /log-out': {
      const form = new URLSearchParams({ logout_token: logoutToken(url.searchParams.get('sid') ?? undefined, tamper) });
      const sent = await fetch(logoutUri, { method: 'POST', body: form });
      return [200, { status: sent.status, body: await sent.text() }];
    }
    case 'GET /sids':
      return [200, { newest }];
    case 'GET /id-token':
      return [200, { token: idToken({}, tamper) }];
    case 'POST /tamper-next':
      tamperNext = url.searchParams.get('on') === 'true';
      return [200, {}];
    default:
      return [404, {}];
  }
}

const server = http.createServer(async (request, response) => {
  const [status, body, headers] = await answer(request, new URL(request.url, issuer));
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);
