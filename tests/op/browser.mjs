// Chromium without a window, with scripts switched off unless a test asks for them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** A new browser with a profile of its own: a page, its context, and the errors and warnings of its console. The rest is for Playwright: with
 * `bypassCSP` pages run what their policy forbids. */
export async function openBrowser({ scripts = false, args = [], ...options } = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'claimgate-browser-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: [...ARGUMENTS, ...args], javaScriptEnabled: scripts, ...options });
  const page = context.pages()[0] ?? await context.newPage();
  const complaints = [];
  // A refusal is a page with status 403, which the browser reports as a failed resource.
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !message.text().includes('Failed to load resource')) complaints.push(message.text()); });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page, context, complaints, close };
}

/** Gives a context of the browser the cookies that an agent has for an address, in place of its own: those that the
 * provider sets have expired by the browser's own clock. */
export async function lend(agent, context, url) {
  await context.clearCookies();
  await context.addCookies([...agent.cookies(url)].map(([name, value]) => ({ name, value, url })));
}
