// docs/guide/getting-started.md, followed to the letter: its files are written and its commands run in its order, then a
// browser signs in through nginx.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.mjs';
import { BINARY, until } from './claimgate.mjs';

const DOCUMENT = readFileSync(new URL('../../docs/guide/getting-started.md', import.meta.url), 'utf8');
/** The time that the document promises. */
const TEN_MINUTES = 600_000;
/** What follows a block before the next one can work, by the first words of the block. */
const READY = { 'claimgate demo': 'http://127.0.0.1:8081/.well-known/openid-configuration', 'claimgate serve': 'http://127.0.0.1:8080/sso/readyz', nginx: 'http://127.0.0.1:8000/sso/healthz' };

/** The blocks of the document, in its order: language, what is written behind it, text. */
const blocks = [...DOCUMENT.matchAll(/^```(\w+)(?: (\S+))?\n([^]*?)^```$/gm)].map(([, language, name, text]) => ({ language, name, text }));

if (process.getuid() === 0 && !process.env.CLAIMGATE_OWN_NETWORK) {
  // The ports of the document may be in use on this machine.
  test('the tutorial, in a network of its own', (t) => {
    const { NODE_TEST_CONTEXT, ...environment } = process.env;
    const script = 'ip link set lo up && exec "$0" "$@"';
    const own = spawnSync('unshare', ['--net', 'sh', '-c', script, process.execPath, '--test', '--test-reporter=tap', fileURLToPath(import.meta.url)], { encoding: 'utf8', env: { ...environment, CLAIMGATE_OWN_NETWORK: '1' } });
    assert.equal(own.status, 0, `${own.stdout}${own.stderr}`);
    t.diagnostic(/the first sign-in took [^\n]*/.exec(own.stdout)[0]);
  });
} else {
  test('the tutorial leads to a sign-in behind nginx, in less than ten minutes', follow);
}

async function follow(t) {
  const began = performance.now();
  const root = mkdtempSync(join(tmpdir(), 'claimgate-tutorial-'));
  chmodSync(root, 0o755);
  const env = { ...process.env, PATH: [dirname(BINARY), process.env.PATH, '/usr/sbin'].join(delimiter) };
  const running = [];
  let folder = root;
  let output = '';
  t.after(() => {
    for (const { pid } of running) {
      try { process.kill(-pid); } catch { /* it has ended */ }
    }
    rmSync(root, { recursive: true, force: true });
  });
  // The program is there: the time to build it is not that of the tutorial.
  assert.deepEqual(blocks.filter(({ name }) => name === 'install').map(({ text }) => text), ['cargo install --path server\n']);
  for (const { language, name, text } of blocks.filter(({ name }) => name !== 'install')) {
    if (language !== 'sh') {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    } else if (name === 'terminal') {
      let log = '';
      const process = spawn('bash', ['-ec', text], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      running.push(process);
      for (const stream of [process.stdout, process.stderr]) stream.on('data', (chunk) => { log += chunk; });
      const [, address] = Object.entries(READY).find(([command]) => text.startsWith(command));
      await until(`${text}answers`, () => {
        assert.equal(process.exitCode, null, log);
        return fetch(address).then((answer) => answer.ok, () => false);
      });
    } else if (text.startsWith('claimgate log')) {
      await signIn();
      t.diagnostic(`the first sign-in took ${((performance.now() - began) / 1000).toFixed(1)} s`);
      output = run(text);
    } else {
      run(text);
    }
  }
  assert.ok(performance.now() - began < TEN_MINUTES);
  assert.equal(running.length, 3);
  assert.match(output, /sign_in.*ada/);
  assert.match(output, /note {5}plain http/);
  assert.ok(!output.includes('PROBLEM'), output);

  /** Runs a block in the folder to which the blocks before it have changed. Returns what it printed. */
  function run(text) {
    const ran = spawnSync('bash', ['-ec', `${text}\npwd`], { cwd: folder, env, encoding: 'utf8', input: '' });
    assert.equal(ran.status, 0, `${text}${ran.stdout}${ran.stderr}`);
    const lines = ran.stdout.trimEnd().split('\n');
    folder = lines.pop();
    return lines.join('\n');
  }
}

async function signIn() {
  const browser = await openBrowser();
  try {
    const { page } = browser;
    await page.goto('http://127.0.0.1:8000/');
    await page.getByRole('button', { name: 'Ada' }).click();
    await page.waitForURL('http://127.0.0.1:8000/');
    assert.equal(await page.locator('#greeting').textContent(), 'Hello, ada!');
    await page.locator('#account').click();
    assert.match(await page.locator('body').textContent(), /Ada Example/);
    await page.goBack();
    await page.locator('#sign-out').click();
    await page.goto('http://127.0.0.1:8000/');
    assert.ok(page.url().startsWith('http://127.0.0.1:8081/'), page.url());
  } finally {
    await browser.close();
  }
}
