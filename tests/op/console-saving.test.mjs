// The configuration file changed in the console: the form, the diff, the copy, the reload, and what is refused.

import assert from 'node:assert/strict';
import { chmodSync, lstatSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Agent, PASSWORD } from './agent.mjs';
import { openBrowser } from './browser.mjs';
import { IDENTITY, replace, until } from './claimgate.mjs';
import { look } from './looks.mjs';
import { OpenIdProvider } from './provider.mjs';

const MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
const COMMENTED = IDENTITY.replace('username =', '# Not `sub`: it is a number.\nusername =').replace('[[identity.team]]\ngroup', '# Those who administer.\n[[identity.team]]\ngroup').replace('"Administrators"', '"Administrators" # by hand');
const PAGE = { accept: 'text/html', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' };

let op;
let gate;
const get = (agent, path, headers = {}) => agent.request(`${gate.url}${path}`, { headers: { ...PAGE, ...headers } });
const post = (agent, path, form, headers = {}) => agent.request(`${gate.url}${path}`, { method: 'POST', form, headers: { ...PAGE, ...headers } });
const text = () => readFileSync(gate.config, 'utf8');
const copies = () => readdirSync(gate.folder).filter((name) => name.startsWith('claimgate.toml.before-')).sort();
const decoded = (value) => value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** The fields of the form on a page, as a browser sends them. */
function fields(page) {
  const form = /<form[^>]*id="trial".*?<\/form>/s.exec(page)?.[0] ?? /<form class="form" method="post".*?<\/form>/s.exec(page)[0];
  const found = {};
  for (const [, attributes] of form.matchAll(/<input([^>]*)>/g)) {
    const of = (name) => new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1];
    if (of('type') === 'checkbox' && !/ checked/.test(attributes)) continue;
    if (of('name')) found[decoded(of('name'))] = decoded(of('value') ?? '');
  }
  for (const [, name, content] of form.matchAll(/<textarea[^>]*name="([^"]*)"[^>]*>(.*?)<\/textarea>/gs)) found[name] = decoded(content);
  for (const [, name, options] of form.matchAll(/<select[^>]*name="([^"]*)"[^>]*>(.*?)<\/select>/gs)) found[name] = /value="([^"]*)" selected/.exec(options)?.[1] ?? '';
  delete found.password;
  return found;
}
const load = async (agent) => fields((await get(agent, '/admin/mapping')).text);
const save = (agent, form, password = PASSWORD) => post(agent, '/admin/mapping/save', { ...form, password });

async function administrator(name) {
  const agent = new Agent();
  await agent.administer(gate, name);
  return agent;
}

before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op, { server: { admin_edit_configuration: true }, identity: COMMENTED }));
  chmodSync(gate.config, 0o640);
  // Another one for each test: attempts at a password by name are limited.
  for (const name of ['saver', 'presser', 'faulty', 'first', 'second', 'third', 'prover', 'marker', 'reader', 'editor', 'meanwhile', 'keeper', 'leaver', 'payer', 'trier']) gate.addUser(name, 'super-admin');
  gate.addUser('boss', 'admin');
});
after(async () => { await gate?.close(); await op?.stop(); });

