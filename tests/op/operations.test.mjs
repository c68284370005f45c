// Operations: reload, stop, metrics, the debug log, and commands beside the running server.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { BINARY, nextSecond, replace, until } from './claimgate.mjs';
import { within } from './patience.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
before(async () => { op = await OpenIdProvider.start(); });
after(async () => { await gate?.close(); await op?.stop(); });

async function serve(options) {
  const made = await replace(gate, op, options);
  gate = made.gate;
  return made.provider;
}

/** Begins a sign-in and holds the provider's answer to the exchange of its code; `release` ends that. */
async function signInUnderWay(agent, who) {
  const callback = await agent.walk(`${gate.url}/login/crm`, { as: who, stopAt: `${gate.url}/callback` });
  const release = op.hold('/token');
  const answer = agent.request(callback.location);
  await until('the code is being exchanged', () => op.requests['/token'] === 1);
  return { answer, release };
}

test('SIGTERM in the middle of a sign-in: it is finished and kept; new connections are refused', async () => {
  await serve();
  const agent = new Agent();
  const { answer, release } = await signInUnderWay(agent, 'ada');
  gate.process.kill('SIGTERM');
  await until('new connections are refused', () => fetch(`${gate.url}/healthz`).then(() => false, () => true));
  release();
  assert.equal((await answer).status, 303);
  await gate.exited;
  assert.deepEqual(gate.exit, { code: 0, signal: null });
  await gate.stop();
  await gate.start();
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('SIGHUP in the middle of a sign-in: it goes on with the settings that it began with', async () => {
  const provider = await serve();
  const agent = new Agent();
  const { answer, release } = await signInUnderWay(agent, 'grace');
  gate.write({ providers: [{ ...provider, display_name: 'Renamed', client_secret: 'no longer the right one, but long enough for it' }] });
  await gate.reload();
  release();
  assert.equal((await answer).status, 303);
  assert.equal((await agent.me(gate)).username, 'grace');
});

test('SIGHUP: a new configuration without a dropped request, a bad one is not taken', async () => {
  const provider = await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const title = async () => /Sign in with ([^<]+)</.exec((await fetch(`${gate.url}/login/password`).then((page) => page.text())))[1];
  let going = true;
  let answered = 0;
  const traffic = (async () => { while (going) { assert.equal((await fetch(`${gate.url}/healthz`)).status, 200); answered += 1; } })();
  gate.write({ providers: [{ ...provider, display_name: 'The Company' }] });
  gate.process.kill('SIGHUP');
  await until('the new title', async () => (await title()) === 'The Company');
  gate.write({ providers: [{ ...provider, algorithms: ['RS257'] }] });
  gate.process.kill('SIGHUP');
  await until('the refusal', () => gate.logged('config.value').length === 1);
  await until('requests were answered throughout', () => answered > 10);
  going = false;
  await traffic;
  assert.equal(await title(), 'The Company');
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('SIGHUP: a setting that cannot change is refused, one that needs a restart is logged', async () => {
  const provider = await serve();
  gate.write({ providers: [provider], server: { public_url: `${gate.url}/elsewhere` } });
  await gate.reload('the path of public_url cannot change');
  assert.equal((await fetch(`${gate.url}/login/password`)).status, 200);
  gate.write({ providers: [provider], server: { database: 'another.db' } });
  gate.process.kill('SIGHUP');
  await until('the warning', () => /"setting":"database"/.test(gate.log));
  assert.equal((await fetch(`${gate.url}/login/password`)).status, 200);
});

test('SIGTERM finishes and stops with success', async () => {
  await serve();
  assert.deepEqual(await gate.stop('SIGTERM'), { code: 0, signal: null });
});

// finding: A1
test('a log that cannot be written ends no work: sign-ins go on, and SIGTERM stops', async () => {
  await serve({ start: false });
  const server = spawn(BINARY, ['serve', '--config', gate.config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise((done) => server.on('exit', (code, signal) => done({ code, signal })));
  server.stderr.destroy();
  try {
    await until('it answers', () => fetch(`${gate.url}/healthz`).then(({ ok }) => ok, () => false));
    assert.equal((await new Agent().signIn(gate, 'crm', 'ada')).username, 'ada');
    server.kill('SIGTERM');
    assert.deepEqual(await within(60_000, 'it stops', exited), { code: 0, signal: null });
  } finally {
    server.kill('SIGKILL');
  }
});

test('SIGTERM leaves the database in one file', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  assert.ok(existsSync(join(gate.folder, 'claimgate.db-wal')));
  await gate.stop();
  assert.ok(!existsSync(join(gate.folder, 'claimgate.db-wal')));
  assert.equal(gate.sessions().length, 1);
});

// finding: A1
test('a second server on one database is refused, and the first goes on', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const { code, out } = await gate.commandBeside(['serve', '--config', gate.config]);
  assert.equal(code, 2);
  assert.match(out, /a server runs on this database/);
  assert.equal((await agent.me(gate)).username, 'ada');
});

test('claimgate health: 0 while ready, 1 while nothing answers', async () => {
  await serve();
  const health = (...more) => spawnSync(BINARY, ['health', '--config', join(gate.folder, 'claimgate.toml'), ...more], { encoding: 'utf8' });
  const ready = health();
  assert.equal(ready.status, 0, ready.stderr);
  assert.equal(JSON.parse(ready.stdout).store, true);
  const live = health('--live');
  assert.deepEqual([live.status, live.stdout], [0, 'ok\n']);
  await gate.stop();
  const stopped = health();
  assert.equal(stopped.status, 1);
  assert.match(stopped.stderr, /health\.unreachable/);
  await gate.start();
});

// finding: A5
test('a second process ends a session and the server follows', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const { id } = gate.sessions()[0];
  assert.equal(gate.command(['session', 'end', id]).code, 0);
  await until('the server has noticed', async () => (await agent.me(gate)) === undefined);
  await until('the log says so', () => gate.log.includes(`"message":"changed by a command","action":"session end","about":"${id}"`));
});

// finding: A4
test('beside the server: an issuer is renamed and back, a user is unlinked and linked again, and removed', async () => {
  await serve({ signIn: { link_by_username: true } });
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const show = () => JSON.parse(gate.command(['user', 'show', 'ada', '--format', 'json']).out);
  const [{ issuer }] = show().links;
  const signedIn = (expected) => until(`signed in: ${expected}`, async () => ((await agent.me(gate)) !== undefined) === expected);
  const rename = (from, to) => assert.equal(gate.command(['provider', 'rename-issuer', from, to, '--yes']).code, 0);
  rename(issuer, 'https://old.example.com');
  const refused = await new Agent().walk(`${gate.url}/login/crm`, { as: 'ada' });
  assert.equal(refused.status, 403);
  assert.equal(gate.logged('sign_in.username_taken').length, 1);
  rename('https://old.example.com', issuer);
  await signedIn(true);
  assert.equal(gate.command(['user', 'unlink', 'ada', '--yes']).out, '1 link deleted; 1 session ended\n');
  await signedIn(false);
  const before = show();
  assert.deepEqual(before.links, []);
  // Tokens of the second of the change are refused.
  await nextSecond();
  await agent.signIn(gate, 'crm', 'ada');
  assert.equal(show().links.length, 1);
  assert.equal(show().user.id, before.user.id);
  assert.equal(gate.command(['user', 'remove', 'ada', '--yes']).code, 0);
  await signedIn(false);
  assert.deepEqual(gate.users(), []);
});

// finding: A1
test('a backup is made while the server runs and restored while it is stopped', async () => {
  await serve();
  const agent = new Agent();
  await agent.signIn(gate, 'crm', 'ada');
  const copy = join(gate.folder, 'copy.db');
  assert.equal(gate.command(['backup', copy]).code, 0);
  gate.addUser('late');
  const running = gate.command(['restore', copy, '--yes']);
  assert.equal(running.code, 2);
  assert.match(running.err, /a server runs on this database/);
  await gate.stop();
  assert.equal(gate.command(['restore', copy, '--yes']).code, 0);
  await gate.start();
  assert.deepEqual(gate.users().map(({ username }) => username), ['ada']);
  assert.equal(await agent.me(gate), undefined, 'the session of the backup has ended');
  await agent.signIn(gate, 'crm', 'ada');
});

test('metrics count what happens, for those who may read them', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  await gate.logOut('x');
  await fetch(`${gate.url}/callback/strange`);
  await gate.reload();
  const text = await (await fetch(`${gate.url}/metrics`)).text();
  for (const line of [
    'claimgate_verifications_total{algorithm="RS256",result="ok"} 1',
    'claimgate_sign_ins_total{provider="crm",outcome="ok"} 1',
    'claimgate_sign_ins_total{provider="-",outcome="request.not_found"} 1',
    'claimgate_reloads_total{outcome="ok"} 1',
    'claimgate_build_info{version="',
    'claimgate_backchannel_logouts_total{outcome="jws.shape"} 1',
    'claimgate_sessions 1',
    'claimgate_jwks_age_seconds{provider="crm"}',
    'claimgate_request_duration_seconds_bucket',
  ]) assert.ok(text.includes(line), `${line}\n${text}`);
  await serve({ server: { metrics_from: ['192.0.2.1'] } });
  assert.equal((await fetch(`${gate.url}/metrics`)).status, 404);
});

test('debug: header and claims of every token, and which rules fired', async () => {
  await serve();
  await new Agent().signIn(gate, 'crm', 'ada');
  await gate.logOut(await op.logoutToken('crm', 'ada'));
  const lines = () => gate.log.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  await until('both tokens', () => lines().filter(({ message }) => message === 'token').length === 2);
  const [idToken, logoutToken] = lines().filter(({ message }) => message === 'token');
  assert.equal(JSON.parse(idToken.header).alg, 'RS256');
  assert.equal(JSON.parse(idToken.claims).sub, 'ada');
  assert.equal(JSON.parse(logoutToken.header).typ, 'logout+jwt');
  assert.ok('events' in JSON.parse(logoutToken.claims));
  const mapping = lines().find(({ message }) => message === 'mapping');
  assert.match(mapping.explanation, /rule 1 \(group "crm-admin"\) fired on "crm-admin"/);
});
