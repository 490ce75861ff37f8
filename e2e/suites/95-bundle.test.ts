import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { kubectl } from '../kit/kubectl.ts';
import { measure } from '../kit/measure.ts';
import { led, SYSTEM } from '../kit/operator.ts';
import { psql, psqlPod } from '../kit/psql.ts';
import { removeEverything } from '../kit/remove.ts';
import { createSite } from '../kit/site.ts';

const BUNDLE = join(import.meta.dirname, '..', '..', 'manifests', 'postern.yaml');
const NAMESPACE = 'e2e-bundle';

describe('installing by kubectl alone', () => {
  const manifest = readFileSync(BUNDLE, 'utf8').replaceAll(/postern:\d+\.\d+\.\d+/g, inject('image'));

  beforeAll(removeEverything);

  afterAll(async () => {
    await kubectl(['delete', '-f', '-', '--ignore-not-found', '--timeout=90s'], { input: manifest, timeout: 100_000 });
  });

  test('kubectl apply brings an operator, and that a gateway', async () => {
    const start = Date.now();
    await kubectl(['apply', '-f', '-'], { input: manifest });
    await kubectl(['-n', SYSTEM, 'wait', 'deploy', '--all', '--for=condition=Available', '--timeout=120s'], {
      timeout: 130_000,
    });
    measure('kubectl apply of the bundle to Available', Date.now() - start);
    await led();
    const site = await createSite(NAMESPACE);
    await psqlPod(NAMESPACE, 'nightly', site.authority.caPem);
    expect(await psql(NAMESPACE, site.host, 'SELECT count(*) FROM orders')).toBe('3\n');
  });

  test('applied again it changes nothing', async () => {
    const path = 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation}{"\\n"}{end}';
    const generations = () => kubectl(['get', '-f', '-', '-o', path], { input: manifest });
    const before = await generations();
    expect(before).toContain('Deployment/postern-operator 1');
    await kubectl(['apply', '-f', '-'], { input: manifest });
    expect(await generations()).toBe(before);
  });
});
