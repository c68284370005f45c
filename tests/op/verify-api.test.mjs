// Token verification for services: POST /api/v1/verify.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate.close(); await op.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

test('verification for services in any language', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const sent = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  const token = new URL(sent.location).searchParams.get('id_token_hint');
  const ask = async (form, headers = {}) => { const answer = await fetch(`${gate.url}/api/v1/verify`, { method: 'POST', body: new URLSearchParams(form), headers }); return { status: answer.status, body: await answer.json() }; };
  const good = await ask({ token });
  assert.equal(good.body.active, true);
  assert.equal(good.body.sub, 'ada');
  assert.equal(good.body.username, 'ada');
  assert.deepEqual(good.body.teams, ['Administrators', 'sales']);
  for (const bad of [`${token.slice(0, -4)}AAAA`, 'x', '', token.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url'))]) {
    assert.deepEqual(await ask({ token: bad }), { status: 200, body: { active: false } });
  }
  assert.equal((await ask({})).status, 400);
  await serve({ server: { verify_secret: 'for services only, please, and nobody else' } });
  assert.equal((await ask({ token })).status, 401);
  assert.equal((await ask({ token }, { authorization: 'Bearer for services only, please, and nobody elsf' })).status, 401);
  assert.equal((await ask({ token }, { authorization: 'Bearer for services only, please, and nobody else' })).status, 200);
});
