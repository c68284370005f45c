// Providers added by their issuers, changed and removed in the console: discovery, the secret, the test, the diff, the reload, and what
// is refused.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { join } from 'node:path';
import { Agent, PASSWORD } from './agent.mjs';
import { lend, openBrowser } from './browser.mjs';
import { IDENTITY, pair, replace } from './claimgate.mjs';
import { look } from './looks.mjs';
import { MisbehavingProvider } from './misbehaving-provider.mjs';
import { OpenIdProvider } from './provider.mjs';

const PAGE = { accept: 'text/html', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' };
const SECRET = 'hunter2 & "quotes" <b>, and long enough for HS512: 0123456789abcdef0123456789abcdef';
const POSTS = ['discover', 'form', 'review', 'save'].map((name) => `/admin/providers/${name}`);

let op;
let second;
let hostile;
let gate;
const get = (agent, path, headers = {}) => agent.request(`${gate.url}${path}`, { headers: { ...PAGE, ...headers } });
const post = (agent, path, form, headers = {}) => agent.request(`${gate.url}${path}`, { method: 'POST', form, headers: { ...PAGE, ...headers } });
const text = () => readFileSync(gate.config, 'utf8');
const decoded = (value) => value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** The fields of the form on a page, as a browser sends them: pairs, some of the same name. */
function fields(page, id = 'provider-form') {
  const form = new RegExp(`<form[^>]*id="${id}".*?</form>`, 's').exec(page)?.[0] ?? /<form class="form" method="post".*?<\/form>/s.exec(page)?.[0];
  assert.ok(form, page);
  const found = [];
  for (const [, attributes] of form.matchAll(/<input([^>]*)>/g)) {
    const of = (name) => new RegExp(` ${name}="([^"]*)"`).exec(attributes)?.[1];
    if (of('type') === 'checkbox' && !/ checked/.test(attributes)) continue;
    if (of('name') !== 'password') found.push([decoded(of('name')), decoded(of('value') ?? '')]);
  }
  return found;
}
/** Fields with others in the place of those of the same names. */
const using = (form, changes) => [
  ...form.filter(([name]) => !(name in changes)),
  ...Object.entries(changes).flatMap(([name, value]) => [value].flat().map((one) => [name, one])),
];
const value = (form, name) => form.filter(([known]) => known === name).map(([, one]) => one);
const review = (agent, form) => post(agent, '/admin/providers/review', form);
const save = (agent, form, password = PASSWORD) => post(agent, '/admin/providers/save', [...form, ['password', password]]);
const discover = (agent, issuer) => post(agent, '/admin/providers/discover', { issuer });
const load = async (agent, id) => fields((await get(agent, `/admin/providers/${id}/edit`)).text);

async function administrator(name) {
  const agent = new Agent();
  await agent.administer(gate, name);
  return agent;
}
/** The form of a new provider, filled in. */
async function filled(agent, issuer, changes) {
  const { text: page } = await discover(agent, issuer);
  return using(fields(page), { id: 'second', display_name: 'Second', client_id: 'second', client_secret: SECRET, ...changes });
}

before(async () => {
  op = await OpenIdProvider.start();
  second = await OpenIdProvider.start();
  hostile = await MisbehavingProvider.start();
  ({ gate } = await replace(undefined, op, { server: { admin_edit_configuration: true }, identity: `# Of all.${IDENTITY}` }));
  const { client } = pair(second, gate, 'second', { client: { client_secret: SECRET } });
  second.configure([client]);
  for (const name of ['adder', 'changer', 'faulty', 'prover', 'first', 'other', 'keeper', 'thief', 'hunter', 'remover', 'viewer', 'reader']) gate.addUser(name, 'super-admin');
  gate.addUser('boss', 'admin');
});
after(async () => { await gate.close(); await op.stop(); await second.stop(); await hostile.stop(); });
// Calls to providers and attempts at passwords are limited: the counts begin anew.
beforeEach(async () => { await gate.stop(); await gate.start(); });

test('a provider is added by its issuer, tested, reviewed and saved, and people sign in through it', async () => {
  const root = await administrator('adder');
  assert.match((await get(root, '/admin/providers')).text, /href="\/admin\/providers\/add"/);
  assert.match((await get(root, '/admin/providers/add')).text, /name="issuer"/);
  const { text: found } = await discover(root, ` ${second.issuer} `);
  for (const part of [`${second.issuer}/auth`, `${second.issuer}/jwks`, 'discovery document, at', 'value="offline_access"', 'value="ES256"']) assert.ok(found.toLowerCase().includes(part.toLowerCase()), `${part} in ${found}`);
  const offered = fields(found);
  assert.deepEqual([value(offered, 'scope'), value(offered, 'algorithm'), value(offered, 'id'), value(offered, 'client_id')], [['profile', 'email', 'phone'], ['RS256'], ['oidc'], ['']]);
  assert.ok(!value(offered, 'offered_algorithms').join().includes('none'));
  const form = using(offered, { id: 'second', display_name: 'Second', client_id: 'second', client_secret: ` ${SECRET} `, algorithm: ['RS256', 'ES256'], more_scopes: 'offline_access' });
  const { text: again } = await post(root, '/admin/providers/form', form);
  for (const uri of [`${gate.url}/callback/second`, `${gate.url}/api/v1/backchannelLogout`, `${gate.url}/logged-out`]) assert.ok(again.includes(`data-copy="${uri}"`), `${uri} in ${again}`);
  const before = text();
  const { text: shown } = await review(root, fields(again));
  assert.match(shown, /id="result">Sign-in and logout can work\./);
  for (const line of ['+ [[provider]]', '+ id = "second"', `+ issuer = "${second.issuer}"`, '+ client_secret_file = "client-secret-second"', '+ scopes = ["profile", "email", "phone", "offline_access"]', '+ algorithms = ["RS256", "ES256"]']) assert.ok(decoded(shown).includes(`<ins>${line}</ins>`), `${line} in ${shown}`);
  assert.ok(shown.includes(`data-copy="${gate.url}/callback/second"`));
  for (const page of [again, shown]) assert.ok(!decoded(page).includes('hunter2'), page);
  assert.equal(text(), before);
  const file = join(gate.folder, 'client-secret-second');
  assert.ok(!existsSync(file));
  gate.forgetLog();
  const saved = await save(root, fields(shown, 'none'));
  assert.equal(saved.status, 303, saved.text);
  assert.match((await get(root, saved.location.slice(gate.url.length))).text, /id="saved"/);
  assert.equal(readFileSync(file, 'utf8'), `${SECRET}\n`);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!text().includes('hunter2') && text().includes('# Of all.'), text());
  const [event] = gate.events().filter(({ code }) => code === 'configuration change');
  assert.deepEqual([event.by, event.detail], ['adder', `provider second added: ${second.issuer}`]);
  assert.ok(!gate.log.includes('hunter2') && gate.log.includes('configuration reloaded'), gate.log);
  const ada = new Agent();
  assert.equal((await ada.signIn(gate, 'second', 'ada')).username, 'ada');
});

