// The documents: their commands are shell, and the site that mdBook makes of them has no link that leads nowhere.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openBrowser } from './browser.mjs';
import { installed } from './installed.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MDBOOK = process.env.MDBOOK ?? join(ROOT, 'target/mdbook/bin/mdbook');

const files = (folder, ending) => readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(ending)).map((name) => join(folder, name));

test('each block of shell can be read by bash', () => {
  let read = 0;
  for (const file of [join(ROOT, 'README.md'), ...files(join(ROOT, 'docs'), '.md')]) {
    for (const [, block] of readFileSync(file, 'utf8').matchAll(/^```sh\b.*\n([^]*?)^```$/gm)) {
      const bash = spawnSync('bash', ['-n'], { input: block, encoding: 'utf8' });
      assert.equal(bash.status, 0, `${relative(ROOT, file)}: ${bash.stderr}${block}`);
      read += 1;
    }
  }
  assert.ok(read > 15, `${read}`);
});

test('the site: each link leads to a page and a heading, nothing comes from elsewhere, and it fits a phone', { skip: installed('mdBook', MDBOOK) }, async (t) => {
  const site = mkdtempSync(join(tmpdir(), 'claimgate-site-'));
  t.after(() => rmSync(site, { recursive: true, force: true }));
  const built = spawnSync(MDBOOK, ['build', ROOT, '--dest-dir', site], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  assert.ok(!/WARN|ERROR/.test(built.stderr), built.stderr);
  const pages = files(site, '.html').filter((file) => !['404.html', 'print.html', 'toc.html'].includes(relative(site, file)));
  const text = new Map(pages.map((file) => [file, readFileSync(file, 'utf8')]));
  const wrong = [];
  let links = 0;
  for (const [file, html] of text) {
    for (const [, attribute, address] of html.matchAll(/<(?:a|link|img|script)\b[^>]*?\s(href|src)="([^"]*)"/g)) {
      links += 1;
      if (/^[a-z]+:/.test(address)) {
        if (attribute === 'src') wrong.push(`${relative(site, file)} loads ${address}`);
        continue;
      }
      const [path, heading] = address.split('#');
      const target = path ? join(dirname(file), decodeURIComponent(path)) : file;
      const exists = existsSync(target) && statSync(target).isFile();
      if (!exists || (heading && !text.get(target)?.includes(`id="${decodeURIComponent(heading)}"`))) wrong.push(`${relative(site, file)}: ${address}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(pages.length > 30 && links > 1000, `${pages.length} pages, ${links} links`);
  const { page, close } = await openBrowser({ scripts: true });
  try {
    await page.setViewportSize({ width: 390, height: 900 });
    for (const file of pages) {
      await page.goto(pathToFileURL(file).href);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), relative(site, file));
    }
  } finally {
    await close();
  }
});
