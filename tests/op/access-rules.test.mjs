// Rules of access to applications: asked as proxies ask, behind a real nginx, and by `explain --url`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent, exchangeBytes } from './agent.mjs';
import { Application, documented } from './application.mjs';
import { BINARY, Claimgate, freePort, pair, until } from './claimgate.mjs';
import { Nginx } from './nginx.mjs';
import { OpenIdProvider } from './provider.mjs';

const PAGE = { accept: 'text/html' };
const RULES = [
  { paths: ['/health', '/hooks/*'], allow: 'anyone' },
  { methods: ['OPTIONS'], allow: 'anyone' },
  { paths: ['/admin/*'], teams: ['Administrators'] },
  { paths: ['/board/*'], any_of: [{ all_teams: ['sales', 'Administrators'] }, { users: ['grace'] }] },
  { paths: ['/archive/*'], methods: ['GET'], allow: 'signed_in' },
  { paths: ['/archive/*'], allow: 'no_one' },
  { paths: ['/pages/*', '/'], allow: 'signed_in' },
];

const PAY = {
  name: 'pay',
  hosts: ['pay.example.com'],
  headers: { header: [{ name: 'X-Org', claim: 'hd' }, { name: 'X-Roles', claim: '$.groups[*]', separator: ';' }, { name: 'X-Subject', claim: 'sub' }] },
  rule: [
    { paths: ['/mfa'], allow: 'signed_in', max_age: '5m', acr: ['mfa'] },
    { paths: ['/org'], claim: [{ path: 'hd', one_of: ['example.com'] }] },
  ],
};

let op;
let gate;
let application;
let nginx;
let site;
let host;
const people = {};

before(async () => {
  op = await OpenIdProvider.start();
  gate = await Claimgate.prepare();
  application = await Application.start();
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  site = `http://${host}`;
  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${site}/sso/callback/crm`];
  op.configure([client]);
  await gate.write({
    providers: [provider],
    applications: [PAY, { name: 'wiki', hosts: ['127.0.0.1'], rule: RULES }, { hosts: ['open.example.com'], rule: [{ allow: 'signed_in' }] }, { hosts: ['*.closed.example.com'], rule: [{ paths: ['/x'], allow: 'anyone' }] }],
    server: { public_url: `${site}/sso`, trusted_proxies: ['127.0.0.2'] },
  }).start();
  nginx = await Nginx.start(`proxy_bind 127.0.0.2; ${documented('nginx')
    .replace('listen 443 ssl;', `listen ${host};`)
    .replace('server_name app.example.com;', '')
    .replace(/ *ssl_certificate[^;]*;\n/g, '')
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${gate.port}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${application.port}`)}`, `${site}/sso/healthz`);
  op.claims = { grace: { hd: 'example.com' } };
  for (const name of ['ada', 'grace']) {
    people[name] = new Agent();
    await people[name].walk(`${site}/sso/login/crm`, { as: name });
  }
});

after(async () => {
  nginx?.stop();
  await gate.close();
  await op.stop();
  await application.stop();
});

const cookieOf = (name) => (name ? { cookie: [...people[name].cookies(site)].map((pair) => pair.join('=')).join('; ') } : {});

/** Sends a request to nginx, its path as it stands. Returns status and body. */
async function send(method, path, headers = {}, name = host) {
  const fields = Object.entries({ host: name, connection: 'close', ...headers }).map(([field, value]) => `${field}: ${value}\r\n`).join('');
  const answer = await exchangeBytes({ port: Number(new URL(site).port) }, `${method} ${path} HTTP/1.1\r\n${fields}\r\n`);
  const [head, ...body] = answer.split('\r\n\r\n');
  return { status: Number(/^HTTP\/1\.1 ([0-9]+)/.exec(head)?.[1]), head, text: body.join('\r\n\r\n') };
}

// finding: R3
test('each request is decided by the first rule that fits, also for strangers and programs', async () => {
  for (const [who, method, path, status] of [
    [undefined, 'GET', '/health', 200],
    [undefined, 'POST', '/hooks/deploy', 200],
    [undefined, 'OPTIONS', '/pages/1', 200],
    [undefined, 'GET', '/pages/1', 401],
    [undefined, 'GET', '/nothing', 403],
    ['ada', 'GET', '/pages/1?team=x', 200],
    ['ada', 'GET', '/admin/users', 200],
    ['grace', 'GET', '/admin/users', 403],
    ['grace', 'GET', '/admin', 403],
    ['ada', 'GET', '/board/', 200],
    ['grace', 'GET', '/board/', 200],
    ['ada', 'GET', '/archive/1', 200],
    ['ada', 'HEAD', '/archive/1', 200],
    ['ada', 'DELETE', '/archive/1', 403],
    [undefined, 'DELETE', '/archive/1', 403],
    ['ada', 'GET', '/nothing', 403],
  ]) {
    assert.equal((await send(method, path, cookieOf(who))).status, status, `${who} ${method} ${path}`);
  }
});

