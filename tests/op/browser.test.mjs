// The pages in Chromium, with scripts switched off. A page may not break its own content security policy.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PASSWORD } from './agent.mjs';
import { openBrowser } from './browser.mjs';
import { nextSecond, replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op, { provider: { display_name: 'Example <Company>' } }));
  gate.addUser('root', 'admin');
});
after(async () => { await gate.close(); await op.stop(); });

/** Runs a test in a new browser, which may not complain about a page. */
async function open(run) {
  const { page, context, complaints, close } = await openBrowser();
  try {
    await run(page, context);
  } finally {
    await close();
  }
  assert.deepEqual(complaints, []);
}

async function signIn(page, who) {
  // Straight to the only provider.
  await page.goto(`${gate.url}/`);
  assert.ok(page.url().startsWith(op.issuer), page.url());
  await page.getByRole('button', { name: who }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL(`${gate.url}/`);
}

test('sign-in and sign-out', () => open(async (page, context) => {
  await signIn(page, 'ada');
  assert.equal(await page.locator('#user').textContent(), 'ada');
  assert.equal(await page.locator('#email').textContent(), 'ada@example.com');
  assert.deepEqual(await page.locator('.team').allTextContents(), ['Administrators', 'sales']);
  const cookie = (await context.cookies(gate.url)).find(({ name }) => name === 'claimgate');
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Lax');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/session\/end/);
  await page.getByRole('button', { name: 'Yes' }).click();
  await page.waitForURL(/logged-out/);
  assert.equal(await page.locator('#signed-out').textContent(), 'You are signed out.');
  await page.goto(`${gate.url}/`);
  assert.ok(page.url().startsWith(op.issuer), page.url());
}));

test('the page that was asked for is where sign-in leads', () => open(async (page) => {
  await page.goto(`${gate.url}/login/crm?return_to=${encodeURIComponent('/healthz?from=here')}`);
  await page.getByRole('button', { name: 'grace' }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL(`${gate.url}/healthz?from=here`);
}));

test('denial', () => open(async (page) => {
  await page.goto(`${gate.url}/login/crm`);
  await page.getByRole('button', { name: 'Deny' }).click();
  await page.waitForURL(/callback/);
  assert.equal(await page.locator('#code').textContent(), 'callback.provider_error');
  assert.match(await page.getByRole('alert').textContent(), /The person <b>said<\/b> no/);
  await page.getByRole('link', { name: 'Sign in with a password' }).click();
  assert.equal(await page.title(), 'Sign in');
  await page.getByRole('link', { name: 'Sign in with Example <Company>' }).click();
  assert.ok(page.url().startsWith(op.issuer), page.url());
}));

test('fallback password, and a wrong one', () => open(async (page) => {
  const enter = async (password) => {
    await page.goto(`${gate.url}/login/password`);
    await page.getByLabel('Username').fill('root');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  };
  await enter('not this one, surely');
  assert.equal(await page.locator('#code').textContent(), 'password.wrong');
  await enter(PASSWORD);
  await page.waitForURL(`${gate.url}/`);
  assert.equal(await page.locator('#user').textContent(), 'root');
}));

// finding: A7
test('the keyboard focus is visible on buttons, in light and dark', () => open(async (page) => {
  await page.goto(`${gate.url}/login/password`);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.mouse.click(1, 1);
    const before = await page.screenshot();
    await page.keyboard.press('Tab');
    assert.ok(!before.equals(await page.screenshot()), colorScheme);
  }
}));

test('a back-channel logout ends the session in the browser', () => open(async (page) => {
  await signIn(page, 'linus');
  const session = gate.sessions().find(({ subject }) => subject === 'linus');
  await op.logOut('crm', 'linus', session.sid);
  assert.equal((await page.request.get(`${gate.url}/api/v1/me`)).status(), 401);
  // The provider has still a session here, and opens another one at once; within the second of the logout it is refused.
  await nextSecond();
  await page.reload();
  await page.waitForURL(`${gate.url}/`);
  const [again] = gate.sessions().filter(({ subject }) => subject === 'linus');
  assert.notEqual(again.id, session.id);
}));