test('a provider is changed with a new secret, and its comments stay', async () => {
  writeFileSync(gate.config, text().replace('client_id = "second"', '# As registered.\nclient_id = "second" # in May'));
  await gate.reload();
  const root = await administrator('changer');
  const form = await load(root, 'second');
  assert.deepEqual([value(form, 'client_id'), value(form, 'scope').length, value(form, 'algorithm'), value(form, 'client_secret')], [['second'], 4, ['RS256', 'ES256'], ['']]);
  assert.match((await review(root, form)).text, /Nothing differs from the file/);
  const changed = `${SECRET} of June`;
  const { client } = pair(second, gate, 'second', { client: { client_secret: changed } });
  second.configure([client]);
  const wrong = (await review(root, using(form, { display_name: 'Renamed' }))).text;
  assert.match(wrong, /The provider refuses the client/);
  const { text: shown } = await review(root, using(form, { display_name: 'Renamed', algorithm: 'RS256', scope: ['email', 'profile'], client_secret: changed }));
  assert.match(shown, /id="result">Sign-in and logout can work\./);
  for (const line of ['- client_secret_file = "client-secret-second"', '+ client_secret_file = "client-secret-second-2"', '+ display_name = "Renamed"', '+ scopes = ["email", "profile"]', '+ algorithms = ["RS256"]']) assert.ok(decoded(shown).includes(line), `${line} in ${shown}`);
  assert.ok(!decoded(shown).includes('hunter2'));
  assert.equal((await save(root, fields(shown, 'none'))).status, 303);
  assert.ok(text().includes('# As registered.\nclient_id = "second" # in May'), text());
  // Copies of the file name the secret of before.
  assert.equal(readFileSync(join(gate.folder, 'client-secret-second'), 'utf8'), `${SECRET}\n`);
  assert.equal(readFileSync(join(gate.folder, 'client-secret-second-2'), 'utf8'), `${changed}\n`);
  const event = gate.events().filter(({ code }) => code === 'configuration change').at(-1);
  assert.equal(event.detail, 'provider second: display_name, scopes, algorithms, client_secret_file');
  const grace = new Agent();
  assert.equal((await grace.signIn(gate, 'second', 'grace')).username, 'grace');
  assert.match((await get(root, '/admin/providers')).text, />Renamed</);
});