// attack: access.path
// attack: access.path-of-compatible-characters
test('no spelling of a path reaches the application by another rule', async () => {
  for (const path of ['/%61dmin/x', '//admin/x', '/pages/../admin/x', '/pages/%2e%2e/admin/x', '/ADMIN/x', '/admin;a/x', '/admin%2Fx', '/admin%00/x', '/admin%252Fx', '/hooks/..%2fadmin/x', '/hooks/..;/admin/x', '/health/../admin', '/./admin/x', '/pages\\..\\admin', '/admin./x', '//x/admin/x', '/hooks/%3F%2F..%2F..%2Fadmin%2Fx', '/hooks/%23%2F..%2F..%2Fadmin%2Fx', '/%68ooks/x', '/admin.json', '/admin.tar.gz', '/%C3%A1dmin/x', '/hooks/%25%32%65%25%32%65/admin', '/admin%EF%BC%9Bx', '/hooks/..%EF%BC%BCadmin', '/hooks/a%E2%88%95..%E2%88%95admin']) {
    for (const who of [undefined, 'grace']) {
      const { status, text } = await send('GET', path, cookieOf(who));
      assert.ok([400, 401, 403].includes(status), `${who} ${path}: ${status} ${text}`);
    }
  }
  for (const header of ['x-original-url', 'x-rewrite-url', 'x-original-uri', 'x-original-path', 'x-rewrite-uri', 'x-forwarded-path', 'x-waws-unencoded-url']) {
    for (const path of ['/admin/x', `${site}/admin/x`]) {
      assert.equal((await send('GET', '/hooks/x', { [header]: path })).status, 403, `${header}: ${path}`);
    }
    assert.equal((await send('GET', '/hooks/x', { [header]: `${site}/hooks/y` })).status, 200, header);
    // Two headers, as some proxies join them.
    for (const paths of ['/hooks/x,/admin/x', '/admin/x, /hooks/x?', `${site}/hooks/x?,${site}/admin/x`]) {
      assert.equal((await send('GET', '/hooks/x', { [header]: paths })).status, 403, `${header}: ${paths}`);
    }
  }
  // Spellings of one reading are those of the path.
  assert.equal((await send('GET', '/admin/%78', cookieOf('ada'))).status, 200);
  assert.equal((await send('GET', '/pages/A%20page,%20Z%C3%BCrich', cookieOf('grace'))).status, 200);
  assert.equal((await send('GET', '/pages/group%2Fproject', cookieOf('grace'))).status, 200);
});

