// The providers of the console: what to register, the state of the keys, and the test of a provider.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { IDENTITY, pair, replace } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

const MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

let op;
let other;
let gate;
let root;
const page = (path, options = {}) => root.request(`${gate.url}${path}`, { ...options, headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate', ...options.headers } });
const run = (id, headers) => page(`/admin/providers/${id}/test`, { method: 'POST', form: {}, headers });

before(async () => {
  op = await OpenIdProvider.start();
  other = await OpenIdProvider.start();
  const started = await replace(undefined, op, { start: false });
  gate = started.gate;
  const { client, provider } = pair(other, gate, 'wrong');
  other.configure([client]);
  const wrong = { ...provider, display_name: `Wrong ${MARKUP}`, client_secret: 'another secret that is long enough for HS512: 0123456789abcdef0123456789', scopes: ['openid', MARKUP.replaceAll(/[ "]/g, '')] };
  const absent = { ...pair(op, gate, 'absent').provider, issuer: 'http://127.0.0.1:9' };
  gate.write({ providers: [started.provider, wrong, absent] });
  await gate.start();
  gate.addUser('root', 'super-admin');
  root = new Agent();
  await root.administer(gate, 'root');
});
after(async () => { await op?.stop(); await other?.stop(); await gate?.close(); });

test('the page has what to register, and of secrets only whether they are set', async () => {
  await gate.keysFetched();
  const { text } = await page('/admin/providers');
  for (const part of [`${gate.url}/callback/crm`, `${gate.url}/logged-out`, `${gate.url}/api/v1/backchannelLogout`, op.issuer, `data-copy="${gate.url}/callback/crm"`, 'Last refresh', 'claimgate.toml:']) assert.ok(text.includes(part), `${part} in ${text}`);
  assert.ok(!text.includes('a secret of') && !text.includes('another secret'), text);
  assert.match(text, /<dt>Secret<\/dt><dd>set<\/dd>/);
});

test('a test says in words what would fail', async () => {
  const good = (await run('crm')).text;
  assert.match(good, /id="result">Sign-in and logout can work\.</);
  for (const step of ['Discovery document, at', 'usable key', 'The provider signs with RS256', 'accepts the client']) assert.ok(good.includes(step), `${step} in ${good}`);
  const wrong = (await run('wrong')).text;
  assert.match(wrong, /One problem would make sign-in or logout fail/);
  assert.match(wrong, /The provider refuses the client.*check client_id, the secret and token_endpoint_auth_method/);
  assert.match(wrong, /does not list the scope/);
  assert.match((await run('absent')).text, /One problem would make/);
  assert.equal((await run('none-such')).status, 404);
});

// attack: administration.provider-test
test('a test is begun by a page of the console alone, one at a time, and not often', async () => {
  assert.equal((await run('crm', { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await new Agent().request(`${gate.url}/admin/providers/crm/test`, { method: 'POST', form: {}, headers: { accept: 'text/html', ...SAME_ORIGIN } })).status, 401);
  assert.equal((await page('/admin/providers/crm/test')).status, 405);
  const texts = (await Promise.all(Array.from({ length: 9 }, () => run('crm')))).map(({ text }) => text);
  assert.ok(texts.some((text) => text.includes('Another test takes place')));
});

// attack: console.script-in-providers
test('markup in names, scopes and answers of providers is text', async () => {
  const texts = [(await page('/admin/providers')).text, (await run('wrong')).text, (await run(encodeURIComponent(MARKUP))).text];
  for (const text of texts) assert.ok(!text.includes('<script>alert') && !text.includes('<img'), text);
  assert.ok(texts[0].includes('&lt;script&gt;'));
});

test('the overview names team rules that match no group, and a key set that shrank', async () => {
  const bad = await MisbehavingProvider.start();
  const settings = { overrides: { keys: ({ key, other: second }) => [key.jwk, second.jwk], claims: { groups: ['crm-admin'] } } };
  const { gate: served } = await replace(undefined, bad, { ...settings, identity: `${IDENTITY}[[identity.team]]\ngroup = "never-there"\nteam = "Never"\n` });
  try {
    served.addUser('root', 'super-admin');
    const administrator = new Agent();
    await administrator.administer(served, 'root');
    const overview = async () => (await administrator.request(`${served.url}/admin`, { headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } })).text;
    const signIn = async () => assert.equal((await new Agent().walk(`${served.url}/login/bad`)).status, 200);
    for (let count = 1; count < 20; count += 1) await signIn();
    assert.doesNotMatch(await overview(), /has matched no group/, 'too few sign-ins to tell');
    await signIn();
    const shown = await overview();
    assert.match(shown, /Team rule 3 \(group [^)]*never-there[^)]*\) has matched no group in 20 sign-ins/);
    assert.match(shown, /Team rule 2 /);
    assert.doesNotMatch(shown, /Team rule 1 /);
    assert.doesNotMatch(shown, /key set shrank/);
    bad.overrides = { keys: ({ key }) => [key.jwk] };
    await served.reload();
    await served.keysFetched();
    assert.match(await overview(), /key set shrank from 2 usable keys to 1/);
  } finally {
    await served.close();
    await bad.stop();
  }
});
