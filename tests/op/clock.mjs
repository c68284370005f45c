// A clock of the server under test that the test sets, by libfaketime.

import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `env` for the server's process, and `set('+16m')`, which takes effect at once. */
export function clock() {
  const library = readdirSync('/usr/lib').map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`).find(existsSync);
  if (!library) throw new Error('faketime is needed; install it (apt-get install faketime)');
  const offset = join(mkdtempSync(join(tmpdir(), 'claimgate-clock-')), 'offset');
  const set = (text) => writeFileSync(offset, text);
  set('+0');
  return { set, env: { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: offset, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' } };
}
