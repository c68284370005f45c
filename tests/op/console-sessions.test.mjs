// The sessions and the teams of the console: found by name, page by page; the end of a session.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, SAME_ORIGIN } from './agent.mjs';
import { replace } from './claimgate.mjs';
import { OpenIdProvider } from './provider.mjs';

const MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

let op;
let gate;
let root;
const page = (path, options = {}) => root.request(`${gate.url}${path}`, { ...options, headers: { accept: 'text/html', ...SAME_ORIGIN, 'sec-fetch-mode': 'navigate', ...options.headers } });
const names = (text) => [...text.matchAll(/admin\/users\/\d+">([^<]*)</g)].map(([, name]) => name);

before(async () => {
  op = await OpenIdProvider.start();
  ({ gate } = await replace(undefined, op));
  gate.addUser('root', 'super-admin', '--team', MARKUP, ...Array.from({ length: 55 }, (_, index) => ['--team', `team-${index}`]).flat());
  gate.addUser('boss', 'admin');
  root = new Agent();
  await root.administer(gate, 'root');
});
after(async () => { await op?.stop(); await gate?.close(); });

test('sessions are found by a part of the name, and ended', async () => {
  const [grace, boss] = [new Agent(), new Agent()];
  await grace.signIn(gate, 'crm', 'grace');
  await boss.signInByPassword(gate, 'boss');
  assert.deepEqual(names((await page('/admin/sessions')).text).sort(), ['boss', 'grace', 'root']);
  const found = (await page('/admin/sessions?text=RAC')).text;
  assert.deepEqual(names(found), ['grace']);
  assert.match((await page('/admin/sessions?text=%25')).text, /No session matches/);
  const [end] = /\/admin\/sessions\/[0-9a-f]{32}\/end/.exec(found);
  assert.equal((await page(end, { method: 'POST', form: {}, headers: { 'sec-fetch-site': 'cross-site' } })).status, 403);
  assert.notEqual(await grace.me(gate), undefined);
  const ended = await page(end, { method: 'POST', form: {} });
  assert.equal(ended.status, 303);
  assert.match((await page(new URL(ended.location).href.slice(gate.url.length))).text, /The session has ended/);
  assert.equal(await grace.me(gate), undefined);
  assert.equal((await page(end, { method: 'POST', form: {} })).status, 404);
  assert.equal((await page('/admin/sessions/x/end', { method: 'POST', form: {} })).status, 404);
  assert.ok(gate.events().some(({ code, user, by }) => code === 'session end' && user === 'grace' && by === 'root'));
});

test('only super-admins end sessions of super-admins', async () => {
  const boss = new Agent();
  await boss.administer(gate, 'boss');
  const [end] = /\/admin\/sessions\/[0-9a-f]{32}\/end/.exec((await page('/admin/sessions?text=root')).text);
  const answer = await boss.request(`${gate.url}${end}`, { method: 'POST', form: {}, headers: { accept: 'text/html', ...SAME_ORIGIN } });
  assert.equal(answer.status, 403);
});

// attack: console.script-in-teams
test('sessions and teams have pages; markup in a team and in a search is text', async () => {
  for (let index = 0; index < 9; index += 1) await new Agent().signInByPassword(gate, 'boss');
  const teams = (text) => text.match(/badge team/g)?.length ?? 0;
  const first = (await page('/admin/teams')).text;
  assert.equal(teams(first), 50);
  const next = /href="([^"]+)">Next page/.exec(first)[1].replaceAll('&amp;', '&');
  const second = (await page(next)).text;
  // With the team of grace.
  assert.equal(teams(second), 7);
  assert.match(second, /Previous page/);
  assert.equal(teams((await page('/admin/teams?text=TEAM-1')).text), 11);
  assert.match((await page('/admin/sessions?page=4294967295')).text, /No session matches/);
  const texts = [first, second];
  for (const path of ['sessions', 'teams']) texts.push((await page(`/admin/${path}?${new URLSearchParams({ text: MARKUP })}`)).text);
  for (const text of texts) assert.ok(!text.includes('<script>alert') && !text.includes('<img'), text);
});