test('a change is reviewed, saved with its comments, kept a copy of, and used at the next sign-in', async () => {
  const root = await administrator('saver');
  const form = await load(root);
  assert.deepEqual([form.username, form['rule.0.text'], form['rule.1.matcher'], form['profile.0.field']], ['preferred_username', 'crm-admin', 'prefix', 'email']);
  const before = text();
  const changed = { ...form, 'rule.0.teams': 'Administrators\r\nOn call', default_teams: 'Everybody' };
  // The trial is of what was entered.
  const tried = (await post(root, '/admin/mapping/answer', { ...changed, subject: '{"sub":"1","preferred_username":"zoe","groups":["crm-admin"]}' })).text;
  for (const part of ['>On call<', '>Everybody<', 'create the user &quot;zoe&quot;']) assert.ok(tried.includes(part), `${part} in ${tried}`);
  const review = (await post(root, '/admin/mapping/review', changed)).text;
  for (const part of ['<del>- team = "Administrators" # by hand</del>', '<ins>+ teams = ["Administrators", "On call"]', '<ins>+ default_teams = ["Everybody"]</ins>']) assert.ok(decoded(review).includes(part), `${part} in ${review}`);
  assert.ok(!review.includes('a secret of') && !review.includes('for services only'), review);
  assert.equal(text(), before);
  assert.deepEqual(fields(review), Object.fromEntries(Object.entries(changed).filter(([name]) => name !== 'path').map(([name, value]) => [name, value.replaceAll('\r\n', '\n')])));
  gate.forgetLog();
  const saved = await save(root, fields(review));
  assert.equal(saved.status, 303, saved.text);
  assert.match((await get(root, saved.location.slice(gate.url.length))).text, /id="saved"/);
  const after = text();
  for (const part of ['# Not `sub`: it is a number.', '# Those who administer.', 'teams = ["Administrators", "On call"]']) assert.ok(after.includes(part), `${part} in ${after}`);
  assert.equal(copies().length, 1);
  const copy = join(gate.folder, copies()[0]);
  assert.equal(readFileSync(copy, 'utf8'), before);
  for (const [file, mode] of [[gate.config, 0o640], [copy, 0o600]]) assert.equal(statSync(file).mode & 0o777, mode);
  assert.ok(gate.log.includes('configuration reloaded') && gate.log.includes('identity: default_teams, team'), gate.log);
  const [event] = gate.events().filter(({ code }) => code === 'configuration change');
  assert.deepEqual([event.by, event.detail], ['saver', 'identity: default_teams, team']);
  const ada = new Agent();
  await ada.signIn(gate, 'crm', 'ada');
  assert.ok((await ada.me(gate)).teams.includes('Everybody'), JSON.stringify(await ada.me(gate)));
});

test('buttons add, move and remove rules without scripts, and nothing that was typed is lost', async () => {
  const root = await administrator('presser');
  const form = { ...(await load(root)), subject: '{"sub":"typed"}', 'rule.0.text': 'typed too' };
  const press = async (from, value) => fields((await post(root, '/admin/mapping', { ...from, do: value })).text);
  const added = await press(form, 'add-rule');
  assert.deepEqual([added['rule.2.text'], added['rule.0.text'], added.subject], ['', 'typed too', form.subject]);
  const moved = await press(added, 'lower-rule.0');
  assert.equal(moved['rule.1.text'], 'typed too');
  const removed = await press(moved, 'remove-rule.0');
  assert.deepEqual([removed['rule.0.text'], removed['rule.2.text']], ['typed too', undefined]);
  assert.match((await post(root, '/admin/mapping/review', await load(root))).text, /Nothing differs from the file/);
  assert.equal((await post(root, '/admin/mapping/review', { ...form, 'rule.0.txt': 'x' })).status, 400);
});

test('an invalid change is refused at its field, and nothing that was typed is lost', async () => {
  const root = await administrator('faulty');
  const form = await load(root);
  const before = text();
  for (const [field, value, fault] of [
    ['rule.1.text', '(', 'fault-team-1-'], ['profile.1.path', '$.[', 'fault-profile-1-'], ['username', '', 'fault-username'],
    ['profile.1.field', 'email', 'fault-profile-1-'], ['group.0.path', '$[', 'fault-groups-0-'],
  ]) {
    const wrong = { ...form, 'rule.1.matcher': 'regex', 'rule.1.text': 'x', subject: '{"kept":1}', [field]: value };
    for (const path of ['/admin/mapping/review', '/admin/mapping/save']) {
      const { text: shown } = await post(root, path, { ...wrong, password: PASSWORD });
      assert.ok(shown.includes(`id="${fault}"`) && shown.includes('aria-invalid="true"'), `${field}: ${shown}`);
      assert.deepEqual([fields(shown)[field], fields(shown).subject], [value, '{"kept":1}']);
    }
    assert.match((await post(root, '/admin/mapping/answer', wrong)).text, /id="draft"/);
  }
  assert.equal(text(), before);
});

