// `claimgate doctor` beside a server behind nginx: what a browser would not get.

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Claimgate, freePort, pair } from './claimgate.mjs';
import { Nginx } from './nginx.mjs';
import { OpenIdProvider } from './provider.mjs';

let op;
let gate;
let port;
let provider;
let server;

before(async () => {
  op = await OpenIdProvider.start();
  gate = await Claimgate.prepare();
  port = await freePort();
  const found = pair(op, gate, 'crm');
  provider = found.provider;
  op.configure([{ ...found.client, redirect_uris: [`http://127.0.0.1:${port}/sso/callback/crm`] }]);
  server = { public_url: `http://127.0.0.1:${port}/sso`, trusted_proxies: ['127.0.0.2'], metrics_from: ['127.0.0.9'] };
  write({ providers: [provider], server });
  gate.addUser('root', 'super-admin');
});

after(async () => {
  await gate.close();
  await op.stop();
});

/** Writes the configuration, for its owner alone: it has a secret. */
function write(settings) {
  gate.write(settings);
  chmodSync(gate.config, 0o600);
}

/** Runs doctor. Returns its exit code, its report, and the lines with problems. */
async function doctor() {
  const { code, out } = await gate.commandBeside(['doctor', '--config', gate.config]);
  return { code, out, problems: out.split('\n').filter((line) => line.startsWith('  PROBLEM')) };
}

/** Runs doctor while nginx passes requests on with these lines. */
async function behind(lines, probe = '/sso/healthz') {
  const nginx = await Nginx.start(`server { listen 127.0.0.1:${port}; location /sso/ { proxy_pass http://127.0.0.1:${gate.port}; proxy_bind 127.0.0.2; ${lines} } location = /other { return 200; } }`, `http://127.0.0.1:${port}${probe}`);
  try {
    return await doctor();
  } finally {
    nginx.stop();
  }
}

const FORWARDED = 'proxy_set_header X-Forwarded-For $remote_addr;';

test('a server that does not run is a problem, and the provider is asked all the same', async () => {
  const { code, out, problems } = await doctor();
  assert.equal(code, 1, out);
  for (const said of ['provider crm', 'the clock of this machine is that of the provider', 'the provider accepts the client']) assert.ok(out.includes(said), `${said}: ${out}`);
  assert.equal(problems.length, 1, out);
  assert.match(problems[0], /no server answers.*start it: `systemctl start claimgate`.*`claimgate serve --config .*`claimgate doctor --offline`/);
  const offline = await gate.commandBeside(['doctor', '--offline', '--config', gate.config]);
  assert.equal(offline.code, 0, offline.out);
});

test('a server behind nginx, and what its proxy does wrong', async (t) => {
  await gate.start();
  const sound = await behind(FORWARDED);
  assert.equal(sound.code, 0, sound.out);
  for (const said of ['ok       it answers', `sign-in at crm begins, and returns to http://127.0.0.1:${port}/sso/callback/crm`, 'its cookie arrives as the server sets it', 'no client chooses the address that the server takes it for']) assert.ok(sound.out.includes(said), `${said}: ${sound.out}`);

  for (const [what, lines, ...said] of [
    ['X-Forwarded-For of clients', 'proxy_set_header X-Forwarded-For $http_x_forwarded_for;', 'clients choose the address', 'let the proxy overwrite X-Forwarded-For'],
    ['a path of cookies', `${FORWARDED} proxy_cookie_path / /sso/;`, 'the cookie of the sign-in arrives without path=/', 'remove proxy_cookie_path'],
    ['cookies for all hosts', `${FORWARDED} proxy_cookie_flags ~ nohttponly;`, 'without httponly', 'proxy_cookie_flags'],
    ['no cookies', `${FORWARDED} proxy_hide_header Set-Cookie;`, 'does not arrive: no sign-in completes', 'let the proxy pass Set-Cookie on'],
  ]) {
    await t.test(what, async () => {
      const { code, out, problems } = await behind(lines);
      assert.equal(code, 1, out);
      assert.equal(problems.length, 1, out);
      for (const text of said) assert.ok(problems[0].includes(text), `${text}: ${problems[0]}`);
    });
  }

  await t.test('another server at the public URL', async () => {
    const { code, out, problems } = await behind('rewrite ^ /nowhere break;', '/other');
    assert.equal(code, 1, out);
    assert.ok(problems[0].includes(`the server answers at 127.0.0.1:${gate.port}, and not at its public URL`), out);
  });
});

test('a proxy that is missing from trusted_proxies, or does not say from where requests come', async () => {
  for (const [settings, lines, said] of [
    [{ trusted_proxies: [], metrics_from: ['127.0.0.1'] }, FORWARDED, /PROBLEM  the server does not see where people come from.*write the proxy's address into trusted_proxies/],
    [{ trusted_proxies: [], metrics_from: ['127.0.0.2'] }, '', /PROBLEM  the server takes this machine \(127\.0\.0\.1\) for one of metrics_from.*let it send X-Forwarded-For/],
    [{ metrics_from: ['127.0.0.1'] }, FORWARDED, /ok       the server knows the address of this machine, 127\.0\.0\.1/],
    [{ trusted_proxies: ['127.0.0.0/8'] }, FORWARDED, /note     this machine \(127\.0\.0\.1\) is a proxy for the server/],
  ]) {
    write({ providers: [provider], server: { ...server, ...settings } });
    await gate.reload();
    const { code, out, problems } = await behind(lines);
    assert.match(out, said);
    assert.equal(problems.length, code, out);
    assert.equal(code === 1, said.source.startsWith('PROBLEM'), out);
  }
});

test('a file that the server has not read', async () => {
  write({ providers: [provider], server });
  await gate.reload();
  write({ providers: [{ ...provider, id: 'renamed' }], server });
  const renamed = await behind(FORWARDED);
  assert.ok(renamed.problems.some((line) => /\/login\/renamed answers 404.*no sign-in.*reload/.test(line)), renamed.out);
  write({ providers: [{ ...provider, client_id: 'another' }], server });
  const another = await behind(FORWARDED);
  assert.ok(another.problems.some((line) => /client_id = crm, and the file says another; reload it/.test(line)), another.out);
});