test('an invalid provider is refused at its field, and nothing that was typed is lost', async () => {
  const root = await administrator('faulty');
  const { text: found } = await discover(root, hostile.issuer);
  const form = using(fields(found), { id: 'third', client_id: 'third', client_secret: SECRET });
  const before = text();
  for (const [changes, fault] of [
    [{ id: 'crm' }, 'id'], [{ id: '../x' }, 'id'], [{ id: 'password' }, 'id'], [{ client_id: '' }, 'client_id'], [{ client_id: 'a\u200bb' }, 'client_id'],
    [{ client_secret: '' }, 'client_secret'], [{ public: 'true' }, 'client_secret'], [{ algorithm: [] }, 'algorithms'], [{ algorithm: 'none' }, 'algorithms'],
    [{ algorithm: 'HS512', client_secret: 'short' }, 'algorithms'], [{ more_scopes: 'a"b' }, 'scopes'], [{ issuer: op.issuer }, 'issuer'], [{ issuer: 'https://login.microsoftonline.com/common/v2.0' }, 'issuer'],
    [{ issuer: 'http://192.0.2.1' }, 'issuer'],
  ]) {
    const { text: shown } = await save(root, using(form, changes));
    assert.ok(shown.includes(`id="fault-${fault}"`), `${JSON.stringify(changes)}: ${shown}`);
    const back = fields(shown);
    for (const [name, one] of Object.entries(changes)) if (!['client_secret', 'more_scopes'].includes(name) && !/\u200b/.test(one)) assert.deepEqual(value(back, name), [one].flat());
    assert.ok(!decoded(shown).includes('hunter2') && !shown.includes('"short"'), shown);
  }
  assert.equal((await review(root, using(form, { client_secret_file: '/etc/shadow' }))).status, 400);
  assert.equal((await review(root, using(form, { issuer: `${hostile.issuer}/` }))).status, 200);
  assert.equal(text(), before);
  assert.ok(!existsSync(join(gate.folder, 'client-secret-third')));
});

