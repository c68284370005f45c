// An algorithm from outside (ES256K, server/examples/claimgate_es256k) in the whole system: the example
// program is the server and the command, a provider process signs with that algorithm.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent } from './agent.mjs';
import { claimsOf } from './jose.mjs';
import { firstLine } from './patience.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const builtin = resolve(process.env.CLAIMGATE ?? join(here, '../../target/debug/claimgate'));
const program = resolve(process.env.CLAIMGATE_ES256K ?? join(dirname(builtin), 'examples/claimgate_es256k'));
// `claimgate.mjs` runs the program that this variable names when it is imported.
process.env.CLAIMGATE = program;
const { Claimgate, nextSecond } = await import('./claimgate.mjs');

const SECRET = 'a client secret: 0123456789abcdef';
let gate;
let op;
let issuer;
let jwks;

before(async () => {
  gate = await Claimgate.prepare();
  op = spawn(process.execPath, [join(here, 'es256k-op.mjs'), 'crm', SECRET, `${gate.url}/callback/es256k`, `${gate.url}/api/v1/backchannelLogout`], { stdio: ['ignore', 'pipe', 'inherit'] });
  issuer = await firstLine(op);
  jwks = await get('/jwks');
  gate.write({ providers: [PROVIDER()] });
  await gate.start();
});
after(async () => {
  await gate?.close();
  op?.kill();
});

const PROVIDER = (more = {}) => ({ id: 'es256k', issuer, client_id: 'crm', client_secret: SECRET, algorithms: ['ES256K'], ...more });
const get = async (path) => (await fetch(`${issuer}${path}`)).json();
const post = async (path) => (await fetch(`${issuer}${path}`, { method: 'POST' })).json();
const run = (args, input = '', binary = program) => {
  const { status, stdout, stderr } = spawnSync(binary, args, { input, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
};

test('sign-in with an ID token of the algorithm, and its logout tokens end the session', async () => {
  const browser = new Agent();
  const me = await browser.signIn(gate, 'es256k');
  assert.equal(me.username, 'ada');
  assert.deepEqual(me.teams, ['Administrators']);
  await nextSecond();
  const refused = await post('/log-out?tamper=1');
  assert.equal(refused.status, 400, refused.body);
  assert.ok(gate.logged('signature.invalid').length > 0, gate.log);
  assert.ok(await browser.me(gate), 'a logout token with a flipped bit ended the session');
  assert.equal((await post('/log-out')).status, 200);
  assert.equal(await browser.me(gate), undefined);
});

test('a logout token ends the one session that its sid names', async () => {
  // The logout above refuses ID tokens of the same second.
  await nextSecond();
  const [one, two] = [new Agent(), new Agent()];
  await one.signIn(gate, 'es256k');
  await two.signIn(gate, 'es256k');
  await nextSecond();
  assert.equal((await post('/log-out?sid=unknown')).status, 200);
  assert.ok(await one.me(gate) && await two.me(gate));
  const { newest } = await get('/sids');
  assert.equal((await post(`/log-out?sid=${newest}`)).status, 200);
  assert.equal(await two.me(gate), undefined);
  assert.ok(await one.me(gate));
});

test('an ID token with a flipped bit signs no one in', async () => {
  await post('/tamper-next?on=true');
  const browser = new Agent();
  const landed = await browser.walk(`${gate.url}/login/es256k`);
  await post('/tamper-next?on=false');
  assert.notEqual(landed.status, 200);
  assert.equal(await browser.me(gate), undefined);
});

test('/api/v1/verify accepts tokens of the algorithm, also after a reload', async () => {
  const ask = (token) => gate.verify(token);
  const check = async () => {
    const good = await ask((await get('/id-token')).token);
    assert.deepEqual([good.active, good.username, good.teams], [true, 'ada', ['Administrators']]);
    assert.deepEqual(await ask((await get('/id-token?tamper=1')).token), { active: false });
  };
  // A token of the second of the last logout is inactive.
  await nextSecond();
  await check();
  await gate.reload();
  await check();
});

test('the built-in command refuses the configuration that the program accepts', async () => {
  assert.equal(run(['config', 'check', gate.config]).code, 0);
  const refused = run(['config', 'check', gate.config], '', builtin);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /ES256K/);
  const online = await gate.commandBeside(['config', 'check', '--online', gate.config]);
  assert.equal(online.code, 0, online.out);
  assert.match(online.out, /1 usable key/);
});

test('algorithms, help and completions show the program and the algorithm', () => {
  assert.match(run(['algorithms']).out, /^ES256K$/m);
  assert.doesNotMatch(run(['algorithms'], '', builtin).out, /ES256K/);
  assert.match(run(['--help']).out, /claimgate-es256k demo/);
  assert.match(run(['--version']).out, /^claimgate-es256k /);
  assert.match(run(['completions', 'bash']).out, /claimgate-es256k/);
});

test('verify, its JSON lines and explain know the algorithm', async () => {
  const { token } = await get('/id-token');
  const { token: forged } = await get('/id-token?tamper=1');
  const file = join(gate.folder, 'jwks.json');
  writeFileSync(file, JSON.stringify(jwks));
  const verify = (text, binary) => run(['verify', '--jwks', file, '--alg', 'ES256K', '--issuer', issuer, '--audience', 'crm', '-'], text, binary);
  assert.deepEqual(JSON.parse(verify(token).out), claimsOf(token));
  assert.match(verify(forged).err, /^error\[signature\.invalid\]/);
  assert.equal(verify(token, builtin).code, 2);

  const lines = [token, forged].map((text, id) => JSON.stringify({ id, token: text, jwks, algorithms: ['ES256K'], policy: { issuer, audience: 'crm' } }));
  const answers = run(['verify', '--jsonl'], `${lines.join('\n')}\n`).out.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(answers.map(({ id, valid, code }) => [id, valid, code]), [[0, true, undefined], [1, false, 'signature.invalid']]);

  const config = gate.config;
  gate.config = join(gate.folder, 'explain.toml');
  gate.write({ providers: [PROVIDER({ jwks_file: 'jwks.json' })] });
  const explain = (text) => run(['explain', '--config', gate.config, '-'], text);
  const shown = explain(token);
  assert.match(shown.out, /^VERIFIED/, shown.err);
  assert.match(shown.out, /Administrators/);
  assert.match(explain(forged).err, /signature\.invalid/);
  gate.config = config;
});
