// packaging/monitoring: every alert and every panel of the dashboard, asked of a real Prometheus that scrapes the server.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { Agent } from './agent.mjs';
import { Claimgate, freePort, replace, until, VERIFY_SECRET } from './claimgate.mjs';
import { clock } from './clock.mjs';
import { Postgres } from './postgres.mjs';
import { OpenIdProvider } from './provider.mjs';

const packaging = resolve(import.meta.dirname, '../../packaging/monitoring');
const RULES = join(packaging, 'prometheus-rules.yml');
const dashboard = JSON.parse(readFileSync(join(packaging, 'grafana-dashboard.json'), 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'claimgate-prometheus-'));

let op;
let gate;
const time = clock();
/** A server over PostgreSQL, which has metrics of its own. */
let node;
let postgres;
let prometheus;
let url;

before(async () => {
  op = await OpenIdProvider.start();
  let provider;
  ({ gate, provider } = await replace(undefined, op, {
    client: { grant_types: ['authorization_code', 'refresh_token'] },
    provider: { security_events: {}, refresh_interval: '1m', scopes: ['profile', 'email', 'offline_access'], prompt: 'consent' },
    start: { env: time.env },
  }));
  postgres = new Postgres();
  node = (await Claimgate.prepare()).write({ providers: [provider], store: postgres.store });
  await node.start();
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, 'prometheus.yml'), `
global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }
rule_files: [${RULES}]
scrape_configs: [{ job_name: claimgate, static_configs: [{ targets: ['127.0.0.1:${gate.port}', '127.0.0.1:${node.port}'] }] }]
`);
  const options = ['--config.file', join(folder, 'prometheus.yml'), '--storage.tsdb.path', join(folder, 'data'), '--web.listen-address', `127.0.0.1:${port}`];
  prometheus = spawn('prometheus', options, { stdio: 'ignore' });
  await until('Prometheus is ready', () => fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false), 30_000);
});
after(async () => {
  prometheus.kill();
  await new Promise((done) => { prometheus.on('exit', done); });
  rmSync(folder, { recursive: true, force: true });
  await gate.close();
  await node.close();
  postgres.close();
  await op.stop();
});