// attack: console.provider-by-issuer
test('an issuer is fetched by https or from this machine, without redirects, and says in words what is wrong', async () => {
  const root = await administrator('hunter');
  const asked = () => Object.values(hostile.requests).reduce((sum, count) => sum + count, 0);
  hostile.configure([], {});
  for (const [issuer, said] of [
    ['', 'must not be empty'], ['http://169.254.169.254/latest/meta-data', 'not https'], ['http://192.0.2.1', 'not https'], ['file:///etc/passwd', 'is not accepted'], ['gopher://127.0.0.1:6379/x', 'is not accepted'],
    [`http://root:x@127.0.0.1:${hostile.port}`, 'credentials'], [`${hostile.issuer}/.well-known/openid-configuration`, 'is the address of the discovery document'], [op.issuer, 'another provider has the same issuer'],
  ]) {
    const { text: shown } = await discover(root, issuer);
    assert.ok(shown.includes('id="fault-issuer"') && decoded(shown).toLowerCase().includes(said), `${issuer}: ${shown}`);
  }
  assert.equal(asked(), 0);
  let elsewhere = 0;
  for (const [discovery, said] of [
    [(response) => response.writeHead(302, { location: `${hostile.issuer}/secret` }).end(), 'was answered with'],
    [(_response, send) => send({ issuer: 'https://other.example.com' }), 'they must be equal to the letter'],
    [(_response, send) => send('x'.repeat(3_000_000)), 'answered with more than'],
    [(_response, send) => send('{'), 'discovery document'],
  ]) {
    hostile.configure([], { discovery });
    const { text: shown } = await discover(root, hostile.issuer);
    assert.ok(decoded(shown).includes(said) && shown.includes('id="not-found"'), `${said} in ${shown}`);
    elsewhere += hostile.requests['/secret'] ?? 0;
  }
  assert.equal(elsewhere, 0);
  // Endpoints of the document are not called before the test of the whole provider.
  hostile.configure([], {});
  assert.match((await discover(root, hostile.issuer)).text, /id="provider-form"/);
  assert.deepEqual(hostile.requests, { '/.well-known/openid-configuration': 1 });
  // Six without a wait, together with the tests.
  const many = await Promise.all(Array.from({ length: 9 }, () => discover(root, hostile.issuer)));
  assert.ok(many.some(({ text: shown }) => shown.includes('Another test takes place')));
  assert.ok(hostile.requests['/.well-known/openid-configuration'] <= 3, JSON.stringify(hostile.requests));
});

// attack: administration.save-without-proof
test('only a super-admin looks up, changes and saves providers, with the password, from a page of the console', async () => {
  const [root, boss] = [await administrator('prover'), await administrator('boss')];
  hostile.configure([], {});
  const form = await filled(root, hostile.issuer, { id: 'forged' });
  const forms = { discover: { issuer: hostile.issuer } };
  const before = text();
  hostile.configure([], {});
  assert.equal((await save(root, form, 'wrong')).status, 403);
  const wrong = await save(root, form, 'incorrect horse battery staple');
  assert.match(wrong.text, /password\.wrong/);
  assert.equal(value(fields(wrong.text, 'none'), 'id')[0], 'forged');
  const known = new Agent();
  await known.signInByPassword(gate, 'prover');
  for (const path of POSTS) {
    const body = forms[path.split('/').at(-1)] ?? [...form, ['password', PASSWORD]];
    assert.equal((await post(boss, path, body)).status, 403, path);
    assert.equal((await post(known, path, body)).status, 401, path);
    assert.equal((await post(new Agent(), path, body)).status, 401, path);
    for (const headers of [{ 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }]) assert.equal((await post(root, path, body, headers)).status, 403, path);
    assert.equal((await get(root, path)).status, 405, path);
  }
  for (const path of ['/admin/providers/add', '/admin/providers/crm/edit']) assert.deepEqual([(await get(boss, path)).status, (await get(known, path)).status], [403, 401], path);
  assert.ok(!(await get(boss, '/admin/providers')).text.includes('/admin/providers/add'));
  assert.equal((await get(root, '/admin/providers/none-such/edit')).status, 404);
  assert.deepEqual(hostile.requests, {});
  assert.equal(text(), before);
});

