// Canaille as the provider, with the configuration that docs/guide/providers.md prints.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { CANAILLE, Canaille, PASSWORD } from './canaille.mjs';
import { Claimgate, until } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { installed } from './installed.mjs';

const GUIDE = readFileSync(new URL('../../docs/guide/providers.md', import.meta.url), 'utf8');
const DOCUMENTED = /^## Canaille$[^]*?^```toml\n([^]*?)^```$/m.exec(GUIDE)[1];
/** With what HTTP Basic encodes: Canaille decodes `%20`, and takes `+` for itself. */
const SECRET = 'a secret of the client, with+signs/and=others';
const skip = installed('Canaille', join(CANAILLE, 'bin/canaille'));

let op;
let gate;
let time;
before(async () => {
  if (skip) return;
  gate = await Claimgate.prepare();
  op = await Canaille.start({
    user: ['ada', 'grace'].map((name) => ({ id: name, user_name: name, password: PASSWORD, given_name: name, family_name: 'Example', formatted_name: `${name} example`, display_name: 'Chosen freely', emails: [`${name}@example.com`] })),
    group: [{ id: 'admins', display_name: 'admins', members: ['ada', 'grace'] }],
    client: [{
      id: 'client',
      client_id: 'claimgate',
      client_secret: SECRET,
      client_name: 'Claimgate',
      audience: ['client'],
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: ['openid', 'profile', 'email', 'groups'],
      redirect_uris: [`${gate.url}/callback/oidc`],
      post_logout_redirect_uris: [`${gate.url}/logged-out`],
    }],
  });
  writeFileSync(join(gate.folder, 'client-secret'), SECRET, { mode: 0o600 });
  writeFileSync(gate.config, DOCUMENTED
    .replace('public_url = "https://sso.example.com"', `public_url = "${gate.url}"\nlisten = "127.0.0.1:${gate.port}"`)
    .replace('https://canaille.example.com', op.issuer));
  time = clock();
  await gate.start({ env: time.env });
});
after(async () => { await gate?.close(); op?.stop(); });

/** Signs in at Canaille in a new browser. Returns the browser, at Claimgate's own page. */
async function signIn(name) {
  const browser = await openBrowser();
  const { page } = browser;
  await page.goto(`${gate.url}/`);
  assert.ok(page.url().startsWith(op.issuer), page.url());
  await page.locator('input[name=login]').fill(name);
  await page.locator('button[type=submit][name=answer]').click();
  await page.locator('input[name=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const consent = page.locator('#accept');
  await page.waitForURL((url) => url.href === `${gate.url}/` || url.pathname === '/oauth/authorize');
  if (await consent.isVisible()) await consent.click();
  await page.waitForURL(`${gate.url}/`);
  return browser;
}

const me = async (page) => (await page.request.get(`${gate.url}/api/v1/me`)).json();

// finding: V1, V2, V3, V6
test('the documented settings sign people in and out, and sessions follow groups and locked accounts', { skip }, async (t) => {
  const checked = await gate.commandBeside(['config', 'check', '--online', gate.config]);
  assert.equal(checked.code, 0, checked.out);
  assert.match(checked.out, /ok +the provider accepts the client's credentials/);

  const [ada, grace] = [await signIn('ada'), await signIn('grace')];
  t.after(() => Promise.all([ada.close(), grace.close()]));
  const { username, profile, teams } = await me(ada.page);
  assert.deepEqual([username, profile.email, teams], ['ada', 'ada@example.com', ['Administrators']]);
  assert.equal((await me(grace.page)).username, 'grace');

  // Signed out here, and there: the next sign-in asks for the password again.
  await grace.page.getByRole('button', { name: 'Sign out' }).click();
  await grace.page.waitForURL(/\/logged-out/);
  await grace.page.goto(`${gate.url}/`);
  await grace.page.waitForURL(`${op.issuer}/login`);
  const again = await signIn('grace');
  t.after(() => again.close());

  // Ada leaves her only group, and Grace is locked.
  op.command(['set', 'group', 'admins', '--members', 'grace']);
  op.command(['set', 'user', 'grace', '--lock-date', '2026-01-01T00:00:00+00:00']);
  time.set('+16m');
  await until('the group is followed', async () => (await me(ada.page)).teams?.length === 0, 20_000);
  await until('the locked account is followed', async () => (await again.page.request.get(`${gate.url}/auth`)).status() === 401, 20_000);
  const [event] = gate.events('--kind', 'logout', '--user', 'grace').slice(-1);
  assert.deepEqual([event.code, event.detail], ['refresh', 'token.refused']);
});
