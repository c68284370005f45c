// nginx before an application: auth_request, configured as docs/guide/forward-auth.md prints it.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { Application, documented, DOCUMENTATION } from './application.mjs';
import { Claimgate, freePort, pair, until } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/bin/nginx'].find((path) => spawnSync(path, ['-v']).status === 0) ?? 'nginx';

let op;
let gate;
let application;
let nginx;
let folder;
let site;

before(async () => {
  op = await OpenIdProvider.start();
  gate = await Claimgate.prepare();
  const port = await freePort();
  site = `http://127.0.0.1:${port}`;
  application = await Application.start();

  const { client, provider } = pair(op, gate, 'crm');
  client.redirect_uris = [`${site}/sso/callback/crm`];
  op.configure([client]);
  await gate.write({ providers: [provider], server: { public_url: `${site}/sso`, trusted_proxies: ['127.0.0.1'] } }).start();

  const configuration = documented('nginx');
  const [forTeam] = /proxy_pass http:[^`]*\?team=Administrators;/.exec(DOCUMENTATION);
  folder = mkdtempSync(join(tmpdir(), 'claimgate-nginx-'));
  writeFileSync(join(folder, 'nginx.conf'), `
daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${configuration
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace(/ *ssl_certificate[^;]*;\n/g, '')
    // The documented location for one team, beside the one without.
    .replace('# The application.', `location = /sso/auth-team { internal; ${forTeam} proxy_pass_request_body off; proxy_set_header Content-Length ""; }
      location /admin/ { auth_request /sso/auth-team; proxy_pass http://127.0.0.1:3000; }`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${gate.port}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${application.port}`)}
}`);
  nginx = spawn(NGINX, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  nginx.stderr.on('data', (chunk) => { log += chunk; });
  await until('nginx answers', async () => {
    if (nginx.exitCode !== null) throw new Error(log);
    return fetch(`${site}/sso/healthz`).then((answer) => answer.ok, () => false);
  });
});

after(async () => {
  nginx?.kill();
  await gate.close();
  await op.stop();
  await application.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

test('signed out: to the sign-in page, and back to what was asked for', async () => {
  const agent = new Agent();
  const sent = await agent.request(`${site}/reports?year=2026&month=1`);
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.location).pathname, '/sso/login');
  const page = await agent.request(sent.location);
  const link = /href="([^"]+\/login\/crm[^"]*)"/.exec(page.text)[1].replaceAll('&amp;', '&');
  const landed = await agent.walk(new URL(link, site).href, { as: 'ada' });
  assert.equal(landed.url, `${site}/reports?year=2026&month=1`);
  const seen = JSON.parse(landed.text);
  assert.equal(seen.headers['x-auth-user'], 'ada');
  assert.equal(seen.headers['x-auth-email'], 'ada@example.com');
  assert.equal(seen.headers['x-auth-teams'], 'Administrators,sales');
  assert.equal(seen.headers['x-auth-name'], 'Ada Lovelace');
});

// attack: headers.from-the-client
test('identity headers of a client are overwritten', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  const claimed = { 'x-auth-user': 'root', 'x-auth-teams': 'Administrators', 'x-auth-email': 'root@example.com', 'x-auth-name': 'Root' };
  const answer = await agent.request(`${site}/`, { headers: claimed });
  const { headers } = JSON.parse(answer.text);
  assert.equal(headers['x-auth-user'], 'linus');
  assert.equal(headers['x-auth-teams'], undefined);
  assert.equal(headers['x-auth-email'], 'linus@example.com');
  const stranger = await new Agent().request(`${site}/`, { headers: claimed });
  assert.equal(stranger.status, 303);
});

test('for a team alone: others are refused, whatever their own query says', async () => {
  const [ada, grace] = [new Agent(), new Agent()];
  await ada.walk(`${site}/sso/login/crm`, { as: 'ada' });
  await grace.walk(`${site}/sso/login/crm`, { as: 'grace' });
  assert.equal((await ada.request(`${site}/admin/x?team=nobody`)).status, 200);
  for (const query of ['', '?team=support', '?x&team=support', '?team=Administrators']) {
    assert.equal((await grace.request(`${site}/admin/x${query}`)).status, 403, query);
  }
  assert.equal((await new Agent().request(`${site}/admin/x?team=support`)).status, 401);
});

test('after a back-channel logout the application asks for sign-in', async () => {
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'grace' });
  assert.equal((await agent.request(`${site}/`)).status, 200);
  const [session] = gate.sessions().filter(({ subject }) => subject === 'grace');
  const answer = await fetch(`${site}/sso/api/v1/backchannelLogout`, { method: 'POST', body: new URLSearchParams({ logout_token: await op.logoutToken('crm', 'grace', session.sid) }) });
  assert.equal(answer.status, 200);
  assert.equal((await agent.request(`${site}/`)).status, 303);
});

test('a user in 300 teams is let through', async () => {
  op.claims = { linus: { groups: Array.from({ length: 300 }, (_, index) => `/crm/a team with a long name, number ${index}`) } };
  const agent = new Agent();
  await agent.walk(`${site}/sso/login/crm`, { as: 'linus' });
  op.claims = undefined;
  const answer = await agent.request(`${site}/`);
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.text).headers['x-auth-teams'].split(',').length, 300);
});