// attack: administration.save-switched-off
test('without the setting no provider is looked up or saved, and a read-only file says why', async () => {
  const root = await administrator('reader');
  const form = await filled(root, hostile.issuer, { id: 'off' });
  chmodSync(gate.config, 0o440);
  try {
    hostile.configure([], {});
    for (const path of POSTS) assert.match((await post(root, path, path.endsWith('discover') ? { issuer: hostile.issuer } : [...form, ['password', PASSWORD]])).text, /id="closed".*read-only/s, path);
    assert.deepEqual(hostile.requests, {});
  } finally {
    chmodSync(gate.config, 0o600);
  }
  const before = text();
  writeFileSync(gate.config, before.replace('admin_edit_configuration = true', ''));
  await gate.reload();
  try {
    assert.match((await get(root, '/admin/providers')).text, /admin_edit_configuration = true/);
    for (const path of POSTS) assert.equal((await post(root, path, path.endsWith('discover') ? { issuer: hostile.issuer } : [...form, ['password', PASSWORD]])).status, 403, path);
    assert.deepEqual(hostile.requests, {});
  } finally {
    writeFileSync(gate.config, before);
  }
});

// attack: console.secret-of-provider
test('a secret between two pages is sealed for its administrator and its provider', async () => {
  const [root, thief] = [await administrator('keeper'), await administrator('thief')];
  hostile.configure([], {});
  const { text: shown } = await review(root, await filled(root, hostile.issuer, { id: 'sealed' }));
  const form = fields(shown, 'none');
  const [kept] = value(form, 'kept_secret');
  assert.ok(kept.length > 40 && !decoded(shown).includes('hunter2'), kept);
  const again = /must be entered again/i;
  const refused = async (agent, changes) => assert.match((await save(agent, using(form, changes))).text, again, JSON.stringify(changes));
  await refused(thief, {});
  // It is sent to no other provider than the one that it was typed for.
  await refused(root, { issuer: second.issuer });
  await refused(root, { what: 'edit', id: 'crm' });
  await refused(root, { kept_secret: `${kept.slice(0, -4)}AAAA` });
  assert.doesNotMatch((await review(root, form)).text, again);
  assert.ok(!readdirSync(gate.folder).some((name) => name.includes('sealed')));
});

test('two people at once: the second sees what the first has changed, and loses nothing', async () => {
  const [root, other] = [await administrator('first'), await administrator('other')];
  hostile.configure([], {});
  const added = await filled(root, hostile.issuer, { id: 'added', display_name: 'Added', algorithm: 'RS256' });
  const [mine, theirs] = [await load(root, 'second'), await load(other, 'second')];
  assert.equal((await save(other, using(theirs, { scope: ['profile'] }))).status, 303);
  const { text: conflict } = await save(root, using(mine, { display_name: 'Mine' }));
  assert.match(conflict, /id="conflict"/);
  assert.match(decoded(conflict), /<ins>\+ scopes = \["profile"\]<\/ins>/);
  const again = fields(conflict);
  assert.deepEqual([value(again, 'display_name'), value(again, 'scope')], [['Mine'], ['profile']]);
  assert.equal((await save(root, again)).status, 303);
  // One that is added, too: with the secret that was entered.
  const { text: late } = await save(root, added);
  assert.match(late, /id="conflict"/);
  assert.equal((await save(root, fields(late))).status, 303);
  for (const part of ['display_name = "Mine"', 'scopes = ["profile"]', 'id = "added"']) assert.ok(text().includes(part), `${part} in ${text()}`);
  assert.equal(readFileSync(join(gate.folder, 'client-secret-added'), 'utf8'), `${SECRET}\n`);
  // At the same moment: one of the two is saved.
  const forms = [await load(root, 'second'), await load(other, 'crm')];
  const together = await Promise.all([save(root, using(forms[0], { display_name: 'A' })), save(other, using(forms[1], { display_name: 'B' }))]);
  assert.deepEqual(together.map(({ status }) => status).sort(), [200, 303]);
});