test('two people at once: the second sees what the first has changed, and loses nothing', async () => {
  const [root, other] = [await administrator('first'), await administrator('second')];
  const [first, second] = [await load(root), await load(other)];
  assert.equal((await save(root, { ...first, default_teams: 'First' })).status, 303);
  const mine = { ...second, 'rule.1.teams': 'Mine' };
  for (const path of ['/admin/mapping/review', '/admin/mapping/save']) {
    const { text: shown } = await post(other, path, { ...mine, password: PASSWORD });
    assert.match(shown, /id="conflict"/);
    assert.match(shown, /<ins>\+ default_teams = \[&quot;First&quot;\]<\/ins>/);
    assert.equal(fields(shown)['rule.1.teams'], 'Mine');
  }
  const again = fields((await post(other, '/admin/mapping/review', mine)).text);
  // What the second person has left alone is as the first one has changed it; what both change is shown before it is saved.
  assert.equal(again.default_teams, 'First');
  const both = (await post(other, '/admin/mapping/review', { ...again, default_teams: 'Second' })).text;
  assert.match(both, /<del>- default_teams = \[&quot;First&quot;\]<\/del>/);
  assert.equal((await save(other, again)).status, 303);
  assert.match(text(), /default_teams = \["First"\]/);
  assert.match(text(), /team = "Mine"/);
  // By hand, too: the form is of a version that is gone.
  const late = await load(root);
  writeFileSync(gate.config, `# by hand\n${text()}`);
  assert.match((await save(root, { ...late, default_teams: 'Late' })).text, /id="conflict"/);
  assert.match((await post(root, '/admin/mapping/review', { ...(await load(root)), default_teams: 'Late' })).text, /was changed since this server read it/);
  // At the same moment: one of the two is saved.
  const third = await administrator('third');
  const forms = [await load(third), await load(other)];
  const together = await Promise.all([save(third, { ...forms[0], default_teams: 'A' }), save(other, { ...forms[1], default_teams: 'B' })]);
  assert.deepEqual(together.map(({ status }) => status).sort(), [200, 303]);
});

// attack: console.secret-in-diff
test('a secret that another person changes by hand meanwhile is not shown', async () => {
  const keeper = await administrator('keeper');
  const form = await load(keeper);
  assert.equal((await save(keeper, { ...form, default_teams: 'Keepers' })).status, 303);
  const before = text();
  const [, old] = /client_secret = "([^"]+)"/.exec(before);
  writeFileSync(gate.config, before.replace(old, `another ${old}`));
  const { text: shown } = await post(keeper, '/admin/mapping/review', { ...form, 'rule.0.teams': 'X' });
  writeFileSync(gate.config, before);
  for (const line of ['- client_secret = "(secret)"', '+ client_secret = "(a new secret)"']) assert.ok(decoded(shown).includes(line), `${line} in ${shown}`);
  for (const secret of ['a secret of', 'for services only']) assert.ok(!decoded(shown).includes(secret), shown);
});

// attack: administration.save-without-proof
test('only a super-admin saves, with the password, from a page of the console', async () => {
  const [root, boss] = [await administrator('prover'), await administrator('boss')];
  const form = { ...(await load(root)), default_teams: 'Forged' };
  const before = text();
  assert.equal((await save(root, form, 'incorrect horse battery staple')).status, 403);
  assert.equal((await save(root, form, '')).status, 403);
  const wrong = await save(root, form, 'wrong');
  assert.equal(fields(wrong.text).default_teams, 'Forged');
  assert.match(wrong.text, /password\.wrong/);
  for (const part of ['Nothing was saved.', 'The password is wrong.', 'id="reference"']) assert.ok(wrong.text.includes(part), `${part} in ${wrong.text}`);
  assert.ok(!(await get(boss, '/admin/mapping')).text.includes('id="mapping"'));
  assert.equal((await save(boss, form)).status, 403);
  assert.equal((await post(boss, '/admin/mapping/review', form)).status, 403);
  const known = new Agent();
  await known.signInByPassword(gate, 'prover');
  assert.equal((await save(known, form)).status, 401);
  for (const headers of [{ 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }]) {
    for (const path of ['/admin/mapping/save', '/admin/mapping/review']) assert.equal((await post(root, path, { ...form, password: PASSWORD }, headers)).status, 403);
  }
  assert.equal((await get(root, '/admin/mapping/save')).status, 405);
  assert.equal(text(), before);
});