// attack: access.method
// attack: access.method-in-the-query
test('a header that overrides the method changes no rule', async () => {
  for (const header of ['x-http-method-override', 'x-http-method', 'x-method-override', 'x-http-verb-override', 'method-override', 'x-original-method']) {
    assert.equal((await send('GET', '/archive/1', { ...cookieOf('ada'), [header]: 'DELETE' })).status, 403, header);
    assert.equal((await send('GET', '/pages/1', { ...cookieOf('ada'), [header]: 'PATCH' })).status, 200, header);
  }
  assert.equal((await send('OPTIONS', '/admin/x', { ...cookieOf('grace'), 'x-http-method-override': 'GET' })).status, 403);
  for (const query of ['_method=delete', '.method=DELETE', '_method[]=DELETE', 'a=1;_method=DELETE', 'X-HTTP-Method-Override=DELETE']) {
    assert.equal((await send('GET', `/archive/1?${query}`, cookieOf('ada'))).status, 403, query);
  }
  // More than any application reads.
  const many = Array.from({ length: 20 }, (_, number) => `/pages/${number}`);
  gate.forgetLog();
  assert.equal((await send('GET', '/pages/1', { ...cookieOf('ada'), ...Object.fromEntries(['x-original-url', 'X-Original-URL', 'x-rewrite-url', 'X-Rewrite-URL', 'x-original-uri', 'X-Original-URI', 'X-ORIGINAL-URL'].map((name, index) => [name, many[index]])) })).status, 403);
  assert.match(gate.logged('access.ambiguous')[0], /than an application reads/);
  // A client names no method to Claimgate: nginx does.
  assert.equal((await send('DELETE', '/archive/1', { ...cookieOf('ada'), 'x-forwarded-method': 'GET' })).status, 403);
  // A proxy that does not say the method is refused where rules look at it.
  const asked = { ...cookieOf('ada'), 'x-forwarded-host': host, 'x-forwarded-uri': '/archive/1' };
  gate.forgetLog();
  assert.equal((await new Agent().request(`${gate.url}/sso/auth`, { headers: asked })).status, 403);
  assert.match(gate.logged('access.ambiguous')[0], /X-Forwarded-Method/);
  assert.equal((await new Agent().request(`${gate.url}/sso/auth`, { headers: { ...asked, 'x-forwarded-method': 'GET' } })).status, 200);
  // Nor one that says two.
  assert.equal((await new Agent().request(`${gate.url}/sso/auth`, { headers: { ...asked, 'x-forwarded-method': ['GET', 'DELETE'] } })).status, 403);
  // Nor is one admitted that does not say the path: it would be that of the front page.
  const { 'x-forwarded-uri': _, ...pathless } = asked;
  for (const address of ['/sso/auth', '/sso/auth/redirect']) {
    gate.forgetLog();
    assert.equal((await new Agent().request(`${gate.url}${address}`, { headers: { ...pathless, 'x-forwarded-method': 'GET' } })).status, 403, address);
    assert.match(gate.logged('access.ambiguous')[0], /X-Forwarded-Uri/);
  }
  const { 'x-forwarded-host': own, ...appended } = pathless;
  assert.equal((await new Agent().request(`${gate.url}/sso/auth/redirect/pages/1`, { headers: { ...appended, host: own } })).status, 200);
  // Of such a request the host is `Host`, which a script of a page does not set.
  for (const address of ['/sso/auth', '/sso/auth/redirect', '/sso/auth/redirect/x']) {
    const { status, headers } = await new Agent().request(`${gate.url}${address}`, { headers: { ...appended, host: 'elsewhere.example.com', 'x-forwarded-host': 'open.example.com' } });
    assert.deepEqual([address, status, headers.get('x-auth-user')], [address, 403, null]);
  }
});

// attack: access.override-spelt-otherwise
test('a header that an application takes for one that overrides is one, however it is spelt', async () => {
  const asked = { ...cookieOf('ada'), 'x-forwarded-host': host, 'x-forwarded-method': 'GET' };
  const ask = async (path, headers) => (await new Agent().request(`${gate.url}/sso/auth`, { headers: { ...asked, 'x-forwarded-uri': path, ...headers } })).status;
  for (const one of ['_', '.', '~', '+']) {
    const spelt = (name) => name.replaceAll('-', one);
    assert.equal(await ask('/archive/1', { [spelt('X-HTTP-Method-Override')]: 'DELETE' }), 403, one);
    assert.equal(await ask('/hooks/x', { [spelt('X-Original-URL')]: '/admin/x' }), 403, one);
    assert.equal(await ask('/hooks/x', { [spelt('X-Original-URL')]: '/hooks/y' }), 200, one);
    assert.equal(await ask('/hooks/admin/x', { [spelt('Script-Name')]: '/hooks' }), 403, one);
  }
});

// attack: access.host
test('a host that is spelt otherwise is the same, and another one is refused', async () => {
  const ask = (headers) => new Agent().request(`${gate.url}/sso/auth`, { headers: { ...cookieOf('ada'), 'x-forwarded-uri': '/x', 'x-forwarded-method': 'GET', ...headers } });
  for (const [name, status] of [
    ['a.closed.example.com', 200],
    ['A.Closed.Example.COM.:443', 200],
    ['closed.example.com', 403],
    ['a.closed.example.com.evil.example', 403],
    ['a.closed.example.com, 127.0.0.1', 403],
    ['[::1]', 403],
    ['', 403],
  ]) assert.equal((await ask({ 'x-forwarded-host': name })).status, status, name);
  assert.equal((await ask({ 'x-forwarded-host': ['a.closed.example.com', 'b.closed.example.com'] })).status, 403);
});

