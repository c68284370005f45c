// `claimgate demo`, in a browser.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { BINARY, freePort, nextSecond, until } from './claimgate.mjs';

let demo;
let out = '';
let site;
let provider;
let browser;
let page;

before(async () => {
  const [a, b] = [await freePort(), await freePort()];
  demo = spawn(BINARY, ['demo', '--listen', `127.0.0.1:${a}`, '--provider', `127.0.0.1:${b}`]);
  demo.stdout.on('data', (chunk) => { out += chunk; });
  [site, provider] = [`http://127.0.0.1:${a}`, `http://127.0.0.1:${b}`];
  await until('its addresses are printed', () => out.includes('by password'));
  await until('it answers', () => fetch(`${site}/healthz`).then((answer) => answer.ok, () => false));
  browser = await openBrowser();
  ({ page } = browser);
});
after(async () => {
  await browser?.close();
  demo.kill();
});

async function signIn(who) {
  await page.goto(`${site}/`);
  assert.match(await page.getByRole('note').textContent(), /anyone can sign in as anyone/);
  await page.getByRole('button', { name: who }).click();
  await page.waitForURL(`${site}/`);
}

test('it prints its addresses', () => {
  assert.ok(out.includes(`${site}/`) && out.includes(`${provider}/`), out);
});

test('sign in, and see why', async () => {
  await signIn('Ada');
  assert.equal(await page.locator('#user').textContent(), 'ada');
  assert.deepEqual(await page.locator('.team').allTextContents(), ['Administrators', 'CRM sales', 'Everybody']);
  const why = await page.locator('#explanation').textContent();
  assert.match(why, /\$\.realm_access\.roles\[\*\]/);
  assert.match(why, /crm-admin/);
});

test('a back-channel logout from the provider ends it', async () => {
  await page.getByRole('link', { name: /provider's page/ }).click();
  await page.waitForURL(`${provider}/`);
  await page.getByRole('button', { name: /this session/ }).click();
  assert.equal(await page.locator('#answer').textContent(), '200 OK');
  assert.match(await page.locator('pre').first().textContent(), /"http:\/\/schemas.openid.net\/event\/backchannel-logout": \{\}/);
  await page.getByRole('link', { name: 'Back to the site' }).click();
  // Signed out: straight to the provider again.
  assert.ok(page.url().startsWith(`${provider}/`), page.url());
});

test('deny, sign out, and by password', async () => {
  await page.goto(`${site}/login/demo`);
  await page.getByRole('button', { name: 'Deny' }).click();
  assert.equal(await page.locator('#code').textContent(), 'callback.provider_error');
  // Of a logout and a sign-in in the same second, the logout wins.
  await nextSecond();
  await signIn('Linus');
  assert.deepEqual(await page.locator('.team').allTextContents(), ['Everybody']);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/logged-out/);
  const [, user, password] = /by password +(\S+) \/ (\S+)/.exec(out);
  await page.goto(`${site}/login/password`);
  await page.getByLabel('Username').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.waitForURL(`${site}/`);
  assert.equal(await page.locator('#user').textContent(), 'root');
});

test('a port in use is reported with the option that chooses another, and nothing else is printed', () => {
  const { host } = new URL(site);
  for (const flag of ['--listen', '--provider']) {
    const other = flag === '--listen' ? '--provider' : '--listen';
    const refused = spawnSync(BINARY, ['demo', flag, host, other, '127.0.0.1:0'], { encoding: 'utf8' });
    assert.equal(refused.status, 2);
    assert.equal(refused.stdout, '');
    assert.ok(refused.stderr.includes(`choose another with ${flag}`), refused.stderr);
  }
});

test('it listens on loopback alone', () => {
  for (const flag of ['--listen', '--provider']) {
    const refused = spawnSync(BINARY, ['demo', flag, '0.0.0.0:0'], { encoding: 'utf8' });
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /not a loopback address/);
  }
});

test('the provider alone is for a server on loopback, whose secret is in a file', () => {
  const started = (...more) => spawnSync(BINARY, ['demo', '--provider', '127.0.0.1:0', ...more], { encoding: 'utf8' });
  const elsewhere = started('--for', 'https://sso.example.com', '--client-secret-file', '/dev/null');
  assert.equal(elsewhere.status, 2);
  assert.match(elsewhere.stderr, /not on a loopback address/);
  for (const [more, said] of [
    [['--for', site], /--client-secret-file/],
    [['--for', site, '--client-secret-file', '/nowhere'], /cannot read \/nowhere/],
    [['--for', site, '--client-secret-file', '/dev/null', '--listen', '127.0.0.1:0'], /cannot be used with/],
    [['--for', site, '--client-secret-file', '/dev/null'], /the secret is empty/],
    [['--client-secret-file', '/dev/null'], /--for/],
  ]) {
    const refused = started(...more);
    assert.equal(refused.status, 2, `${more}`);
    assert.match(refused.stderr, said);
    assert.equal(refused.stdout, '');
  }
});
