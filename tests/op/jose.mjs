// JOSE by node:crypto alone: keys, signed tokens, and tokens whose signature is made up.

import { createPrivateKey, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';

/** The event of a logout token. */
export const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** The base64url encoding of a value's JSON. */
export const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * A new pair of keys, each as a key object and as a JWK. They are generated in encoded form: Node 20 sometimes waits for itself
 * for ever where a key object is exported that was generated as one, because the collection of garbage in the midst of the
 * export waits for the lock that the export holds.
 */
export function newKeys(kind, options) {
  const encoding = { format: 'jwk' };
  const pair = generateKeyPairSync(kind, { ...options, publicKeyEncoding: encoding, privateKeyEncoding: encoding });
  const [privateJwk, publicJwk] = [pair.privateKey, pair.publicKey];
  const [privateKey, publicKey] = [createPrivateKey({ key: privateJwk, ...encoding }), createPublicKey({ key: publicJwk, ...encoding })];
  return { privateKey, publicKey, privateJwk, publicJwk };
}

/** A new RSA key of 2048 bits with its public JWK. */
export function rsaKey(kid) {
  const { privateKey, publicKey, publicJwk } = newKeys('rsa', { modulusLength: 2048 });
  return { kid, privateKey, publicKey, jwk: { ...publicJwk, kid, use: 'sig', alg: 'RS256' } };
}

/** A token signed by RSASSA-PKCS1-v1_5 with SHA-256. */
export function sign(header, claims, key) {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createSign('RSA-SHA256').update(input).sign(key.privateKey).toString('base64url')}`;
}

/** A token of the length of one by RS256 whose signature is wrong. */
export const forge = (header, claims) => `${encode(header)}.${encode(claims)}.${'A'.repeat(342)}`;

/** The claims of a token, unverified. */
export const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
