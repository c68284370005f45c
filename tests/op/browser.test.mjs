// A real browser: Chromium without a window. No page may need a script, or break its own policy.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Claimgate, pair } from './claimgate.mjs';
import { Op } from './provider.mjs';

const PASSWORD = 'correct horse battery staple';
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

let op;
let gate;
before(async () => {
  op = await Op.start();
  gate = await Claimgate.prepare();
  const { client, provider } = pair(op, gate, 'crm', { provider: { title: 'Example <Company>' } });
  op.configure([client]);
  await gate.write({ providers: [provider] }).start();
  assert.equal(gate.command(['user', 'add', 'root', '--kind', 'admin', '--password-stdin'], PASSWORD).code, 0);
});
after(async () => { await gate.close(); await op.stop(); });

/** A new browser with scripts switched off for all pages, and a list of what it complained about. */
async function open(run) {
  const profile = mkdtempSync(join(tmpdir(), 'claimgate-browser-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: ARGUMENTS, javaScriptEnabled: false });
  const complaints = [];
  const page = context.pages()[0] ?? await context.newPage();
  // A refused page answers 403 on purpose, and the browser says so.
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !message.text().includes('Failed to load resource')) complaints.push(message.text()); });
  try {
    await run(page, context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
  assert.deepEqual(complaints, []);
}

async function signIn(page, who) {
  await page.goto(`${gate.url}/`);
  await page.getByRole('link', { name: 'Sign in with Example <Company>' }).click();
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
  assert.equal(await page.locator('#signed-out').textContent(), 'You are signed out here.');
  await page.goto(`${gate.url}/`);
  assert.equal(await page.title(), 'Sign in');
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
  await page.goto(`${gate.url}/`);
  assert.equal(await page.title(), 'Sign in');
}));

test('fallback password, and a wrong one', () => open(async (page) => {
  const enter = async (password) => {
    await page.goto(`${gate.url}/login`);
    await page.getByText('Sign in with a password').click();
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

test('a back-channel logout is seen as a signed-out page', () => open(async (page) => {
  await signIn(page, 'linus');
  const [session] = JSON.parse(gate.command(['session', 'list', '--user', 'linus', '--format', 'json']).out);
  await op.logOut('crm', 'linus', session.sid);
  await page.reload();
  assert.equal(await page.title(), 'Sign in');
}));
