import { beforeAll, describe, expect, test } from 'vitest';
import { hold } from '../kit/agent.ts';
import { eventually } from '../kit/eventually.ts';
import { find, kubectl, remove } from '../kit/kubectl.ts';
import { GATEWAY } from '../kit/manifests.ts';
import { measure } from '../kit/measure.ts';
import { helm, installOperator, SYSTEM } from '../kit/operator.ts';
import { CRDS } from '../kit/remove.ts';
import { ANN, createSite, incarnations, type Site } from '../kit/site.ts';

const [WITH, WITHOUT] = ['e2e-uninstall', 'e2e-orphan'] as const;

describe('going away leaves nothing behind', () => {
  let orphan: Site;

  beforeAll(async () => {
    await installOperator();
    await createSite(WITH);
    orphan = await createSite(WITHOUT);
  });

  test('a deleted gateway takes its children along', async () => {
    const start = Date.now();
    await remove(WITH, 'pggw', GATEWAY);
    await eventually('no child is left', async () => ((await ours(WITH)) === '' ? true : undefined), {
      within: 90_000,
    });
    measure('gateway deleted to its last child gone', Date.now() - start);
    await kubectl(['-n', WITH, 'wait', 'pgap/analysts', '--for=condition=Ready=False', '--timeout=30s']);
  });

  test('its namespace goes as well', async () => {
    await remove(null, 'namespace', WITH);
    expect(await find(null, 'namespace', WITH)).toBeNull();
  });

  test('helm uninstall leaves gateways and what people wrote; sessions go on', async () => {
    const before = await incarnations(orphan);
    const session = await hold(await orphan.login(ANN));
    await helm('uninstall', 'postern', '--namespace', SYSTEM, '--wait');
    for (const crd of CRDS) expect(await find(null, 'crd', crd)).not.toBeNull();
    const own = ['secret/postern-control-tls', 'lease/postern-operator'];
    await eventually('what the operator kept for itself is gone', async () => {
      expect(await kubectl(['-n', SYSTEM, 'get', ...own, '-o', 'name', '--ignore-not-found'])).toBe('');
      return true;
    });
    await kubectl(['-n', WITHOUT, 'get', 'pggw', GATEWAY]);
    expect(await session.query('SELECT 1 AS one')).toMatchObject({ ok: true });
    await (await hold(await orphan.login(ANN))).close();
    expect(await incarnations(orphan)).toBe(before);
    await session.close();
  });

  test('with the operator gone nothing hangs: gateways, namespaces, definitions', async () => {
    await remove(WITHOUT, 'pggw', GATEWAY);
    await eventually('no child is left', async () => ((await ours(WITHOUT)) === '' ? true : undefined), {
      within: 90_000,
    });
    await remove(null, 'namespace', WITHOUT);
    for (const crd of CRDS) await remove(null, 'crd', crd);
    await remove(null, 'namespace', SYSTEM);
    expect(await kubectl(['get', 'crd', '-o', 'name'])).not.toContain('postern.dev');
  });

  test('no object in the cluster is ours any more', async () => {
    const kinds = (await kubectl(['api-resources', '--verbs=list', '-o', 'name'])).trim().split('\n').join(',');
    const selectors = ['app.kubernetes.io/managed-by=postern', 'app.kubernetes.io/name=postern'];
    for (const selector of selectors) {
      await eventually(`nothing with ${selector}`, async () => {
        expect(await kubectl(['get', kinds, '-A', '-l', selector, '-o', 'name', '--ignore-not-found'])).toBe('');
        return true;
      });
    }
  });
});

function ours(namespace: string): Promise<string> {
  const kinds = 'deploy,sts,rs,pods,svc,cm,sa,pdb,networkpolicy,hpa,endpointslices,secrets';
  return kubectl(['-n', namespace, 'get', kinds, '-l', 'app.kubernetes.io/managed-by=postern', '-o', 'name']);
}