test('a provider is removed with a word on its people, and the last one stays', async () => {
  const root = await administrator('remover');
  const removal = async (id) => fields((await get(root, `/admin/providers/${id}/edit`)).text.split('aria-labelledby="remove"')[1].replace('class="actions"', 'class="form"'), 'none');
  const ada = new Agent();
  await ada.signIn(gate, 'second', 'ada');
  const { text: shown } = await review(root, await removal('second'));
  assert.match(shown, /id="removed-people"/);
  for (const part of ['<del>- id = "second"</del>', `claimgate provider unlink ${second.issuer}`]) assert.ok(decoded(shown).includes(part), `${part} in ${shown}`);
  assert.equal((await save(root, fields(shown, 'none'))).status, 303);
  assert.ok(!/^id = "second"/m.test(text()) && text().includes('# Of all.'), text());
  assert.equal((await ada.me(gate)).username, 'ada');
  assert.equal((await new Agent().request(`${gate.url}/login/second`)).status, 404);
  assert.ok(gate.events().some(({ detail }) => detail === 'provider second removed'));
  const late = await removal('added');
  assert.equal((await save(root, await removal('added'))).status, 303);
  assert.match((await save(root, late)).text, /has no such provider/);
  const before = text();
  assert.match((await review(root, await removal('crm'))).text, /id="faults".*provider/s);
  assert.equal(text(), before);
});

const MARKUP = ['"><script>ran(1)</script>', "<img/src='x'onerror=ran(2)>", "'/autofocus/onfocus='ran(3)'/x='", '</title></textarea></style></script><svg/onload=ran(5)>', '&lt;img/src=&quot;x&quot;onerror=ran(6)&gt;', '\u202e\u2028'];

