// The description of the interface at /api/openapi.json: valid, served to everyone, and what the server does.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import { clientsToken } from './access-tokens.mjs';
import { Agent } from './agent.mjs';
import { Claimgate, VERIFY_SECRET, pair } from './claimgate.mjs';
import { installed } from './installed.mjs';
import { DOCUMENT, OPERATIONS, compareAnswer, responseAt, schemaAt } from './openapi.mjs';
import { OpenIdProvider } from './provider.mjs';

const SCHEMATHESIS = resolve(fileURLToPath(import.meta.url), '../../../target/schemathesis');
const [WIKI, ADMINISTRATION, EVENTS] = ['https://wiki.example.com/api', 'https://sso.example.com/administration', 'https://sso.example.com/events'];
const KEEPER = { client_id: 'keeper', client_secret: 'a client secret: 0123456789abcdef', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const TRANSMITTER = 'what the transmitter sends with each of its events';

let op;
let gate;
before(async () => {
  op = await OpenIdProvider.start();
  gate = await Claimgate.prepare();
  const security_events = { issuer: op.issuer, jwks_uri: `${op.issuer}/jwks`, audience: EVENTS, transmitter_secret: TRANSMITTER };
  const { client, provider } = pair(op, gate, 'crm', { provider: { verify: { kind: 'access_token' }, frontchannel_logout: true, security_events } });
  op.configure([client, KEEPER]);
  await gate.write({
    // Each operation is asked from an address of its own: one address is slowed down beyond a thousand refusals.
    server: { trusted_proxies: ['127.0.0.1'], admin_from: ['127.0.0.1', '10.0.0.0/8'], metrics_from: ['127.0.0.1', '10.0.0.0/8'] },
    providers: [provider],
    applications: [{ name: 'wiki', hosts: ['wiki.example.com'], bearer_audience: [WIKI], headers: { header: [{ name: 'X-Assertion', value: 'assertion' }] }, rule: [{ paths: ['/open'], allow: 'anyone' }, { allow: 'signed_in' }] }],
    adminClients: [{ client: 'keeper', audience: ADMINISTRATION, read_only: false }],
  }).start();
});
after(async () => { await gate?.close(); await op?.stop(); });

const operations = OPERATIONS.flatMap(({ path, methods }) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));

test('the description is OpenAPI 3.1, and served to everyone below the path of public_url', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(DOCUMENT));
  assert.ok(valid, JSON.stringify(errors, null, 1));
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  const served = await fetch(`${gate.url}/api/openapi.json`, { headers: { origin: 'https://elsewhere.example.com' } });
  assert.deepEqual([served.status, served.headers.get('content-type'), served.headers.get('cache-control'), served.headers.get('access-control-allow-origin')], [200, 'application/json', 'public, max-age=3600', null]);
  assert.deepEqual(await served.json(), DOCUMENT);
  const below = await Claimgate.prepare();
  const { provider } = pair(op, below, 'crm');
  await below.write({ providers: [provider], server: { public_url: `${below.url}/sso` } }).start();
  try {
    const document = await (await fetch(`${below.url}/sso/api/openapi.json`)).json();
    assert.equal(document.servers[0].url, '/sso');
    assert.deepEqual({ ...document, servers: DOCUMENT.servers }, DOCUMENT);
  } finally {
    await below.close();
  }
});

test('the examples of the description are valid', () => {
  const wrong = [];
  const check = (place, content = {}) => {
    for (const [type, { example }] of Object.entries(content)) {
      const fault = example === undefined ? undefined : schemaAt(...place, 'content', type, 'schema')(example);
      if (fault) wrong.push(`${place.join(' ')}: ${fault}`);
    }
  };
  for (const [name, { content }] of Object.entries(DOCUMENT.components.responses)) check(['components', 'responses', name], content);
  for (const [name, { content }] of Object.entries(DOCUMENT.components.requestBodies)) check(['components', 'requestBodies', name], content);
  for (const { path, method, operation } of operations) {
    if (operation.requestBody?.content) check(['paths', path, method, 'requestBody'], operation.requestBody.content);
    for (const status of Object.keys(operation.responses)) {
      const [place, response] = responseAt(path, method, status);
      assert.ok(response, `${method} ${path} ${status}`);
      check(place, response.content);
    }
  }
  assert.deepEqual(wrong, []);
});

test('what is not as described is found', () => {
  const headers = new Headers({ 'content-type': 'application/json' });
  const answer = (value, status = 200) => () => compareAnswer('GET', `${gate.url}/api/v1/teams`, { status, headers, text: JSON.stringify(value) });
  assert.doesNotThrow(answer({ teams: [{ team: 'Sales', members: 1 }] }));
  assert.throws(answer({ teams: [{ team: 'Sales', members: 1, colour: 'red' }] }), /must NOT have additional properties/);
  assert.throws(answer({ teams: [{ team: 'Sales', members: -1 }] }), /must be >= 0/);
  assert.throws(answer({ teams: [] }, 418), /not described/);
  assert.throws(answer({ error: 'password.wrong', error_description: '', reference: '' }, 403), /allowed values/);
});

