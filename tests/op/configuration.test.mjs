// Settings of the configuration file that no other interface covers, and `config check --online`.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { Claimgate, pair, replace } from './claimgate.mjs';
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

test('the ten lines of the README sign a user in, and the back channel signs the user out', async () => {
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'oidc');
  op.configure([client]);
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const lines = /```toml\n(\[server\][^]*?)```/.exec(readme)[1]
    .replace('https://sso.example.com', gate.url)
    .replace('https://idp.example.com/realms/acme', op.issuer)
    .replace('client_id = "claimgate"', 'client_id = "oidc"');
  assert.equal(lines.trim().split('\n').filter((line) => line).length, 10);
  writeFileSync(gate.config, lines.replace('[sign_in]', `listen = "127.0.0.1:${gate.port}"\n[sign_in]`));
  writeFileSync(join(gate.folder, 'client-secret'), `${provider.client_secret}\n`);
  await gate.start();
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'oidc', 'ada')).username, 'ada');
  await op.logOut('oidc', 'ada', gate.sessions()[0].sid);
  assert.equal(await agent.me(gate), undefined);
});

test('endpoints by hand, without discovery, and with a query of their own', async () => {
  const at = (path) => `${op.issuer}${path}?by=hand`;
  await serve({ provider: { discovery: false, authorization_endpoint: at('/auth'), token_endpoint: at('/token'), userinfo_endpoint: at('/me'), jwks_uri: at('/jwks'), end_session_endpoint: at('/session/end') } });
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).email, 'ada@example.com');
  assert.equal(op.requests['/.well-known/openid-configuration'] ?? 0, 0);
  assert.deepEqual(['/token', '/me', '/jwks'].map((path) => op.requests[path]), [1, 1, 1]);
  const out = await agent.request(`${gate.url}/logout`, { headers: { 'sec-fetch-site': 'none' } });
  assert.ok(out.location.startsWith(`${at('/session/end')}&id_token_hint=`), out.location);
});

test('one endpoint by hand takes the place of the discovered one', async () => {
  await serve({ provider: { userinfo_endpoint: `${op.issuer}/nowhere` } });
  const landed = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.match(landed.text, /userinfo\.status/);
  assert.equal(op.requests['/nowhere'], 1);
});

test('the client secret from a file, and from the environment', async () => {
  const { client_secret: secret, ...rest } = await serve();
  writeFileSync(join(gate.folder, 'client-secret'), `${secret}\n`);
  await gate.stop();
  await gate.write({ providers: [{ ...rest, client_secret_file: 'client-secret' }] }).start();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
  await gate.stop();
  process.env.CLAIMGATE_TEST_SECRET = secret;
  await gate.write({ providers: [{ ...rest, client_secret_env: 'CLAIMGATE_TEST_SECRET' }] }).start();
  assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
  delete process.env.CLAIMGATE_TEST_SECRET;
});

test('a public URL with a path, and an answer’s headers', async () => {
  await gate?.close();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${gate.url}/sso/callback/crm`];
  op.configure([client]);
  await gate.write({ providers: [provider], server: { public_url: `${gate.url}/sso` } });
  gate.url = `${gate.url}/sso`;
  await gate.start();
  const agent = new Agent();
  assert.equal((await agent.signIn(gate, 'crm', 'ada')).username, 'ada');
  const home = await agent.request(`${gate.url}/`);
  assert.match(home.text, /action="\/sso\/logout"/);
  const { origin } = new URL(gate.url);
  assert.equal(home.headers.get('content-security-policy'), `default-src 'none'; style-src 'self' ${origin}; img-src 'self' ${origin} data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`);
  assert.equal(home.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(home.headers.get('referrer-policy'), 'strict-origin');
  assert.equal(home.headers.get('cache-control'), 'no-store');
});

// finding: F5, U-k01
test('the warnings of the check are in the log, at the start and at each reload', async () => {
  await serve({ identity: '[[identity.team]]\ngroup = "sales"\nteam = "Sales"\n' });
  const warnings = () => gate.logged('config.warning').map((line) => JSON.parse(line)).filter(({ setting }) => setting === 'identity.team');
  assert.equal(warnings().length, 1);
  assert.equal(warnings()[0].level, 'WARN');
  assert.match(warnings()[0].place, /claimgate\.toml:\d+:\d+$/);
  // It forgets the log of before.
  await gate.reload();
  assert.equal(warnings().length, 1);
});

test('config check --online: what works, what does not, and what to register', async () => {
  const table = await serve({ start: false });
  const online = () => gate.commandBeside(['config', 'check', '--online', gate.config]);
  const good = await online();
  assert.equal(good.code, 0, good.out);
  assert.match(good.out, /redirect URI: http:\/\/127\.0\.0\.1:\d+\/callback\/crm/);
  assert.match(good.out, /back-channel logout URI: .*\/api\/v1\/backchannelLogout/);
  assert.match(good.out, /ok {7}the provider accepts the client's credentials/);
  gate.write({ providers: [{ ...table, client_secret: 'not the secret that the provider knows', scopes: ['profile', 'no_such_scope'] }] });
  const wrong = await online();
  assert.equal(wrong.code, 1, wrong.out);
  assert.match(wrong.out, /PROBLEM {2}the provider refuses the client/);
  assert.match(wrong.out, /note {5}the provider does not list the scope no_such_scope/);
  assert.ok(!wrong.out.includes('not the secret'));
  gate.write({ providers: [table] });
  op.down = true;
  const down = await online();
  op.down = false;
  assert.equal(down.code, 1, down.out);
  assert.match(down.out, /PROBLEM {2}http:\S+\/\.well-known\/openid-configuration: 127\.0\.0\.1 cannot be reached/);
  gate.write({ providers: [{ ...table, issuer: `${op.issuer}/` }] });
  const slash = await online();
  assert.equal(slash.code, 1);
  assert.match(slash.out, /must be equal to the letter/);
  assert.ok(slash.out.includes(`write \`issuer = "${op.issuer}"\``), slash.out);
});
