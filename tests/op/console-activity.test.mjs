// The activity of the console: events filtered, each refusal with its explanation, live with scripts and by reload without.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, PASSWORD, SAME_ORIGIN } from './agent.mjs';
import { openBrowser } from './browser.mjs';
import { replace, until } from './claimgate.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

const MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
const APPLICATIONS = [
  { name: 'Wiki', hosts: ['wiki.example.com'], rule: [{ paths: ['/pages/*'], allow: 'signed_in' }, { paths: ['/admin/*'], methods: ['POST'], teams: ['Administrators'] }] },
];

let op;
let gate;
let root;
const page = (path) => root.request(`${gate.url}${path}`, { headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } });
const rows = (text) => [...text.matchAll(/<tr>(?!<th)(.*?)<\/tr>/gs)].map(([row]) => row);

before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op, { applications: APPLICATIONS, signIn: { create_users: false } }));
  gate.addUser('root', 'super-admin');
  gate.addUser('boss', 'admin');
  root = new Agent();
  await root.administer(gate, 'root');
});
after(async () => { await op?.stop(); await gate?.close(); });

test('each refusal leads to its explanation', async () => {
  const boss = new Agent();
  await boss.signInByPassword(gate, 'boss');
  await new Agent().signInByPassword(gate, 'boss', 'incorrect horse battery staple');
  await new Agent().walk(`${gate.url}/login/crm`, { as: 'grace' });
  await boss.request(`${gate.url}/auth`, { headers: { 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-uri': '/admin/x?secret=1', 'x-forwarded-method': 'POST', 'x-forwarded-proto': 'https' } });
  const codes = ['password.wrong', 'request.forbidden', 'Try the mapping out'];
  await until('all refusals are listed', async () => { const { text } = await page('/admin/activity'); return codes.every((code) => text.includes(code)); });
  const listed = (await page('/admin/activity')).text;
  assert.ok(!listed.includes('secret'));
  const link = (kind) => page(`/admin/activity?kind=${kind}`).then(({ text }) => rows(text).map((row) => /<a href="([^"]+)">(?:Try|See)/.exec(row)?.[1].replaceAll('&amp;', '&')));
  const [access] = await link('access_refusal');
  assert.equal(access, '/admin/applications?url=https%3A%2F%2Fwiki.example.com%2Fadmin%2F&method=POST&user=boss');
  assert.match((await page(access)).text, /id="code">request\.forbidden</);
  const refusals = await link('refusal');
  assert.equal(refusals.length, 2);
  assert.ok(refusals.includes('/admin/users?text=boss'), refusals.join());
  const mapping = refusals.find((href) => href.startsWith('/admin/mapping?provider=crm'));
  const tried = (await page(mapping)).text;
  assert.match(tried, /option value="crm" selected/);
  assert.ok((await link('sign_in')).every((href) => href === undefined));
  assert.match((await page('/admin/mapping?provider=crm&user=grace')).text, /<b id="username">grace</);
});

// finding: R12
test('events are filtered by user, kind and time', async () => {
  const names = async (query) => rows((await page(`/admin/activity${query}`)).text).map((row) => /users\?text=([^"]*)"/.exec(row)?.[1]);
  assert.deepEqual([...new Set(await names('?user=boss'))], ['boss']);
  assert.deepEqual([...new Set(await names('?user=root&kind=sign_in&time=hour'))], ['root']);
  assert.match((await page('/admin/activity?user=no-such-person')).text, /No event matches/);
  assert.match((await page(`/admin/activity?before=1`)).text, /Newest events/);
  assert.equal((await page('/admin/activity?before=x')).status, 400);
  const user = gate.users().find(({ username }) => username === 'boss').id;
  for (let index = 0; index < 101; index += 1) {
    await root.request(`${gate.url}/admin/users/${user}`, { method: 'POST', form: { action: 'activate' }, headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } });
  }
  const first = (await page('/admin/activity?kind=administration&user=boss')).text;
  assert.equal(rows(first).length, 100);
  const older = /href="([^"]+)">Older events/.exec(first)[1].replaceAll('&amp;', '&');
  assert.match(older, /^\/admin\/activity\?user=boss&kind=administration&before=\d+$/);
  // With the event of the command that added the user.
  assert.equal(rows((await page(older)).text).length, 2);
});

// attack: console.script-in-activity
test('markup in usernames and hosts is text', async () => {
  await new Agent().signInByPassword(gate, MARKUP);
  await root.request(`${gate.url}/auth`, { headers: { 'x-forwarded-host': `x${MARKUP}`, 'x-forwarded-uri': `/${MARKUP}` } });
  await until('both are listed', async () => (await page('/admin/activity')).text.includes('access.no_application'));
  const texts = [];
  for (const path of ['/admin/activity', '/admin/activity/list', `/admin/activity?${new URLSearchParams({ user: MARKUP, kind: MARKUP, time: MARKUP })}`, `/admin/mapping?${new URLSearchParams({ user: MARKUP, provider: MARKUP })}`]) texts.push((await page(path)).text);
  for (const text of texts) assert.ok(!text.includes('<script>alert') && !text.includes('<img'), text);
  assert.ok(texts.some((text) => text.includes('&lt;script&gt;')));
});

test('in the browser the list is live, stops while the switch is off, and is reloaded without scripts', async () => {
  const { page: tab, complaints, close } = await openBrowser({ scripts: true });
  try {
    await tab.goto(`${gate.url}/admin/activity?kind=refusal&user=late`);
    await tab.getByRole('link', { name: 'Sign in with a password' }).click();
    await tab.getByLabel('Username').fill('boss');
    await tab.getByLabel('Password').fill(PASSWORD);
    await tab.getByRole('button', { name: 'Sign in', exact: true }).click();
    await tab.getByLabel('Password').fill(PASSWORD);
    await tab.getByRole('button', { name: 'Confirm' }).click();
    await tab.getByText('No event matches').waitFor();
    await new Agent().signInByPassword(gate, 'late');
    await tab.getByRole('cell', { name: 'late' }).waitFor({ timeout: 15_000 });
    await tab.getByLabel('Live').uncheck();
    await new Agent().signInByPassword(gate, 'late');
    await tab.waitForTimeout(7_000);
    assert.equal(await tab.getByRole('row').count(), 2);
  } finally {
    await close();
  }
  assert.deepEqual(complaints, []);
});

test('the claims of the last sign-ins are tried out, redacted, where the file asks for them', async () => {
  const bad = await MisbehavingProvider.start();
  const overrides = { claims: { groups: ['crm-admin'], address: { city: 'Paris-13' }, nickname: 'hidden-nickname' } };
  const { gate: served, provider } = await replace(undefined, bad, { overrides, server: { admin_recent_sign_ins: true } });
  try {
    served.addUser('root', 'super-admin');
    const administrator = new Agent();
    await administrator.administer(served, 'root');
    const shown = async (query = '') => (await administrator.request(`${served.url}/admin/mapping${query}`, { headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } })).text;
    assert.match(await shown(), /None since the start/);
    assert.equal((await new Agent().walk(`${served.url}/login/bad`)).status, 200);
    bad.overrides = { claims: { preferred_username: undefined }, userinfo: (_response, send) => send({ sub: 's1' }) };
    assert.notEqual((await new Agent().walk(`${served.url}/login/bad`)).status, 200);
    const list = await shown();
    assert.match(list, /\/admin\/mapping\?recent=1">ada</);
    assert.match(list, /\/admin\/mapping\?recent=2">refused</);
    const tried = await shown('?recent=1');
    for (const part of ['>Administrators<', 'city', 'nickname', '(redacted)']) assert.ok(tried.includes(part), `${part} in ${tried}`);
    for (const part of ['Paris-13', 'hidden-nickname']) assert.ok(!tried.includes(part), part);
    assert.match(await shown('?recent=2'), /identity\.no_username/);
    for (const unknown of ['3', '-1', 'x']) assert.doesNotMatch(await shown(`?recent=${unknown}`), /id="username"/);
    served.write({ providers: [provider] });
    await served.reload();
    assert.doesNotMatch(await shown('?recent=1'), /recent=1"|>Administrators</, 'forgotten');
  } finally {
    await served.close();
    await bad.stop();
  }
});
