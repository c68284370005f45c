// The pages in Chromium, with scripts switched off. A page may not break its own content security policy.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { openBrowser } from './browser.mjs';
import { nextSecond, replace, until } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => {
  op = await OpenIdProvider.start();
  const pages = { name: 'Example & Sons', logo_file: fileURLToPath(new URL('logo.svg', import.meta.url)), accent_color: '#0b7a75' };
  ({ gate } = await replace(undefined, op, { provider: { display_name: 'Example <Company>', frontchannel_logout: true }, pages }));
  gate.addUser('root', 'admin');
});
after(async () => { await gate?.close(); await op?.stop(); });

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
  assert.equal(await page.title(), 'Sign in · Example & Sons');
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
  assert.equal(await page.title(), 'Sign-in refused · Example & Sons');
  const username = page.getByLabel('Username');
  assert.deepEqual([await username.inputValue(), await username.getAttribute('aria-invalid')], ['root', 'true']);
  assert.equal(await page.getByLabel('Password').inputValue(), '');
  assert.equal(await page.locator(':focus').getAttribute('id'), 'password');
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

test('each page is in the language that the browser prefers, and says that it depends on it', () => open(async (page) => {
  for (const [accepted, language, title] of [
    ['de-AT,de;q=0.9,en;q=0.8', 'de', 'Anmelden'],
    ['it,fr;q=0.7,es;q=0.6', 'fr', 'Connexion'],
    ['es-419', 'es', 'Iniciar sesión'],
    ['ja', 'en', 'Sign in'],
  ]) {
    await page.setExtraHTTPHeaders({ 'accept-language': accepted });
    const answer = await page.goto(`${gate.url}/login/password`);
    assert.equal(await page.title(), `${title} · Example & Sons`);
    assert.equal(await page.locator('h1').textContent(), title);
    assert.equal(await page.locator('html').getAttribute('lang'), language);
    assert.equal(answer.headers()['content-language'], language);
    assert.equal(answer.headers().vary, 'accept-language');
  }
  // A problem before any handler, and a refusal of a program, which reads English.
  const refused = await new Agent().request(`${gate.url}/nowhere`, { headers: { accept: 'text/html', 'accept-language': 'de' } });
  assert.match(refused.text, /<html lang="de">.*Seite nicht gefunden/s);
  const program = await new Agent().request(`${gate.url}/nowhere`, { headers: { 'accept-language': 'de' } });
  assert.equal(JSON.parse(program.text).error_description, 'not found');
}));

test('the organisation’s name, logo and colour are on the pages, and the logo cannot run scripts', () => open(async (page) => {
  await page.goto(`${gate.url}/login/password`);
  const logo = page.getByRole('img', { name: 'Example & Sons' });
  assert.ok((await logo.boundingBox()).width > 100, 'it is loaded');
  const color = (element) => element.evaluate((node) => getComputedStyle(node).backgroundColor);
  assert.equal(await color(page.locator('button')), 'rgb(11, 122, 117)');
  const address = await logo.getAttribute('src');
  const answer = await fetch(address);
  assert.equal(answer.headers.get('content-type'), 'image/svg+xml');
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.match(answer.headers.get('content-security-policy'), /^default-src 'none'; .*sandbox/);
}));