// attack: console.script-in-provider-changes
test('markup in every text of a discovery document and of the form is text', async () => {
  const root = await administrator('viewer');
  const all = MARKUP.join(' ');
  const metadata = Object.fromEntries(['scopes_supported', 'id_token_signing_alg_values_supported', 'token_endpoint_auth_methods_supported', 'code_challenge_methods_supported'].map((name) => [name, ['RS256', ...MARKUP]]));
  const ran = [];
  const { page, context, complaints, close } = await openBrowser({ scripts: true, bypassCSP: true });
  await context.exposeFunction('ran', (number) => ran.push(number));
  try {
    await lend(root, context, gate.url);
    const shown = async (part) => {
      const found = await page.evaluate(() => ({ text: document.body.innerText, strange: [...document.querySelectorAll('img, iframe, main script, main svg [onload], [onfocus]')].map(({ outerHTML }) => outerHTML) }));
      assert.deepEqual(found.strange, []);
      assert.ok(!/[\u2028\u202e]/.test(found.text));
      if (part) assert.ok(found.text.includes(part), `${part} in ${found.text}`);
    };
    const lookUp = async (overrides) => {
      hostile.configure([], overrides);
      await page.goto(`${gate.url}/admin/providers/add`);
      await page.getByLabel('Issuer').fill(hostile.issuer);
      await page.getByRole('button', { name: 'Look it up' }).click();
    };
    await lookUp({ discovery: (_response, send) => send({ issuer: all }) });
    await shown('onerror=ran(2)');
    await lookUp({ metadata: { ...metadata, userinfo_endpoint: `javascript:ran(4)//${all}`, end_session_endpoint: `${hostile.issuer}/${all}`, authorization_endpoint: `${hostile.issuer}/authorize?x=${all}` } });
    await shown("<img/src='x'onerror=ran(2)>");
    for (const scope of ["<img/src='x'onerror=ran(2)>"]) await page.locator(`input[name="scope"][value="${scope}"]`).check();
    await page.getByLabel('Client id').fill(all.slice(0, -3));
    await page.getByLabel('Name on the button').fill(all.slice(0, -3));
    await page.getByLabel('Client secret').fill(all);
    await page.getByRole('button', { name: 'Test and review' }).click();
    await shown('Client secret');
    await page.getByLabel('Client secret').fill(SECRET);
    await page.getByRole('button', { name: 'Test and review' }).click();
    await page.getByRole('heading', { name: 'What changes' }).waitFor();
    await shown("<img/src='x'onerror=ran(2)>");
    await page.getByLabel('Your password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('#saved').waitFor();
    await shown('onerror=ran(2)');
    await page.getByRole('link', { name: /^Change .*script/ }).click();
    await shown("<img/src='x'onerror=ran(2)>");
  } finally {
    await close();
  }
  assert.deepEqual(ran, []);
  assert.deepEqual(complaints, []);
});

for (const scripts of [true, false]) {
  test(`in the browser ${scripts ? 'with' : 'without'} scripts: a provider is added, changed and removed`, async () => {
    const id = scripts ? 'browser' : 'plain';
    const { client } = pair(second, gate, id, { client: { client_secret: SECRET } });
    second.configure([client]);
    const root = await administrator(scripts ? 'adder' : 'changer');
    const { page, context, complaints, close } = await openBrowser({ scripts });
    // The tool looks by a script.
    const inspect = async (name) => { if (scripts) await look(page, `provider-${name}`); };
    try {
      await lend(root, context, gate.url);
      await page.goto(`${gate.url}/admin/providers`);
      await inspect('list');
      await page.getByRole('link', { name: 'Add a provider' }).click();
      await page.getByLabel('Issuer').fill(`${second.issuer}/wrong`);
      await page.getByRole('button', { name: 'Look it up' }).click();
      await page.getByRole('heading', { name: 'The provider was not found' }).waitFor();
      await inspect('not-found');
      await page.getByLabel('Issuer').fill(second.issuer);
      await page.getByRole('button', { name: 'Look it up' }).click();
      await page.getByLabel('Id here').fill(id);
      await page.getByLabel('Name on the button').fill('Example');
      await page.getByLabel('Client id').fill(id);
      await inspect('form');
      await page.getByRole('button', { name: 'Test and review' }).click();
      await page.locator('#fault-client_secret').waitFor();
      await inspect('fault');
      await page.getByLabel('Client secret').fill(SECRET);
      await page.getByRole('button', { name: 'Show the addresses for this id' }).click();
      await page.getByText(`${gate.url}/callback/${id}`).waitFor();
      assert.equal(await page.getByLabel('Client secret').inputValue(), '');
      await page.getByLabel('ES256').check();
      await page.getByRole('button', { name: 'Test and review' }).click();
      await page.getByText('Sign-in and logout can work.').waitFor();
      await inspect('review');
      await page.getByRole('button', { name: 'Back to the form' }).click();
      assert.equal(await page.getByLabel('Id here').inputValue(), id);
      assert.ok(await page.getByLabel('ES256').isChecked());
      await page.getByRole('button', { name: 'Test and review' }).click();
      await page.getByLabel('Your password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Save' }).click();
      await page.locator('#saved').waitFor();
      assert.equal(readFileSync(join(gate.folder, `client-secret-${id}`), 'utf8'), `${SECRET}\n`);
      await page.locator(`#${id}`).getByRole('link', { name: 'Change' }).click();
      await inspect('change');
      await page.getByRole('button', { name: `Remove ${id}` }).click();
      await page.locator('#removed-people').waitFor();
      await inspect('removal');
      await page.getByRole('button', { name: 'Back to the form' }).click();
      assert.equal(await page.getByLabel('Client id').inputValue(), id);
      await page.getByRole('button', { name: `Remove ${id}` }).click();
      await page.getByLabel('Your password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Save' }).click();
      await page.locator('#saved').waitFor();
      assert.ok(!text().includes(`"${id}"`));
    } finally {
      await close();
    }
    assert.deepEqual(complaints, []);
  });
}
