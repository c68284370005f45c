// JOSE by node:crypto alone: keys, signed tokens, and tokens whose signature is made up.

import { createSign, generateKeyPairSync } from 'node:crypto';

/** The base64url encoding of a value's JSON. */
export const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A new RSA key of 2048 bits with its public JWK. */
export function rsaKey(kid) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' } };
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
