// RS256 by a device in the place of the built-in one (server/examples/claimgate_device): a real provider signs, the
// device can only be awaited, and what arrives while it is down is answered 503 and nothing is lost. The same device signs
// the client's assertions.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Agent } from './agent.mjs';
import { clock } from './clock.mjs';
import { newKeys } from './jose.mjs';
import { OpenIdProvider } from './provider.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const builtin = resolve(process.env.CLAIMGATE ?? join(here, '../../target/debug/claimgate'));
// `claimgate.mjs` runs the program that this variable names when it is imported.
process.env.CLAIMGATE = resolve(process.env.CLAIMGATE_DEVICE ?? join(dirname(builtin), 'examples/claimgate_device'));
const { nextSecond, replace, until } = await import('./claimgate.mjs');

let op;
let gate;
let down;
let signerDown;
let time;
before(async () => {
  time = clock();
  const { privateKey, publicKey } = newKeys('ec', { namedCurve: 'P-256' });
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'device', alg: 'ES256', use: 'sig' }] };
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op, {
    client: { token_endpoint_auth_method: 'private_key_jwt', jwks, grant_types: ['authorization_code', 'refresh_token'] },
    provider: { private_key_signer: 'device', refresh_interval: '1m', scopes: ['profile', 'email', 'offline_access'], prompt: 'consent' },
    start: false,
  }));
  down = join(gate.folder, 'down');
  signerDown = join(gate.folder, 'signer-down');
  const key = join(gate.folder, 'device.pem');
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await gate.start({ env: { ...time.env, CLAIMGATE_DEVICE_DOWN: down, CLAIMGATE_SIGNER_DOWN: signerDown, CLAIMGATE_SIGNER_KEY: key } });
});
after(async () => { await gate?.close(); await op?.stop(); });

const takeDown = () => writeFileSync(down, '');
const bringUp = () => rmSync(down, { force: true });

test('people sign in and out by the device', async () => {
  const browser = new Agent();
  assert.equal((await browser.signIn(gate, 'crm', 'ada')).username, 'ada');
  await nextSecond();
  assert.equal((await gate.logOut(await op.logoutToken('crm', 'ada'))).status, 200);
  assert.equal(await browser.me(gate), undefined);
  assert.equal((await gate.logOut(`${(await op.logoutToken('crm', 'ada')).slice(0, -8)}AAAAAAAA`)).status, 400);
});

test('a logout that the device cannot judge is answered 503, ends nothing, and succeeds when it is sent again', async () => {
  await nextSecond();
  const browser = new Agent();
  await browser.signIn(gate, 'crm', 'ada');
  await nextSecond();
  const token = await op.logoutToken('crm', 'ada');
  takeDown();
  const answer = await gate.logOut(token);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('retry-after'), '5');
  assert.equal((await answer.json()).error, 'signature.unavailable');
  assert.ok(gate.logged('signature.unavailable').some((line) => line.includes('the device does not answer')), gate.log);
  assert.ok(await browser.me(gate));
  bringUp();
  assert.equal((await gate.logOut(token)).status, 200);
  assert.equal(await browser.me(gate), undefined);
});

test('a presented token and a sign-in that the device cannot judge are answered 503', async () => {
  let token;
  op.tap = (path, _request, _sent, body) => { if (path.startsWith('/token')) token = JSON.parse(body).id_token ?? token; };
  await nextSecond();
  const browser = new Agent();
  await browser.signIn(gate, 'crm', 'grace');
  op.tap = undefined;
  takeDown();
  const answer = await gate.post('/api/v1/verify', { token });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('retry-after'), '5');
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'grace' });
  assert.equal(landed.status, 503);
  assert.match(landed.text, /Signatures cannot be verified now/);
  bringUp();
  const document = await gate.verify(token);
  assert.deepEqual([document.active, document.username], [true, 'grace']);
});

test('a sign-in whose assertion the device cannot sign now is answered 503, and succeeds when it is tried again', async () => {
  writeFileSync(signerDown, '');
  gate.forgetLog();
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.equal(landed.status, 503);
  assert.match(landed.text, /The sign-in cannot be completed now/);
  assert.ok(gate.logged('token.assertion').some((line) => line.includes('the device does not answer')), gate.log);
  rmSync(signerDown);
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
});

// The last one: it moves the server's clock.
test('a refresh whose signer is down is put off: the session goes on, and is refreshed once the signer answers', async () => {
  const agent = new Agent();
  assert.ok(await agent.signIn(gate, 'crm', 'grace'));
  const outcomes = async (outcome) => {
    const text = await (await fetch(`${gate.url}/metrics`)).text();
    return Number(new RegExp(`claimgate_refreshes_total\\{[^}]*outcome="${outcome}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0);
  };
  writeFileSync(signerDown, '');
  time.set('+61');
  await until('a refresh is put off', async () => await outcomes('unreachable') > 0);
  assert.equal(await outcomes('refreshed'), 0);
  assert.equal((await agent.me(gate)).username, 'grace');
  rmSync(signerDown);
  await sleep(2500);
  time.set('+122');
  await until('the session is refreshed', async () => await outcomes('refreshed') > 0);
  assert.equal((await agent.me(gate)).username, 'grace');
});