test('parts of an address that cannot be read, and methods that it does not have, are refused as described', async () => {
  const agent = new Agent();
  const headers = { authorization: `Bearer ${await clientsToken(op, KEEPER, ADMINISTRATION)}` };
  for (const { path, method } of operations) {
    const requests = path.includes('{') && !path.startsWith('/auth') ? [[method, path.replace(/\{\w+\}/, '%ff')]] : [];
    if (!path.startsWith('/auth')) requests.push(['TRACE', path.replaceAll(/\{\w+\}/g, '1')]);
    for (const [verb, address] of requests) {
      const answer = await agent.request(`${gate.url}${address}`, { method: verb.toUpperCase(), headers });
      compareAnswer(verb.toUpperCase(), `${gate.url}${path.replaceAll(/\{\w+\}/g, '1')}`, answer);
      assert.ok([400, 401, 404, 405].includes(answer.status), `${verb} ${address}: ${answer.status}`);
      assert.equal(typeof JSON.parse(answer.text).error, 'string', `${verb} ${address}: ${answer.text}`);
    }
  }
});

/** Runs schemathesis over the description, and returns its exit code and its output. */
async function fuzz(settings, seconds) {
  const config = join(gate.folder, 'schemathesis.toml');
  writeFileSync(config, settings);
  // A token is text.
  writeFileSync(join(gate.folder, 'claimgate_hooks.py'), 'import schemathesis\nschemathesis.serializer.alias("application/secevent+jwt", "text/plain")\n');
  const args = ['-m', 'schemathesis.cli', '--config-file', config, 'run', `${gate.url}/api/openapi.json`];
  const run = spawn('python3', args, { cwd: gate.folder, env: { ...process.env, PYTHONPATH: `${SCHEMATHESIS}:${gate.folder}`, PYTHONDONTWRITEBYTECODE: '1' } });
  const timer = setTimeout(() => run.kill('SIGKILL'), seconds * 1000);
  let out = '';
  run.stdout.on('data', (chunk) => { out += chunk; });
  run.stderr.on('data', (chunk) => { out += chunk; });
  const code = await new Promise((done) => run.on('exit', done));
  clearTimeout(timer);
  return { code, out };
}

test('schemathesis finds no answer that is not described, and no 500', { skip: installed('schemathesis', join(SCHEMATHESIS, 'schemathesis')) }, async () => {
  gate.addUser('root', 'super-admin');
  const root = new Agent();
  assert.equal((await root.signInByPassword(gate, 'root')).status, 303);
  const token = await clientsToken(op, KEEPER, ADMINISTRATION);
  const scheme = (name, key, value) => `[auth.openapi.${name}]\n${key} = ${JSON.stringify(value)}\n`;
  gate.addUser('fuzzed');
  const { id } = gate.users().find(({ username }) => username === 'fuzzed');
  const headers = (path, index) => ({
    'X-Forwarded-For': `10.1.0.${index}`,
    ...(path.startsWith('/auth') && { 'X-Forwarded-Host': 'wiki.example.com', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Uri': '/open' }),
  });
  // A sign-out with the session would end it; changes are made to a user that there is; forward-auth answers every method.
  const settings = ({ path, operation: { operationId } }, index) => `
[[operations]]
include-operation-id = "${operationId}"
headers = { ${Object.entries(headers(path, index)).map(([name, value]) => `"${name}" = "${value}"`).join(', ')}${path === '/logout' ? ', Cookie = "claimgate=none"' : ''} }
${['getUser', 'changeUser'].includes(operationId) ? `parameters = { id = ${id} }` : ''}
${path.startsWith('/auth') ? 'checks.unsupported_method.enabled = false' : ''}
`;
  const { code, out } = await fuzz(`
hooks = "claimgate_hooks"
seed = 1
workers = 1
continue-on-failure = true
request-timeout = 20
warnings = false
[generation]
max-examples = 10
database = "none"
[checks]
# Which usernames and tokens are accepted is more than a schema says.
positive_data_acceptance.enabled = false
[phases.stateful]
enabled = false
${scheme('session', 'api_key', root.cookies(gate.url).get('claimgate'))}
${scheme('adminClient', 'bearer', token)}
${scheme('verifySecret', 'bearer', VERIFY_SECRET)}
${scheme('transmitterSecret', 'bearer', TRANSMITTER)}
${operations.map(settings).join('')}
`, 300);
  assert.equal(code, 0, out);
  const found = /(\d+) generated/.exec(out);
  assert.ok(Number(found?.[1]) > 500, out);
  // The fuzzer was let in: operations of each kind have succeeded, by each kind of credential.
  const metrics = await (await fetch(`${gate.url}/metrics`)).text();
  const accepted = (route) => metrics.split('\n').some((line) => line.includes(`route="${route}"`) && /status="20\d"/.test(line));
  const never = ['/api/v1/me', '/api/v1/verify', '/api/v1/users', '/api/v1/users/{id}', '/api/v1/teams', '/api/v1/sessions', '/api/v1/events', '/api/v1/events/counts', '/auth', '/.well-known/jwks.json', '/readyz'].filter((route) => !accepted(route));
  assert.deepEqual(never, []);
  assert.equal(gate.exit, undefined);
  assert.ok(!/panicked/.test(gate.log));
});