test('/me: the user sees the sessions and ends them, one or all others, without scripts', () => open(async (page) => {
  const [one, stranger] = [new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'grace');
  await stranger.signInByPassword(gate, 'root');
  // Led to the sign-in and back.
  await page.goto(`${gate.url}/me`);
  await page.getByRole('button', { name: 'grace' }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL(`${gate.url}/me`);
  assert.equal(await page.locator('#user').textContent(), 'grace');
  assert.equal(await page.locator('#method').textContent(), 'Example <Company>');
  const entries = page.locator('.rows > li');
  assert.match(await entries.first().textContent(), /This browser/);
  await page.getByRole('button', { name: 'End all other sessions' }).click();
  await page.waitForURL(/ended=others/);
  assert.equal(await page.getByRole('status').textContent(), 'All other sessions have ended.');
  assert.equal(await entries.count(), 1);
  assert.equal(await one.me(gate), undefined);
  await one.signIn(gate, 'crm', 'grace');
  await page.goto(`${gate.url}/me`);
  await page.getByRole('button', { name: 'End', exact: true }).click();
  await page.waitForURL(/ended=one/);
  assert.equal(await entries.count(), 1);
  assert.deepEqual([await one.me(gate), (await stranger.me(gate)).username], [undefined, 'root']);
  assert.equal(await page.locator('#user').textContent(), 'grace');
}));

// attack: console.cross-site
test('sessions as JSON: one’s own alone, by identifiers that open nothing, and not from another site', async () => {
  const [one, other, stranger] = [new Agent(), new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'linus');
  await other.signIn(gate, 'crm', 'linus');
  await stranger.signIn(gate, 'crm', 'ada');
  const list = async (agent) => JSON.parse((await agent.request(`${gate.url}/api/v1/me/sessions`)).text).sessions;
  const [newest, oldest] = await list(one);
  assert.deepEqual([newest.current, oldest.current, newest.provider], [false, true, 'crm']);
  assert.deepEqual(Object.keys(newest).sort(), ['created', 'current', 'expires', 'id', 'issuer', 'provider']);
  assert.ok(![...one.cookies(gate.url).values()].some((secret) => secret.includes(oldest.id)));
  const end = (agent, id, headers = SAME_ORIGIN) => agent.request(`${gate.url}/api/v1/me/sessions/${id}`, { method: 'DELETE', headers });
  // Another user ends neither: a program is told that there is none, the page shows the own ones; all others are one's own.
  for (const { id } of [newest, oldest]) {
    assert.equal((await end(stranger, id)).status, 404);
    assert.equal((await stranger.request(`${gate.url}/me/sessions/${id}/end`, { method: 'POST', headers: SAME_ORIGIN })).status, 303);
  }
  assert.equal((await stranger.request(`${gate.url}/me/sessions/end-others`, { method: 'POST', headers: SAME_ORIGIN })).status, 303);
  for (const agent of [one, other]) assert.equal((await agent.me(gate)).username, 'linus');
  assert.equal((await stranger.me(gate)).username, 'ada');
  assert.equal((await end(one, newest.id, { 'sec-fetch-site': 'cross-site' })).status, 403);
  for (const path of [`/me/sessions/${newest.id}/end`, '/me/sessions/end-others']) {
    const forged = await one.request(`${gate.url}${path}`, { method: 'POST', headers: { 'sec-fetch-site': 'same-site', accept: 'text/html' } });
    assert.equal(forged.status, 403);
    assert.match(forged.text, /request\.cross_site/);
  }
  assert.equal((await other.me(gate)).username, 'linus');
  assert.equal((await end(one, newest.id)).status, 200);
  assert.equal(await other.me(gate), undefined);
  const last = await end(one, oldest.id);
  assert.match(last.headers.get('set-cookie'), /^claimgate=; .*Max-Age=0/);
  assert.equal((await one.request(`${gate.url}/api/v1/me/sessions`)).status, 401);
});

// conformance: oidcc-client-test-rp-frontchannel-rpinitlogout, oidcc-client-test-rp-frontchannel-opinitlogout
// finding: A10b
test('front-channel logout: a frame in the provider’s page ends the session that it names, without a cookie', () => open(async (page) => {
  const [one, other] = [new Agent(), new Agent()];
  await one.signIn(gate, 'crm', 'ada');
  const named = gate.sessions().find(({ subject }) => subject === 'ada');
  await other.signIn(gate, 'crm', 'ada');
  const query = (iss, sid) => new URLSearchParams({ iss, sid }).toString();
  const frame = `${gate.url}/api/v1/frontchannelLogout?${query(op.issuer, named.sid)}`;
  op.signedOutPage = `<iframe src="${frame.replaceAll('&', '&amp;')}"></iframe>`;
  const answered = page.waitForResponse((response) => response.url().includes('/frontchannelLogout?'), { timeout: 10_000 });
  await page.goto(`${op.issuer}/signed-out`);
  const answer = await answered;
  assert.equal(answer.status(), 200);
  assert.equal(answer.headers()['cache-control'], 'no-store');
  assert.equal(answer.headers()['content-security-policy'], `default-src 'none'; frame-ancestors ${new URL(op.issuer).origin}`);
  assert.equal(answer.headers()['x-frame-options'], undefined);
  assert.deepEqual([await one.me(gate), (await other.me(gate)).username], [undefined, 'ada']);
  // Repeated, of another issuer, and incomplete.
  const status = async (given) => (await fetch(`${gate.url}/api/v1/frontchannelLogout?${given}`)).status;
  const { sid } = gate.sessions().find(({ subject }) => subject === 'ada');
  assert.deepEqual([await status(query(op.issuer, named.sid)), await status(query('https://another.example', sid)), await status(`sid=${sid}`), await status(`iss=${op.issuer}`), await status('')], [200, 400, 400, 400, 400]);
  assert.equal((await other.me(gate)).username, 'ada');
  // One that ends nothing may be a stranger's, and is no event.
  const events = () => gate.events('--kind', 'logout').filter(({ code }) => code === 'front_channel');
  await until('the logout is recorded', () => events().length > 0);
  assert.deepEqual(events().map(({ provider, detail }) => [provider, detail]), [['crm', `sid ${named.sid}`]]);
}));