// attack: console.script-in-mapping-form
test('markup in the fields and in the file is text', async () => {
  const root = await administrator('marker');
  const form = await load(root);
  const dirty = { ...form, username: MARKUP, default_teams: MARKUP, 'rule.0.text': MARKUP, 'rule.0.teams': MARKUP, 'rule.0.unless': MARKUP, 'profile.0.field': MARKUP, 'profile.0.path': MARKUP, 'group.0.path': MARKUP };
  const texts = [];
  for (const path of ['/admin/mapping', '/admin/mapping/answer', '/admin/mapping/review']) {
    texts.push((await post(root, path, dirty)).text, (await post(root, path, { ...form, default_teams: MARKUP })).text, (await post(root, path, { ...form, table: MARKUP, version: MARKUP })).text);
  }
  texts.push((await get(root, `/admin/mapping?${new URLSearchParams({ table: MARKUP, done: MARKUP })}`)).text);
  for (const shown of texts) assert.ok(!shown.includes('<script>alert') && !shown.includes('<img'), shown);
  assert.ok(texts.some((shown) => shown.includes('<ins>+ default_teams')));
});

test('a file that the server may not replace makes the page say why, and what to do', async () => {
  // Attempts at a password are limited by address, too: the count begins anew.
  await gate.stop();
  await gate.start();
  const root = await administrator('reader');
  const form = await load(root);
  chmodSync(gate.config, 0o440);
  try {
    const { text: shown } = await get(root, '/admin/mapping');
    assert.match(decoded(shown), /id="closed".*is read-only \(mode 440\).*chmod u\+w/s);
    assert.ok(!shown.includes('id="mapping"') && shown.includes('A token, or claims as JSON'));
    assert.match((await save(root, { ...form, default_teams: 'X' })).text, /id="closed"/);
    assert.equal(lstatSync(gate.config).mode & 0o777, 0o440);
  } finally {
    chmodSync(gate.config, 0o640);
  }
  assert.ok((await get(root, '/admin/mapping')).text.includes('id="mapping"'));
});

test('a save whose client disconnects happens as a whole or not at all', async () => {
  const root = await administrator('leaver');
  const seen = [];
  for (let round = 0; round < 6; round += 1) {
    const form = { ...(await load(root)), default_teams: `Left ${round}` };
    const before = new Set(readdirSync(gate.folder));
    gate.forgetLog();
    const body = new URLSearchParams({ ...form, password: PASSWORD }).toString();
    const cookie = [...root.cookies(gate.url)].map(([name, value]) => `${name}=${value}`).join('; ');
    const request = http.request(`${gate.url}/admin/mapping/save`, { method: 'POST', agent: false, headers: { ...PAGE, cookie, 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) } });
    request.on('error', () => {});
    request.end(body);
    // The new file is beside the old one first, then the copy, then the file is replaced. `until` would look too seldom.
    const sign = round % 2 ? 'claimgate.toml.before-' : '.claimgate.toml.saving-';
    const isThere = () => readdirSync(gate.folder).some((name) => !before.has(name) && name.startsWith(sign));
    for (const end = Date.now() + 5_000; Date.now() < end && !isThere();) await setImmediate();
    request.destroy();
    await sleep(1_000);
    const parts = () => {
      const recorded = gate.events().filter(({ code, by }) => code === 'configuration change' && by === 'leaver').length;
      return [recorded > seen.filter(([is]) => is).length, text().includes(`"Left ${round}"`), gate.log.includes('configuration reloaded')];
    };
    // A slow machine is still at it.
    await until('it happened as a whole or not at all', () => new Set(parts()).size === 1);
    seen.push(parts());
  }
  assert.ok(seen.every((parts) => new Set(parts).size === 1) && seen.some(([is]) => is), JSON.stringify(seen));
});

