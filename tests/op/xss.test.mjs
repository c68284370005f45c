// Markup and scripts in every text that a stranger, a provider or an administrator can write, on every page that shows it,
// in Chromium: no script runs, with the pages' policies and without, and the text is shown as text.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { lend, openBrowser } from './browser.mjs';
import { IDENTITY, nextSecond, replace, until } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';

// Without spaces, upper case and quotes that a username would change; each calls `ran` where it is more than text.
const SCRIPT = '"><script>ran(1)</script>';
const IMAGE = "<img/src='x'onerror=ran(2)>";
const HANDLER = "'/autofocus/onfocus='ran(3)'/x='";
const LINK = 'javascript:ran(4)';
const CLOSING = '</title></textarea></style></script><svg/onload=ran(5)>';
const ENTITY = '&lt;img/src=&quot;x&quot;onerror=ran(6)&gt;';
const LITERAL = '${ran(7)}{{ran(7)}}`+ran(7)+`';
const ALL = [SCRIPT, IMAGE, HANDLER, LINK, CLOSING, ENTITY, LITERAL];
const LONG = 'w'.repeat(250);
// Reorder the text around them, or end a line.
const UNSAFE = /[\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
const INVISIBLE = '\u2028\u2029\u202e\u2066';

const identity = `${IDENTITY}[[identity.team]]\nprefix = "any:"\nteam = "{rest}"\n`.replace('[identity.profile]', '[identity.profile]\nname = "name"');
const applications = [{ name: `Wiki ${SCRIPT}${IMAGE}`, hosts: ['wiki.example.com'], rule: [{ paths: ['/open/*'], allow: 'signed_in' }, { teams: [CLOSING, IMAGE] }] }];

let op;
let gate;
const people = [];
const root = new Agent();
const browsers = [];
const ran = [];

/** Sends a request as any other, with markup where a client can write it. */
const hostile = { 'user-agent': `${SCRIPT}${IMAGE}`, 'x-forwarded-for': `${IMAGE}, 127.0.0.1`, referer: `http://x/${SCRIPT}`, 'accept-language': SCRIPT };
/** What a browser says of a page that it navigates to. */
const NAVIGATION = { ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate', accept: 'text/html' };

before(async () => {
  op = await MisbehavingProvider.start();
  ({ gate } = await replace(undefined, op, {
    identity,
    applications,
    provider: { display_name: `Provider ${SCRIPT}${IMAGE}` },
    pages: { name: `Example ${CLOSING}${IMAGE}` },
    server: { trusted_proxies: ['127.0.0.1'] },
    signIn: { allow_admins: true, password_fallback: true },
  }));
  gate.addUser('root', 'super-admin', ...ALL.flatMap((text) => ['--team', text]));
  await root.administer(gate, 'root');
  // A person for each text, who has it in each claim.
  for (const [index, text] of [...ALL, LONG].entries()) {
    const person = new Agent();
    op.overrides = {
      claims: { sub: `${index} ${text}`, sid: `${index} ${text}`, preferred_username: `${index}${text}`, name: text, email: text, given_name: text, phone_number: text, groups: [`any:${text}`, `any:${INVISIBLE}${text}`] },
      userinfo: (_response, send) => send({ sub: `${index} ${text}` }),
    };
    const landed = await person.walk(`${gate.url}/login/bad`);
    assert.equal(landed.status, 200, landed.text);
    people.push(person);
    // Refused by the rule of an application, at an address that holds it.
    const headers = { ...hostile, 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-proto': 'https', 'x-forwarded-uri': `/${encodeURI(text)}?${encodeURI(text)}` };
    if (text === LONG) assert.equal((await person.request(`${gate.url}/auth`, { headers })).status, 403);
    await person.request(`${gate.url}/login/password`, { method: 'POST', form: { username: text.slice(0, 11), password: text }, headers: { ...hostile, ...SAME_ORIGIN } });
    await person.request(`${gate.url}/callback/bad?error=${encodeURIComponent(text)}&error_description=${encodeURIComponent(text)}`, { headers: hostile });
    await person.request(`${gate.url}/api/v1/frontchannelLogout?iss=${encodeURIComponent(text)}&sid=${encodeURIComponent(text)}`, { headers: hostile });
    const added = await root.request(`${gate.url}/api/v1/users`, { method: 'POST', headers: SAME_ORIGIN, json: { username: `by-hand-${index}${text}`.slice(0, 255), profile: { name: text, [text]: text }, teams: [`by hand ${text}`.slice(0, 255)] } });
    assert.equal(added.status, 201, added.text);
  }
  op.overrides = {};
  await until('what happened is recorded', () => gate.events('--kind', 'refusal').length > 3 && gate.events('--kind', 'access_refusal').length > 0);
  for (const options of [{ scripts: true }, { scripts: true, bypassCSP: true }]) {
    const browser = await openBrowser(options);
    await browser.context.exposeFunction('ran', (number) => ran.push(number));
    browser.page.on('dialog', (dialog) => { ran.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
    browsers.push(browser);
  }
});
after(async () => {
  for (const { close } of browsers) await close();
  await gate.close();
  await op.stop();
});

/** Looks at a page as it is: what a text could have become other than text. */
async function inspect(page, what) {
  const found = await page.evaluate(() => {
    const all = [...document.querySelectorAll('*')];
    const isScript = (url) => /^\s*(javascript|vbscript|data:text)/i.test(url ?? '');
    const strange = all.filter((element) => [...element.attributes].some(({ name, value }) => name.startsWith('on') || (['href', 'src', 'action', 'formaction'].includes(name) && isScript(value)))
      || ['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'BASE'].includes(element.tagName)
      || (element.tagName === 'SCRIPT' && !/^\/assets\/console\/console-[\w-]+\.js$/.test(element.getAttribute('src') ?? ''))
      || (element.closest('svg') && ['SCRIPT', 'FOREIGNOBJECT', 'A', 'IMAGE'].includes(element.tagName.toUpperCase())));
    return { strange: strange.map((element) => element.outerHTML.slice(0, 200)), text: document.body.innerText, title: document.title, wide: document.documentElement.scrollWidth > document.documentElement.clientWidth ? ['the page', ...all.filter((element) => element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX === 'visible').map((element) => element.outerHTML.slice(0, 100))] : [] };
  });
  assert.deepEqual(found.strange, [], what);
  assert.ok(!UNSAFE.test(found.text) && !UNSAFE.test(found.title), `${what}: ${JSON.stringify(found.text)}`);
  assert.deepEqual(found.wide, [], `${what} is too wide`);
  return found;
}

/** Opens an address in both browsers as an agent; arrays have one of each browser. Each of `shown` must be in the text of the page. */
async function visit(agents, address, { shown = [], headers = {}, act } = {}) {
  for (const [index, { page, context }] of browsers.entries()) {
    const [agent, path] = [agents, address].map((given) => (Array.isArray(given) ? given[index] : given));
    await lend(agent, context, gate.url);
    await page.setExtraHTTPHeaders(headers);
    await page.goto(`${gate.url}${path}`);
    if (act) await act(page);
    const { text } = await inspect(page, path);
    for (const part of shown) assert.ok(text.includes(part), `${path} does not show ${part}: ${text}`);
  }
}

/** Fails where a script ran, or a page was kept from something by its policy. */
function nothingRan() {
  assert.deepEqual(ran, []);
  assert.deepEqual(browsers.flatMap(({ complaints }) => complaints), []);
}

// attack: console.script-in-claims, console.script-in-groups
test('claims, groups and names on the pages of people', async () => {
  for (const [index, text] of [...ALL, LONG].entries()) {
    const shown = [`${index}${text}`];
    await visit(people[index], '/', { shown: [...shown, text] });
    await visit(people[index], '/me', { shown });
  }
  const headers = { 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-proto': 'https', 'x-forwarded-uri': `/page/${IMAGE}?${SCRIPT}` };
  await visit(people.at(-1), '/auth/redirect', { headers, shown: [IMAGE, CLOSING] });
  nothingRan();
});

test('addresses, usernames and passwords on the sign-in pages', async () => {
  for (const text of [LINK, `/${ALL.join('')}`, `//evil.example/${ALL.join('')}`, LONG.repeat(8)]) {
    const given = encodeURIComponent(text);
    for (const path of ['/login?again=1&return_to=', '/login/password?return_to=', '/logged-out?state=', '/nowhere/', '/login/', '/admin?return_to=', '/admin/users?text=', '/me?ended=']) await visit(new Agent(), `${path}${given}`);
  }
  const type = (text) => async (page) => {
    await page.getByLabel('Username').fill(text);
    await page.getByLabel('Password').fill(text);
    await page.locator('form.password button').click();
    await page.waitForLoadState();
  };
  for (const text of [SCRIPT, IMAGE, HANDLER]) await visit(new Agent(), '/login/password', { act: type(text.slice(-11)), shown: [`Provider ${SCRIPT}${IMAGE}`] });
  nothingRan();
});

// attack: console.script-in-provider-errors
test('errors of a provider, at the token endpoint and at the callback', async () => {
  op.overrides = { token: (response, send) => { response.statusCode = 400; send({ error: SCRIPT, error_description: `${IMAGE}${INVISIBLE}` }); } };
  await visit(new Agent(), '/login/bad', { shown: [IMAGE] });
  op.overrides = {};
  for (const text of [...ALL, `${INVISIBLE}${LONG.repeat(4)}`]) {
    // A sign-in of its own for each browser.
    const [agents, paths] = [[], []];
    for (const _ of browsers) {
      const denied = new Agent();
      const callback = new URL((await denied.walk(`${gate.url}/login/bad`, { stopAt: `${gate.url}/callback` })).location);
      callback.searchParams.delete('code');
      for (const name of ['error', 'error_description']) callback.searchParams.set(name, text);
      callback.searchParams.set('error_uri', LINK);
      agents.push(denied);
      paths.push(callback.href.slice(gate.url.length));
    }
    await visit(agents, paths, { shown: UNSAFE.test(text) ? [] : [text] });
  }
  nothingRan();
});

// attack: console.script-in-console, console.script-in-teams
test('users, teams, sessions, events, applications and claims in the console', async () => {
  const ids = Object.fromEntries(gate.users().map(({ id, username }) => [username, id]));
  await visit(root, '/admin', { shown: [`Provider ${SCRIPT}${IMAGE}`] });
  await visit(root, '/admin/users', { shown: ALL });
  await visit(root, '/admin/teams', { shown: ALL });
  await visit(root, '/admin/sessions', { shown: ALL });
  await visit(root, '/admin/activity', { shown: [`Wiki ${SCRIPT}${IMAGE}`] });
  await visit(root, '/admin/applications', { shown: [`Wiki ${SCRIPT}${IMAGE}`, CLOSING] });
  for (const [index, text] of [...ALL, LONG].entries()) {
    for (const name of [`${index}${text}`, `by-hand-${index}${text}`.slice(0, 255)]) await visit(root, `/admin/users/${ids[name]}?done=${encodeURIComponent(text)}`, { shown: [text] });
  }
  for (const text of [ALL.join(''), LONG]) {
    const given = encodeURIComponent(text);
    for (const path of [`/admin/users?text=${given}&after=${given}`, `/admin/teams?text=${given}`, `/admin/sessions?text=${given}`, `/admin/activity?user=${given}&kind=${given}`, `/admin/applications?url=https://wiki.example.com/${given}&user=${encodeURIComponent(`1${IMAGE}`)}&method=GET`]) await visit(root, path);
  }
  await visit(root, '/admin/applications', {
    act: async (page) => {
      await page.locator('[name=url]').fill(`https://wiki.example.com/${SCRIPT}${IMAGE}`);
      await page.locator('#verdict').waitFor();
    },
  });
  for (const text of [...ALL, `${INVISIBLE}x`]) {
    const claims = { iss: text, sub: text, preferred_username: text, name: text, email: text, groups: [text, `any:${text}`], [text]: { [text]: [text] } };
    await visit(root, '/admin/mapping', {
      act: async (page) => {
        await page.locator('textarea').fill(JSON.stringify(claims));
        await page.locator('.tree').first().waitFor();
      },
    });
  }
  nothingRan();
});

test('answers of a provider in its test', async () => {
  op.overrides = { metadata: { issuer: SCRIPT, authorization_endpoint: LINK, token_endpoint: `${op.issuer}/${IMAGE}`, end_session_endpoint: LINK, scopes_supported: ALL, id_token_signing_alg_values_supported: ALL } };
  await nextSecond();
  await visit(root, '/admin/providers', {
    act: async (page) => {
      await page.locator('form.test button').click();
      await page.waitForLoadState();
    },
  });
  op.overrides = {};
  nothingRan();
});

test('the check finds what it looks for', async () => {
  const { page } = browsers[1];
  await page.goto(`${gate.url}/healthz`);
  await page.setContent(`<body><input value="${SCRIPT}">${IMAGE}<input value='${HANDLER}'><title>${CLOSING}<a href="${LINK}">a</a></body>`);
  await until('the scripts run', () => [1, 2, 3, 5].every((number) => ran.includes(number)));
  await assert.rejects(inspect(page, 'markup'), (error) => ['onerror', 'onfocus', 'onload', 'javascript:'].every((part) => error.message.includes(part)));
  ran.length = 0;
});
