import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import { compile } from '../../operator/plan/compile.ts';
import { readManifests } from '../operator/manifests.ts';

const GOLDEN = new URL('golden/', import.meta.url);
const CLUSTER = {
  issuer: 'https://kubernetes.default.svc.cluster.local',
  jwks: { keys: [{ kty: 'EC', crv: 'P-256', kid: 'cluster-1', x: 'x', y: 'y' }] },
};

test.each(readdirSync(GOLDEN))('the plan of %s', (name) => {
  const manifests = readManifests(new URL(`${name}/in.yaml`, GOLDEN));
  const gateway = manifests.find(({ kind }) => kind === 'PostgresGateway') as PostgresGateway;
  const plan = compile({
    gateway,
    policies: manifests.filter(({ kind }) => kind === 'AccessPolicy') as AccessPolicy[],
    maskingRules: manifests.filter(({ kind }) => kind === 'MaskingRule') as MaskingRule[],
    clusterIssuer: CLUSTER,
    pods: gateway.spec.replicas,
  });
  const text = `${JSON.stringify(plan, null, 2)}\n`;
  const file = new URL(`${name}/out.json`, GOLDEN);
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
  expect(existsSync(file), 'run make golden and read what it wrote').toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
});
