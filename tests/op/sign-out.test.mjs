// Sign-out: RP-initiated logout and the provider's own sign-out page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

// conformance: oidcc-client-test-rp-init-logout, oidcc-client-test-rp-backchannel-rpinitlogout
test('RP-initiated: ends here, at the provider, and comes back', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const sent = await agent.request(`${gate.url}/logout`, { method: 'POST', headers: SAME_ORIGIN });
  assert.equal(sent.status, 200);
  const address = new URL(/href="([^"]+)"/g.exec(sent.text.slice(sent.text.indexOf('<main>')))[1].replaceAll('&amp;', '&'));
  assert.equal(address.origin, op.issuer);
  assert.equal(address.searchParams.get('client_id'), 'crm');
  assert.ok(address.searchParams.get('state'));
  assert.equal(await agent.me(gate), undefined);
  const asked = await agent.request(address.href);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(asked.text)[1];
  const action = /action="([^"]+)"/.exec(asked.text)[1];
  const back = await agent.request(action, { method: 'POST', form: { xsrf, logout: 'yes' } });
  assert.ok(back.location.startsWith(`${gate.url}/logged-out?state=`), back.location);
  assert.match((await agent.request(back.location)).text, /You are signed out\./);
  // The provider forgot as well: it asks who it is again.
  const again = await agent.request((await agent.request(`${gate.url}/login/crm`)).location);
  assert.match(again.location, /interaction/);
});

// attack: console.token-for-a-script
test('a script that signs a user out is not given the ID token', async () => {
  await serve();
  for (const mode of ['cors', 'same-origin', 'no-cors']) {
    const agent = new Agent();
    await agent.signIn(gate, 'crm', 'ada');
    const headers = { ...SAME_ORIGIN, 'sec-fetch-mode': mode, 'sec-fetch-dest': 'empty' };
    const sent = await agent.request(`${gate.url}/logout`, { method: 'POST', headers });
    assert.deepEqual([sent.status, sent.location], [303, `${gate.url}/logged-out`]);
    assert.ok(!sent.text.includes('eyJ'), sent.text);
    assert.equal(await agent.me(gate), undefined);
  }
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const page = await agent.request(`${gate.url}/logout`, { method: 'POST', headers: { ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } });
  assert.match(page.text, /id_token_hint=eyJ/);
});

test('logout_url takes the place of the provider’s own', async () => {
  await serve({ provider: { logout_url: 'https://idp.example.com/bye?client={client_id}&to={site_url}' } });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const sent = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  assert.equal(sent.location, `https://idp.example.com/bye?client=crm&to=${encodeURIComponent(gate.url)}`);
});

// attack: console.cross-site
test('another site cannot sign a user out', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example.com' }, { 'sec-fetch-site': 'same-site' }, { origin: 'null' }]) {
    const answer = await agent.request(`${gate.url}/logout`, { method: 'POST', headers });
    assert.equal(answer.status, 403);
    assert.match(answer.text, /request\.cross_site/);
  }
  const asked = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'cross-site' } });
  assert.match(asked.text, /Sign out\?/);
  assert.equal((await agent.me(gate)).username, 'ada');
});
