// Pages looked at as people see them: light and dark, on a desktop and on a phone, and by axe.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where pictures are kept, if anywhere. */
const FOLDER = process.env.CLAIMGATE_SCREENSHOTS;

/** Returns what axe finds on a page that is serious or critical. */
export async function violations(page, name) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run());
  const grave = found.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return grave.map(({ id, nodes }) => `${name} ${id}: ${nodes[0].html}`);
}

/** Checks that a page is no wider than its window, and that axe finds no serious violation. `load` loads it in each window. */
export async function look(page, name, load = async () => {}) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      await load();
      if (FOLDER) await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${name} at ${width}`);
      assert.deepEqual(await violations(page, `${name} ${colorScheme} ${width}`), []);
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