// attack: console.mapping-form-costs
test('a form of many large expressions takes neither time nor memory of others', async () => {
  const root = await administrator('payer');
  const form = { ...(await load(root)), subject: '{"sub":"1","groups":["a"]}' };
  for (let row = 0; row < 300; row += 1) Object.assign(form, { [`rule.${row}.from`]: '', [`rule.${row}.matcher`]: 'regex', [`rule.${row}.text`]: '\\w{40}x{1000}', [`rule.${row}.teams`]: 'a' });
  const before = gate.memory('VmHWM');
  const answers = await Promise.all([1, 2, 3, 4].map(() => post(root, '/admin/mapping/answer', form)));
  for (const { status, text: shown } of answers) assert.ok(status === 503 || /id="draft".*together/s.test(shown), `${status} ${shown}`);
  const grown = gate.memory('VmHWM') - before;
  // All compiled, one form took 700 MiB.
  assert.ok(grown < 150, `${grown} MiB`);
});

// attack: console.trial-costs
test('claims and a mapping that multiply take neither memory nor the time of others', async () => {
  const payer = await administrator('trier');
  const { 'rule.0.text': _, ...form } = await load(payer);
  for (const name of Object.keys(form)) if (/^(rule|group|profile)\./.test(name)) delete form[name];
  const many = (count, make) => Object.assign({}, ...Array.from({ length: count }, (_, row) => make(row)));
  const groups = (values) => JSON.stringify({ sub: 'x', a: values });
  const prefixes = many(1_000, (row) => ({ [`rule.${row}.matcher`]: 'prefix', [`rule.${row}.text`]: 'a', [`rule.${row}.teams`]: '{rest}' }));
  const patterns = `$[?${Array.from({ length: 100 }, () => "search(@,'\\\\p{L}{9}')").join('||')}]`;
  const before = gate.memory('VmHWM');
  for (const [what, fields] of Object.entries({
    profile: { subject: groups(Array(19_000).fill(1)), ...many(2_000, (row) => ({ [`profile.${row}.field`]: `f${row}`, [`profile.${row}.path`]: '$' })) },
    groups: { subject: groups(Array(19_000).fill(null)), ...many(2_000, (row) => ({ [`group.${row}.path`]: 'a' })) },
    rules: { subject: groups(Array.from({ length: 4_900 }, (_, index) => `a${index}`)), 'group.0.path': 'a', ...prefixes },
    path: { subject: groups(['a']), path: patterns },
  })) {
    let [slowest, done] = [0, false];
    const probes = (async () => {
      while (!done) {
        const begun = Date.now();
        await fetch(`${gate.url}/healthz`);
        slowest = Math.max(slowest, Date.now() - begun);
      }
    })();
    const { status, text: shown } = await post(payer, '/admin/mapping/answer', { ...form, username: 'sub', ...fields });
    done = true;
    await probes;
    assert.equal(status, 200, what);
    assert.match(shown, /at most 100 claim paths|match_limit|more than 16 regular expressions/, what);
    assert.ok(shown.length < 1_000_000, `${what}: ${shown.length} bytes`);
    assert.ok(slowest < 2_000, `${what}: ${slowest} ms`);
  }
  const grown = gate.memory('VmHWM') - before;
  assert.ok(grown < 150, `${grown} MiB`);
});

// attack: console.setting-left-alone
test('a mapping with an invisible character is changed by hand, also by a form of before', async () => {
  const invisible = COMMENTED.replace(/groups = .*/, 'groups = [{ path = "roles", separator = "\\u001f" }]');
  const { gate: other } = await replace(undefined, op, { server: { admin_edit_configuration: true }, identity: invisible });
  const [open, form] = [gate, await load(await administrator('payer'))];
  gate = other;
  try {
    gate.addUser('root', 'super-admin');
    const root = await administrator('root');
    const before = text();
    assert.ok(before.includes('separator = "\\u001f"'));
    const { text: shown } = await get(root, '/admin/mapping');
    assert.ok(shown.includes('change it by hand') && !shown.includes('id="mapping"'), shown);
    assert.match((await save(root, { ...form, default_teams: 'X' })).text, /change it by hand/);
    assert.equal(text(), before);
  } finally {
    await other.close();
    gate = open;
  }
});