test('a public path has the user where there is one, and none otherwise', async () => {
  const seen = async (headers) => JSON.parse((await send('GET', '/hooks/x', headers)).text.replace(/^[0-9a-f]+\r\n/, '').replace(/\r\n0\r\n\r\n$/, '')).headers;
  assert.equal((await seen(cookieOf('grace')))['x-auth-user'], 'grace');
  const stranger = await seen({ 'x-auth-user': 'root', 'x-auth-teams': 'Administrators' });
  assert.ok(!JSON.stringify(stranger).includes('root'), JSON.stringify(stranger));
});

// finding: N3
test('the log and the page say which rule refused whom', async () => {
  gate.forgetLog();
  const page = await people.grace.request(`${site}/admin/x?secret=of-the-application`, { headers: PAGE });
  assert.equal(page.status, 403);
  assert.match(page.text, /signed in as <b id="user">grace<\/b>/);
  assert.match(page.text, /members of the team Administrators/);
  assert.match(page.text, /access rules: <code id="rule">wiki, rule 3<\/code>/);
  const [line] = gate.logged('request.forbidden').map((text) => JSON.parse(text)).filter(({ level }) => level === 'WARN');
  const { user, rule, teams, application: address, error } = line;
  assert.deepEqual({ user, rule, teams, address, error }, { user: 'grace', rule: 'wiki, rule 3', teams: 'Administrators', address: `${site}/admin/x`, error: 'the rule admits the team Administrators' });
  const nothing = await new Agent().request(`${site}/nothing`, { headers: PAGE });
  assert.equal(nothing.status, 403);
  assert.match(nothing.text, /not open to anyone/);
  assert.match(nothing.text, /<code id="rule">wiki<\/code>/);
  assert.equal((await people.grace.request(`${site}/pages/../admin`, { headers: PAGE })).status, 403);
  await until('both refusals are recorded', () => ['request.forbidden', 'access.no_rule'].every((code) => gate.events('--kind', 'access_refusal', '--since', '10s').some((event) => event.code === code)));
  const refused = gate.events('--kind', 'access_refusal', '--user', 'grace').at(-1);
  assert.deepEqual([refused.rule, refused.application, refused.client], ['wiki, rule 3', site, '127.0.0.1']);
  const by = (code) => gate.events('--kind', 'access_refusal').findLast((event) => event.code === code);
  assert.equal(by('access.no_rule').rule, 'wiki');
  assert.ok(!JSON.stringify(gate.events()).includes('secret'));
});

