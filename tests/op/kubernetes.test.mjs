// packaging/kubernetes: the manifests have the form that Kubernetes' own schemas demand, and say what the server does.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { replace } from './claimgate.mjs';
import { installed } from './installed.mjs';
import { OpenIdProvider } from './provider.mjs';

const root = resolve(import.meta.dirname, '../..');
const FILE = join(root, 'packaging/kubernetes/claimgate.yaml');
const schemas = join(root, 'target/kubernetes-validate');
const skip = installed('kubernetes-validate', join(schemas, 'kubernetes_validate'));
const python = (...args) => execFileSync('python3', args, { encoding: 'utf8', env: { ...process.env, PYTHONPATH: schemas } });

function manifests() {
  const text = python('-c', 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))', FILE);
  return Object.fromEntries(JSON.parse(text).map((manifest) => [manifest.kind, manifest]));
}

test('the manifests pass the schemas of Kubernetes, unknown members refused', { skip }, () => {
  for (const version of ['1.30.0', '1.37.0']) {
    python(join(schemas, 'bin/kubernetes-validate'), '--strict', '--quiet', '-k', version, FILE);
  }
});

test('the configuration of the manifests is accepted, with the secrets that they name', { skip }, (t) => {
  const { ConfigMap, Deployment } = manifests();
  const folder = mkdtempSync(join(tmpdir(), 'claimgate-kubernetes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'claimgate.toml');
  writeFileSync(file, ConfigMap.data['claimgate.toml']);
  const [container] = Deployment.spec.template.spec.containers;
  assert.equal(container.args.at(-1), `${container.volumeMounts[0].mountPath}/${Object.keys(ConfigMap.data)[0]}`);
  const check = (names) => {
    const secrets = Object.fromEntries(names.map((name) => [name, 'a secret with 32 characters or more']));
    return spawnSync(process.env.CLAIMGATE, ['config', 'check', file], { encoding: 'utf8', env: { PATH: process.env.PATH, ...secrets } });
  };
  const names = container.env.map(({ name }) => name);
  const accepted = check(names);
  assert.equal(accepted.status, 0, accepted.stdout + accepted.stderr);
  for (const name of names) {
    const refused = check(names.filter((other) => other !== name));
    assert.notEqual(refused.status, 0, `without ${name}`);
    assert.match(refused.stderr, new RegExp(name));
  }
});

test('the probes ask what the server answers, and a pod has the time that requests under way have', { skip }, async (t) => {
  const op = await OpenIdProvider.start();
  const { gate } = await replace(undefined, op, {});
  t.after(async () => { await gate?.close(); await op?.stop(); });
  const { Deployment, Service, PodDisruptionBudget, NetworkPolicy } = manifests();
  const { template, replicas, selector } = Deployment.spec;
  const [container] = template.spec.containers;
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    assert.equal((await fetch(gate.url + container[probe].httpGet.path)).status, 200, probe);
  }
  const grace = Number(/const GRACE: Duration = Duration::from_secs\((\d+)\)/.exec(readFileSync(join(root, 'server/src/web/run.rs'), 'utf8'))[1]);
  assert.ok(template.spec.terminationGracePeriodSeconds >= container.lifecycle.preStop.sleep.seconds + grace);
  assert.ok(replicas > PodDisruptionBudget.spec.maxUnavailable);
  for (const labels of [template.metadata.labels, Service.spec.selector, PodDisruptionBudget.spec.selector.matchLabels, NetworkPolicy.spec.podSelector.matchLabels]) {
    assert.deepEqual(labels, selector.matchLabels);
  }
});
