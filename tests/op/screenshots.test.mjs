// How the pages look: each compared with a reference, in light and dark, on a desktop and on a phone.
//
//   node screenshots.test.mjs --renew     writes the references and the pictures of the documentation
//
// The pages are drawn with fonts of npm in one way, whatever fonts and settings the machine has, and compared by the mean of blocks (pictures.mjs): where
// another version of the browser draws the edge of a glyph otherwise, no block changes much. The pictures that differ, and with --renew
// all of them, are in target/screenshots.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.mjs';
import { violations } from './looks.mjs';
import { compare, shrink } from './pictures.mjs';
import { Scene, visit } from './scene.mjs';

const folder = (path) => fileURLToPath(new URL(path, import.meta.url));
const [REFERENCES, DOCUMENTATION, FOUND] = [folder('references'), folder('../../docs/images'), folder('../../target/screenshots')];
const RENEW = process.argv.includes('--renew');
const STEADY = ['--disable-lcd-text', '--force-color-profile=srgb', '--hide-scrollbars'];
/** How glyphs are drawn, in place of what the machine says: as they are, without hints, which would change their widths too. */
const FONTCONFIG = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>/usr/share/fonts</dir><cachedir>CACHE</cachedir>
<match target="pattern"><edit name="antialias"><bool>true</bool></edit><edit name="hinting"><bool>false</bool></edit><edit name="autohint"><bool>false</bool></edit>
<edit name="hintstyle"><const>hintnone</const></edit><edit name="rgba"><const>none</const></edit></match></fontconfig>`;
/** The pictures of the documentation, of the window and not of the whole page. */
const SHOWN = ['console-overview-light-1280', 'console-overview-dark-1280', 'console-activity-light-1280', 'console-mapping-light-1280', 'console-applications-light-1280', 'me-light-1280'];

/** A page, and styles that spoil it or change it less than a defect does. Without a style, that of the page is switched off. */
const SPOILT = 'console-users-light-1280';
const DEFECTS = {
  'no style sheet': undefined,
  'navigation over the content': '.layout { display: block } .side { position: fixed; width: 15rem }',
  'buttons that look like text': 'button { background: none; color: inherit }',
  'no icons': '.icon { display: none }',
  'another accent': ':root { --accent: #7c3aed; --accent-ground: #ede9fe; --link: #7c3aed }',
  'smaller text': ':root { --size-body: .875rem }',
  'rows close together': 'td { padding-top: .25rem }',
  'a field that is as wide as the card': '.actions[role="search"] .field { max-width: none }',
};
const VARIATIONS = { 'glyphs a fiftieth of a pixel apart': 'body { letter-spacing: .02px }', 'glyphs a little bolder': 'body { font-weight: 420 }' };

const pages = new Map();
const windows = new Map();
const spoilt = new Map();
const wide = [];
const inaccessible = [];

before(async () => {
  for (const path of RENEW ? [REFERENCES, DOCUMENTATION, FOUND] : [FOUND]) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
  }
  const fonts = mkdtempSync(join(tmpdir(), 'claimgate-fonts-'));
  writeFileSync(join(fonts, 'fonts.conf'), FONTCONFIG.replace('CACHE', fonts));
  const env = { ...process.env, FONTCONFIG_FILE: join(fonts, 'fonts.conf') };
  const scene = await Scene.start();
  // Past the policy of the pages, which permits no fonts.
  const browser = await openBrowser({ scripts: true, args: STEADY, bypassCSP: true, env });
  const { page } = browser;
  try {
    await visit(scene, page, async (name) => {
      if (SHOWN.includes(name)) windows.set(name, await page.screenshot({ animations: 'disabled' }));
      const size = page.viewportSize();
      pages.set(name, await whole(page));
      if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) wide.push(name);
      // The console's tests look at its pages on a desktop.
      if (!/^console-.*-1280$/.test(name)) inaccessible.push(...await violations(page, name));
      if (name !== SPOILT) return;
      for (const [what, style] of Object.entries({ ...DEFECTS, ...VARIATIONS })) {
        await page.setViewportSize(size);
        const switchSheet = (off) => page.evaluate((disabled) => { document.querySelector('link[rel="stylesheet"]').disabled = disabled; }, off);
        const added = await page.addStyleTag({ content: style ?? ' ' });
        await switchSheet(!style);
        spoilt.set(what, await whole(page));
        await switchSheet(false);
        await added.evaluate((element) => element.remove());
      }
    });
  } finally {
    await browser.close();
    await scene.close();
    rmSync(fonts, { recursive: true, force: true });
  }
}, { timeout: 300_000 });

/** Takes a picture of the whole page, in a window as high: what keeps its place in the window is where it belongs. */
async function whole(page) {
  const { width, height } = page.viewportSize();
  await page.setViewportSize({ width, height: Math.max(height, await page.evaluate(() => document.documentElement.scrollHeight)) });
  return page.screenshot({ animations: 'disabled' });
}

const reference = (name) => readFileSync(join(REFERENCES, `${name}.png`));

test('each page looks as its reference does, and as the documentation shows it', () => {
  const wrong = [];
  for (const [name, bytes] of pages) {
    if (RENEW) writeFileSync(join(REFERENCES, `${name}.png`), shrink(bytes));
    const difference = existsSync(join(REFERENCES, `${name}.png`)) ? compare(shrink(bytes), reference(name)) : 'no reference';
    if (difference) wrong.push(`${name}: ${difference}`);
    if (difference || RENEW) writeFileSync(join(FOUND, `${name}.png`), bytes);
  }
  for (const [name, bytes] of windows) {
    const file = join(DOCUMENTATION, `${name}.png`);
    if (RENEW) writeFileSync(file, bytes);
    const difference = existsSync(file) ? compare(shrink(bytes), shrink(readFileSync(file))) : 'no picture';
    if (difference) wrong.push(`docs/images/${name}.png: ${difference}`);
  }
  assert.deepEqual(wrong, [], 'what was found is in target/screenshots; if it is meant: node screenshots.test.mjs --renew');
  assert.deepEqual(readdirSync(REFERENCES).sort(), [...pages.keys()].map((name) => `${name}.png`).sort());
});

test('no page is wider than its window', () => assert.deepEqual(wide, []));

test('axe finds no serious violation, in light and dark, on a desktop and on a phone', () => assert.deepEqual(inaccessible, []));

test('defects are found, and other glyphs are none', () => {
  for (const what of Object.keys(DEFECTS)) assert.notEqual(compare(shrink(spoilt.get(what)), reference(SPOILT)), undefined, what);
  for (const what of Object.keys(VARIATIONS)) assert.equal(compare(shrink(spoilt.get(what)), reference(SPOILT)), undefined, what);
  assert.notEqual(compare(reference('console-overview-light-1280'), reference('console-overview-dark-1280')), undefined, 'the dark scheme is lost');
});

test('the pictures of the documentation are small', () => {
  const sizes = readdirSync(DOCUMENTATION).map((name) => statSync(join(DOCUMENTATION, name)).size);
  assert.equal(sizes.length, SHOWN.length);
  assert.ok(Math.max(...sizes) < 150 * 1024, `${sizes}`);
});