/** Returns the series that a query gives; a query that Prometheus refuses is an error. */
async function ask(query) {
  const answer = await (await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`)).json();
  assert.equal(answer.status, 'success', `${query}: ${answer.error}`);
  return answer.data.result;
}

/** One event of each kind that a metric counts. */
async function causeEvents() {
  await new Agent().signIn(gate, 'crm', 'ada');
  op.claims = { grace: { groups: undefined, hasgroups: true } };
  await new Agent().signIn(gate, 'crm', 'grace');
  await new Agent().signInByPassword(gate, 'ada', 'a wrong password');
  time.set('+61s');
  await until('a session is refreshed', async () => (await (await fetch(`${gate.url}/metrics`)).text()).includes('claimgate_refreshes_total{'));
  time.set('+0');
  await gate.logOut('x');
  await gate.reload();
  await fetch(`${gate.url}/auth`);
  await fetch(`${gate.url}/api/v1/frontchannelLogout?iss=https%3A%2F%2Felsewhere.example.com&sid=x`);
  await fetch(`${gate.url}/api/v1/securityEvents/crm`, { method: 'POST', body: 'x' });
  const headers = { authorization: `Bearer ${VERIFY_SECRET}` };
  await fetch(`${gate.url}/api/v1/verify`, { method: 'POST', headers, body: new URLSearchParams({ token: 'x' }) });
}

/** The metrics that an expression reads, each with the labels that it selects or groups by. */
function reads(expression) {
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels]) => labels.split(/,\s*/)).filter((label) => label !== 'le');
  return [...expression.matchAll(/(claimgate_\w+)(?:\{([^}]*)\})?/g)].map(([, metric, selectors = '']) => ({
    metric, labels: [...grouped, ...[...selectors.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label)],
  }));
}

const alerts = () => fetch(`${url}/api/v1/rules`).then((answer) => answer.json()).then(({ data }) => data.groups.flatMap(({ rules }) => rules));
const panels = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));

test('every query of the alerts and of the dashboard reads metrics and labels that the server has', async () => {
  await causeEvents();
  const present = async ({ metric, labels }) => (await ask(`${metric}{${labels.map((label) => `${label}!=""`).join()}}`)).length > 0;
  await until('the events were scraped', () => present({ metric: 'claimgate_groups_left_out_total', labels: ['provider'] }));
  await until('the server over PostgreSQL was scraped', () => present({ metric: 'claimgate_store_lease_age_seconds', labels: [] }));
  const rules = await alerts();
  assert.equal(rules.length, 14);
  const queries = [...rules.map(({ name, query }) => ({ title: name, expr: query })), ...panels];
  for (const { title, expr } of queries) {
    const expression = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '5s');
    await ask(expression);
    for (const read of reads(expression)) assert.ok(await present(read), `${title}: ${JSON.stringify(read)}`);
  }
  await until('every alert was evaluated', async () => (await alerts()).every(({ health }) => health === 'ok'));
});

test('every metric of the server is in the dashboard', async () => {
  const texts = await Promise.all([gate, node].map(async ({ url: own }) => (await fetch(`${own}/metrics`)).text()));
  const text = texts.join('\n');
  const metrics = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
  assert.ok(metrics.length > 8, metrics.join());
  for (const metric of metrics) assert.ok(panels.some(({ expr }) => expr.includes(metric)), metric);
});

// Values of the metrics at the minutes 0, 1, … on which each alert is to fire, and on which not.
const FIRES = {
  ClaimgateDown: [['up{job="claimgate"}', '0x40', '1x40']],
  ClaimgateUnavailable: [
    ['claimgate_request_duration_seconds_count{status="503"}', '0+2x40', '0+0x40'],
    ['claimgate_request_duration_seconds_count{status="200"}', '0+98x40', '0+98x40'],
  ],
  ClaimgateSlowForwardAuth: [
    ['claimgate_request_duration_seconds_bucket{route="/sso/auth/redirect/{*path}", le="0.05"}', '0+97x40', '0+100x40'],
    ['claimgate_request_duration_seconds_bucket{route="/sso/auth/redirect/{*path}", le="0.25"}', '0+100x40', '0+100x40'],
    ['claimgate_request_duration_seconds_bucket{route="/sso/auth/redirect/{*path}", le="+Inf"}', '0+100x40', '0+100x40'],
  ],
  ClaimgateNoKeys: [['claimgate_provider_keys', '0x40', '1x40']],
  ClaimgateKeysStale: [['claimgate_jwks_age_seconds', '3700+60x40', '0x40']],
  ClaimgateClock: [['claimgate_provider_clock_offset_seconds', '-31x40', '29x40']],
  ClaimgateLogoutsRefused: [['claimgate_backchannel_logouts_total{outcome="claims.audience"}', '0+1x40', '0x40']],
  ClaimgateForgedTokens: [['claimgate_verifications_total{result="signature.invalid"}', '0+120x40', '0+6x40']],
  ClaimgatePasswordGuessing: [['claimgate_password_sign_ins_total{outcome="password.wrong"}', '0+60x40', '0+6x40']],
  ClaimgateSignInsRefused: [
    ['claimgate_sign_ins_total{outcome="sign_in.unknown"}', '0+6x40', '0+1x40'],
    ['claimgate_sign_ins_total{outcome="ok"}', '0+1x40', '0+6x40'],
  ],
  ClaimgateGroupsLeftOut: [['claimgate_groups_left_out_total', '0+1x40', '0x40']],
  ClaimgateLogoutsDropped: [['claimgate_dropped_logouts', '5x40', '0x40']],
  ClaimgateStoreUnreachable: [['claimgate_store_lease_age_seconds', '10x40', '0x40']],
  ClaimgateNoSynchronousStandby: [['claimgate_store_synchronous_standby', '0x40', '1x40']],
};

test('every alert fires on what it is about, and on nothing else', async () => {
  assert.deepEqual(Object.keys(FIRES), (await alerts()).map(({ name }) => name));
  const input = (series, values) => series.map((row) => `{ series: '${row[0]}', values: '${row[values]}' }`).join(', ');
  const firing = (name, series, values, count) => `  - interval: 1m
    input_series: [${input(series, values)}]
    promql_expr_test:
      - { expr: 'count(ALERTS{alertname="${name}", alertstate="firing"}) or vector(0)', eval_time: 35m, exp_samples: [{ labels: '{}', value: ${count} }] }
`;
  const tests = Object.entries(FIRES).map(([name, series]) => firing(name, series, 1, 1) + firing(name, series, 2, 0)).join('');
  const file = join(folder, 'tests.yml');
  writeFileSync(file, `rule_files: [${RULES}]\nevaluation_interval: 1m\ntests:\n${tests}`);
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
});
