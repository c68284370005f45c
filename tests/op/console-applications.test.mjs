// The applications of the console: the rules as the file has them, tried out on a request.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

const MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
const APPLICATIONS = [
  { name: `Wiki ${MARKUP}`, hosts: ['wiki.example.com'], rule: [
    { paths: ['/health'], methods: ['GET'], allow: 'anyone' },
    { paths: ['/admin/*'], teams: ['Administrators', MARKUP] },
    { paths: ['/closed'], allow: 'no_one' },
    { paths: ['/pages/*'], allow: 'signed_in' },
  ] },
  { name: 'Payroll', hosts: ['payroll.example.com'], rule: [{ allow: 'signed_in', max_age: '10m' }] },
];

let op;
let gate;
let root;
const page = (path, options) => root.request(`${gate.url}${path}`, { headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' }, ...options });
const ask = async (url, more = {}) => (await page('/admin/applications/answer', { method: 'POST', form: { url, ...more } })).text;
const id = (text, name) => new RegExp(`id="${name}">([^<]*)<`).exec(text)?.[1];

before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op, { applications: APPLICATIONS }));
  gate.addUser('root', 'super-admin', '--team', 'Administrators');
  gate.addUser('regular', 'admin');
  gate.addUser('away');
  gate.command(['user', 'deactivate', 'away']);
  root = new Agent();
  await root.administer(gate, 'root');
});
after(async () => { await op?.stop(); await gate?.close(); });

// finding: N3
test('a request is tried out as forward-auth decides on it', async () => {
  const grace = new Agent();
  await grace.signInByPassword(gate, 'regular');
  const strangers = new Agent();
  const cases = [
    ['', strangers, [['/health', '1', undefined, 'GET'], ['/health', undefined, 'access.no_rule', 'POST'], ['/pages/x', '4', 'request.signed_out'], ['/pages/../admin/x', undefined, 'access.ambiguous']]],
    ['regular', grace, [['/pages/x', '4'], ['/admin/', '2', 'request.forbidden'], ['/closed', '3', 'request.forbidden'], ['/elsewhere', undefined, 'access.no_rule']]],
    ['root', root, [['/admin/users', '2'], ['/pages//%2561dmin', undefined, 'access.ambiguous']]],
  ];
  for (const [user, agent, requests] of cases) {
    for (const [path, rule, code, method = 'GET'] of requests) {
      const text = await ask(`https://wiki.example.com${path}`, { user, method });
      assert.deepEqual([id(text, 'rule'), id(text, 'code'), id(text, 'verdict')], [rule, code, code ? 'Refused' : 'Admitted'], `${user} ${method} ${path}: ${text}`);
      // Forward-auth itself.
      const headers = { 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-uri': path, 'x-forwarded-method': method, 'x-forwarded-proto': 'https' };
      const { status } = await agent.request(`${gate.url}/auth`, { headers });
      assert.equal(status, code === 'request.signed_out' ? 401 : code ? 403 : 200, `${user} ${method} ${path}`);
    }
  }
});

test('the session of the person counts, and what is not known is said', async () => {
  const payroll = 'https://payroll.example.com/';
  assert.equal(id(await ask(payroll, { user: 'root' }), 'verdict'), 'Admitted');
  const unknown = await ask(payroll, { user: 'away' });
  assert.match(unknown, /No live session/);
  assert.match(unknown, /the user is switched off|Switched off/i);
  assert.match(await ask(payroll, { user: 'no-such-person' }), /No user has the name no-such-person/);
  assert.match(await ask('wiki.example.com/x'), /cannot be read/);
  assert.match(await ask(`https://wiki.example.com/${'x'.repeat(9000)}`), /cannot be read: it is longer/);
  assert.match(await ask('https://elsewhere.example.com/'), /access\.no_application/);
  // The rules before the one that decides, with their lines in the file.
  const admin = await ask('https://wiki.example.com/admin/x', { user: 'regular' });
  assert.match(admin, /Rule 1 \(\/health; GET\) does not fit .*claimgate\.toml:\d+/s);
  assert.match(admin, /Rule 2 .*fits, and refuses the request/s);
  assert.match(admin, /Rule 3 .*is not asked any more/s);
});

test('the page shows the rules, and takes a request from its address', async () => {
  const shown = (await page('/admin/applications')).text;
  for (const part of ['/admin/*', 'every signed-in user', 'at most 600 s ago', 'claimgate.toml:']) assert.ok(shown.includes(part), `${part} in ${shown}`);
  const linked = (await page('/admin/applications?url=https%3A%2F%2Fwiki.example.com%2Fadmin%2F&user=regular')).text;
  assert.deepEqual([id(linked, 'verdict'), id(linked, 'code')], ['Refused', 'request.forbidden']);
  assert.match(linked, /value="https:\/\/wiki\.example\.com\/admin\/"/);
  assert.equal((await page('/admin/applications?else=1')).status, 400);
});

// attack: console.script-in-applications
test('markup in names, addresses, methods and usernames is text', async () => {
  const texts = [(await page('/admin/applications')).text, (await page(`/admin/applications?${new URLSearchParams({ url: MARKUP, user: MARKUP, method: MARKUP })}`)).text];
  for (const url of [MARKUP, `https://wiki.example.com/${MARKUP}`, `https://${MARKUP}/`, 'https://wiki.example.com/admin/x']) {
    for (const more of [{}, { user: MARKUP }, { user: 'root', method: MARKUP }]) texts.push(await ask(url, more));
  }
  for (const text of texts) assert.ok(!text.includes('<script>alert') && !text.includes('<img'), text);
  assert.ok(texts.some((text) => text.includes('&lt;script&gt;')));
});