test('a page promises an event where events are recorded', async () => {
  const review = async (agent) => (await post(agent, '/admin/mapping/review', { ...(await load(agent)), default_teams: 'X' })).text;
  assert.match(await review(await administrator('payer')), /The change is recorded as an event/);
  const { gate: silent } = await replace(undefined, op, { server: { admin_edit_configuration: true }, identity: `${COMMENTED}\n[events]\nenabled = false\n` });
  const open = gate;
  gate = silent;
  try {
    gate.addUser('root', 'super-admin');
    const shown = await review(await administrator('root'));
    assert.ok(!shown.includes('is recorded as an event') && shown.includes('in the log alone'), shown);
  } finally {
    await silent.close();
    gate = open;
  }
});

// attack: administration.save-switched-off
test('without the setting nothing is saved', async () => {
  const { gate: closed } = await replace(undefined, op, { identity: COMMENTED });
  const [open, form] = [gate, await load(await administrator('reader'))];
  gate = closed;
  try {
    gate.addUser('root', 'super-admin');
    const root = await administrator('root');
    const before = text();
    const { text: shown } = await get(root, '/admin/mapping');
    assert.match(shown, /admin_edit_configuration = true/);
    for (const path of ['/admin/mapping/review', '/admin/mapping/save']) assert.equal((await post(root, path, { ...form, password: PASSWORD })).status, 403);
    assert.equal(text(), before);
    assert.deepEqual(copies(), []);
  } finally {
    await closed.close();
    gate = open;
  }
});

test('in the browser: a rule is added, tried out as it is typed, reviewed and saved', async () => {
  const { page, complaints, close } = await openBrowser({ scripts: true });
  try {
    await page.goto(`${gate.url}/admin/mapping`);
    await page.getByRole('link', { name: 'Sign in with a password' }).click();
    await page.getByLabel('Username').fill('editor');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Confirm' }).click();
    await page.getByLabel('A token, or claims as JSON').fill('{"sub":"9","preferred_username":"zoe","groups":["new-group"]}');
    await page.locator('#username').first().waitFor();
    await page.getByRole('button', { name: 'Add a rule' }).click();
    await page.getByLabel('Text of rule 3').fill('new-group');
    await page.getByLabel('Gives the teams of rule 3').fill('Newcomers');
    await page.locator('#teams').filter({ hasText: 'Newcomers' }).waitFor();
    await look(page, 'mapping');
    await page.getByLabel('Text of rule 3').fill('(');
    await page.getByLabel('A group of rule 3').selectOption('regex');
    await page.locator('#draft').waitFor();
    await page.getByRole('button', { name: 'Review the change' }).click();
    await page.locator('.fault').first().waitFor();
    await look(page, 'fault');
    await page.getByLabel('Text of rule 3').fill('new-(group)');
    await page.getByRole('button', { name: 'Review the change' }).click();
    await page.getByRole('heading', { name: 'What changes' }).waitFor();
    await look(page, 'review');
    await page.getByRole('button', { name: 'Back to the form' }).click();
    assert.equal(await page.getByLabel('Text of rule 3').inputValue(), 'new-(group)');
    await page.getByRole('button', { name: 'Review the change' }).click();
    await page.getByLabel('Your password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('#saved').waitFor();
    await look(page, 'saved');
    assert.equal(await page.getByLabel('Text of rule 3').inputValue(), 'new-(group)');
    assert.match(text(), /\[\[identity\.team\]\]\nregex = "new-\(group\)"\nteam = "Newcomers"/);
    // Another person saves meanwhile.
    const other = await administrator('meanwhile');
    await page.getByLabel('Gives the teams of rule 3').fill('Beginners');
    await save(other, { ...(await load(other)), default_teams: 'Meanwhile' });
    await page.getByRole('button', { name: 'Review the change' }).click();
    await page.locator('#conflict').waitFor();
    await look(page, 'conflict');
    assert.equal(await page.getByLabel('Gives the teams of rule 3').inputValue(), 'Beginners');
    chmodSync(gate.config, 0o440);
    await page.goto(`${gate.url}/admin/mapping`);
    await page.locator('#closed').waitFor();
    await look(page, 'read-only');
  } finally {
    chmodSync(gate.config, 0o640);
    await close();
  }
  assert.deepEqual(complaints, []);
});
