// The console with a hundred thousand users, each with a session: found by name, page by page, while people are let through.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

const USERS = 100_000;
/** Milliseconds for a page, of a debug build on a busy machine. */
const BOUND = 5_000;
const FILL = `
import sqlite3, sys, time
file, users, now = sqlite3.connect(sys.argv[1]), int(sys.argv[2]), int(time.time())
numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999 + ?)"
with file:
    file.execute(numbers + """ INSERT INTO user (id, username, kind, active, profile, teams, created, updated)
        SELECT n, printf('ada.lovelace.%06d', n), 'regular', 1, printf('{"email":"ada.%06d@example.com"}', n),
            printf('{"team %d":"mapping","staff":"mapping"}', n % 500), ?, ? FROM numbers""", (users, now, now))
    file.execute(numbers + """ INSERT INTO session (id, user, issuer, subject, sid, issued_at, created, expires)
        SELECT CAST(printf('%016d', n) AS BLOB), n, 'https://idp.example.com', 's' || n, 'A' || n, ?, ?, ? + 3600 FROM numbers""", (users, now, now, now))
`;

let op;
let gate;
let root;
before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op));
  gate.addUser('root', 'super-admin');
  await gate.stop();
  execFileSync('python3', ['-c', FILL, join(gate.folder, 'claimgate.db'), String(USERS)]);
  await gate.start();
  root = new Agent();
  await root.administer(gate, 'root');
});
after(async () => { await op?.stop(); await gate?.close(); });

test('pages of a hundred thousand users and sessions, beside forward-auth', async () => {
  const person = new Agent();
  await person.signInByPassword(gate, 'root');
  let slowest = 0;
  let asked = true;
  const asking = (async () => {
    while (asked) {
      const begun = performance.now();
      assert.equal((await person.request(`${gate.url}/auth`)).status, 200);
      slowest = Math.max(slowest, performance.now() - begun);
    }
  })();
  const figures = [];
  const page = async (path, expected) => {
    const begun = performance.now();
    const answer = await root.request(`${gate.url}${path}`, { headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate' } });
    const taken = performance.now() - begun;
    assert.equal(answer.status, 200, path);
    assert.match(answer.text, expected, path);
    assert.ok(taken < BOUND, `${path}: ${taken} ms`);
    figures.push(`${path} ${Math.round(taken)}`);
  };
  await page('/admin', /100,?00\d/);
  await page('/admin/users', /ada\.lovelace\.001000/);
  await page('/admin/users?text=LACE.0999', /ada\.lovelace\.099900/);
  await page('/admin/users?text=nothing-like-it', /No user has such a name/);
  await page('/admin/sessions', /ada\.lovelace/);
  await page('/admin/sessions?page=1900', /ada\.lovelace/);
  await page('/admin/sessions?text=lovelace.099999', /ada\.lovelace\.099999/);
  await page('/admin/teams', /team 1/);
  await page('/admin/activity', /Activity/);
  asked = false;
  await asking;
  console.log(`ℹ milliseconds with ${USERS} users: ${figures.join(', ')}; the slowest forward-auth beside them ${Math.round(slowest)}`);
  assert.ok(slowest < BOUND / 5, `${slowest} ms`);
});