// finding: N3
test('explain --url says the same as the server', () => {
  const explain = (...args) => {
    const { status, stdout, stderr } = spawnSync(BINARY, ['explain', '--config', gate.config, ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const json = (...args) => JSON.parse(explain(...args, '--format', 'json').stdout);
  const refused = explain('--url', `${site}/admin/x`, '--user', 'grace');
  assert.equal(refused.status, 1);
  assert.match(refused.stdout, /application {2}wiki\nrule {9}3: \/admin\/\*; every method\nadmits {7}the team Administrators\nuser {9}grace, regular, in [^\n]*\nREFUSED\n/);
  assert.match(refused.stderr, /error\[request\.forbidden\]: the rule admits the team Administrators/);
  assert.equal(explain('--url', `${site}/admin/x`, '--user', 'ada').status, 0);
  assert.deepEqual(json('--url', `${site}/archive/1`, '--method', 'DELETE', '--user', 'ada').rule, { number: 6, paths: ['/archive/*'], methods: [], admits: 'no one', demands: [] });
  assert.equal(json('--url', `${site}/hooks/x`).admitted, true);
  assert.equal(json('--url', `${site}/pages/x`).code, 'request.signed_out');
  assert.equal(json('--url', `${site}/pages/../admin`).code, 'access.ambiguous');
  assert.equal(json('--url', 'https://other.example.com/').code, 'access.no_application');
  const claims = JSON.stringify({ sub: 'x', preferred_username: 'linus', groups: ['crm-admin'] });
  assert.equal(json('--url', `${site}/admin/x`, claims).admitted, true);
  assert.equal(explain('--url', 'wiki').status, 2);
  assert.equal(explain('--url', `${site}/x`, '--user', 'no-such-user').status, 1);
});

/** Asks as a proxy does that returns the answer to the browser. */
const askPay = (name, path, headers = PAGE) => new Agent().request(`${gate.url}/sso/auth/redirect`, { headers: { ...cookieOf(name), 'x-forwarded-host': 'pay.example.com', 'x-forwarded-uri': path, 'x-forwarded-method': 'GET', ...headers } });

// attack: access.step-up-link
test('a rule that demands an authentication leads to the provider and back', async () => {
  gate.forgetLog();
  const program = await askPay('ada', '/mfa', { accept: 'application/json' });
  assert.equal(program.status, 401);
  assert.equal(program.headers.get('www-authenticate'), 'Bearer realm="claimgate", error="insufficient_user_authentication", acr_values="mfa", max_age="300"');
  assert.match(gate.logged('access.authentication')[0], /pay, rule 1.*the rule demands an authentication at most 300 s ago, of the class mfa: it is not known when/);
  const { status, location } = await askPay('ada', '/mfa');
  assert.equal(status, 303);
  const query = new URL(location).searchParams;
  assert.deepEqual([...query].filter(([name]) => name !== 'return_to'), [['again', '1'], ['max_age', '300'], ['acr', 'mfa']]);

  // The provider has signed the person in long ago, and asks again.
  op.age(1000);
  const sent = await people.ada.walk(location, { stopAt: op.url });
  const asked = new URL(sent.location);
  assert.deepEqual(['max_age', 'acr_values'].map((name) => asked.searchParams.get(name)), ['300', 'mfa']);
  // Without the demand it does not, and the sign-in is refused.
  for (const name of ['max_age', 'acr_values']) {
    const other = await people.ada.walk(location, { stopAt: op.url });
    const bent = new URL(other.location);
    bent.searchParams.delete(name);
    gate.forgetLog();
    const refused = await people.ada.walk(bent.href, { as: 'ada' });
    assert.equal(refused.status, 403, refused.text);
    assert.ok(gate.logged('id_token.acr').length > 0, `${name}: ${gate.log}`);
    assert.equal((await askPay('ada', '/mfa')).status, 303, 'the session is what it was');
  }
  // A link that demands less leads to a sign-in that the rule does not take.
  for (const [name, value] of [['max_age', '31536000'], ['acr', undefined]]) {
    const milder = new URL(location, gate.url);
    value ? milder.searchParams.set(name, value) : milder.searchParams.delete(name);
    op.age(1000);
    await people.ada.walk(milder.href, { as: 'ada' });
    assert.equal((await askPay('ada', '/mfa')).status, 303, `${name} ${value}`);
  }
  op.age(1000);
  assert.equal((await people.ada.walk(asked.href, { as: 'ada' })).status, 200);
  assert.equal((await askPay('ada', '/mfa')).status, 200);
  const wiki = await new Agent().request(`${site}/pages/1`, { headers: cookieOf('ada') });
  assert.equal(wiki.status, 200);
});

test('a form that needs a new authentication is not lost without a word', async () => {
  const page = await askPay('grace', '/mfa', { ...PAGE, 'x-forwarded-method': 'POST' });
  assert.equal(page.status, 401);
  assert.match(page.text, /Sign in again.*did not reach the application/s);
  assert.match(page.text, /href="[^"]*\/login\?return_to=[^"]*&amp;again=1&amp;max_age=300&amp;acr=mfa"/);
});

// finding: R4
test('claims of the sign-in decide', async () => {
  const admitted = await askPay('grace', '/org', { ...PAGE, 'x-org': 'forged.example.com' });
  assert.equal(admitted.status, 200);
  // The application gets claims as headers, though none of the user's own is one of them.
  assert.deepEqual(['x-org', 'x-roles', 'x-subject'].map((name) => admitted.headers.get(name)), ['example.com', '/crm/support', 'grace']);
  gate.forgetLog();
  assert.equal((await askPay('ada', '/org')).status, 403);
  assert.match(gate.logged('request.forbidden')[0], /the rule admits the claim `hd`, which must be one of/);
});

test('a mistake in a rule is named with its place', () => {
  const file = join(gate.folder, 'broken.toml');
  writeFileSync(file, '[[provider]]\nissuer = "https://idp.example.com"\nclient_id = "crm"\n\n[[application]]\nhosts = ["wiki.example.com"]\n\n[[application.rule]]\nallow = "signed_in"\n\n[[application.rule]]\npaths = ["/admin/*"]\nteams = ["Administrators"]\n');
  const { stderr, status } = spawnSync(BINARY, ['config', 'check', file], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /:1[0-9]:[0-9]+: `?application\[0\]\.rule\[1\]`?: can never decide: rule 1 fits all its requests/);
});
