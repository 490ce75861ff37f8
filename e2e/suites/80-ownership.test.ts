import { beforeAll, describe, expect, test } from 'vitest';
import { health, kustomized } from '../../test/chart/health.ts';
import { hold } from '../kit/agent.ts';
import { becomes } from '../kit/conditions.ts';
import { consistently, eventually } from '../kit/eventually.ts';
import { all, apply, find, get, kubectl, list, patch, remove, type Thing } from '../kit/kubectl.ts';
import { analysts, GATEWAY, gatewayObject, policyObject } from '../kit/manifests.ts';
import { measure } from '../kit/measure.ts';
import { CHART, helm, imageValues, installOperator, SYSTEM } from '../kit/operator.ts';
import { ANN, createSite, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-ownership';
/** What our rules promise of repairs. */
const REPAIR = 5000;

describe('who owns what', () => {
  let site: Site;

  beforeAll(async () => {
    await installOperator();
    site = await createSite(NAMESPACE);
  });

  test.each<[string, string, object, (object: Thing) => boolean]>([
    ['deployment', GATEWAY, { spec: { replicas: 5 } }, ({ spec }) => spec.replicas === 2],
    [
      'service',
      GATEWAY,
      { spec: { selector: { 'postern.dev/gateway': 'another' } } },
      ({ spec }) => spec.selector['postern.dev/gateway'] === GATEWAY,
    ],
    [
      'service',
      'orders-peers',
      { metadata: { labels: { 'postern.dev/gateway': 'another' } } },
      ({ metadata }) => metadata.labels?.['postern.dev/gateway'] === GATEWAY,
    ],
    [
      'configmap',
      'orders-config',
      { data: { 'control-ca.crt': 'nonsense' } },
      ({ data }) => /BEGIN/.test(data['control-ca.crt']),
    ],
    [
      'configmap',
      'orders-config',
      { binaryData: { 'config.json.gz': 'AAAA' } },
      ({ binaryData }) => binaryData['config.json.gz'] !== 'AAAA',
    ],
    [
      'serviceaccount',
      GATEWAY,
      { automountServiceAccountToken: true },
      ({ automountServiceAccountToken }) => automountServiceAccountToken === false,
    ],
    [
      'networkpolicy',
      GATEWAY,
      { spec: { policyTypes: ['Egress'] } },
      ({ spec }) => spec.policyTypes.includes('Ingress'),
    ],
    [
      'pdb',
      GATEWAY,
      { spec: { unhealthyPodEvictionPolicy: 'IfHealthyBudget' } },
      ({ spec }) => spec.unhealthyPodEvictionPolicy === 'AlwaysAllow',
    ],
  ])('an edit of %s/%s is repaired', async (kind, name, change, repaired) => {
    await patch(NAMESPACE, kind, name, change);
    const start = Date.now();
    await eventually('the repair', async () => (repaired(await get(NAMESPACE, kind, name)) ? true : undefined), {
      every: 100,
    });
    measure(`repair of an edited ${kind} ${name}`, Date.now() - start);
    expect(Date.now() - start).toBeLessThan(REPAIR);
  });

  test.each([
    ['service', GATEWAY],
    ['service', 'orders-peers'],
    ['configmap', 'orders-config'],
    ['networkpolicy', GATEWAY],
    ['pdb', GATEWAY],
    ['serviceaccount', GATEWAY],
    ['deployment', GATEWAY],
  ])('a deleted %s/%s is made again', async (kind, name) => {
    const { uid } = (await get(NAMESPACE, kind, name)).metadata;
    const start = Date.now();
    await remove(NAMESPACE, kind, name, '--wait=false');
    await eventually(
      'another one',
      async () => {
        const there = await find(NAMESPACE, kind, name);
        return there !== null && there.metadata.uid !== uid ? true : undefined;
      },
      { every: 100 },
    );
    measure(`repair of a deleted ${kind} ${name}`, Date.now() - start);
    expect(Date.now() - start).toBeLessThan(REPAIR);
  });

  test('after all of that it is Ready and takes sessions', async () => {
    await site.ready(120_000);
    await eventually('a session', async () => (await hold(await site.login(ANN))).close().then(() => true));
  });

  test('what others add to our children stays', async () => {
    const label = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: GATEWAY, namespace: NAMESPACE, labels: { team: 'shop' } },
    };
    await kubectl(['apply', '--server-side', '--field-manager=somebody', '-f', '-'], { input: JSON.stringify(label) });
    await apply(policyObject(NAMESPACE, 'analysts', { ...analysts(), databases: ['shop'] }));
    await becomes({ namespace: NAMESPACE, kind: 'pgap', name: 'analysts', type: 'Programmed', status: 'True' });
    expect((await get(NAMESPACE, 'deployment', GATEWAY)).metadata.labels).toMatchObject({ team: 'shop' });
  });

  test('a stranger’s Deployment of the gateway’s name is left alone', async () => {
    const name = 'taken';
    await apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: NAMESPACE, labels: { whose: 'stranger' } },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'app', image: 'postgres:17' }] },
        },
      },
    });
    const settled = async () => {
      const { metadata, status } = await get(NAMESPACE, 'deployment', name);
      return status?.observedGeneration === metadata.generation ? metadata : undefined;
    };
    const before = await eventually('the Deployment is settled', settled);
    await apply(gatewayObject(NAMESPACE, {}, name));
    const at = { namespace: NAMESPACE, kind: 'pggw', name };
    const state = await becomes({ ...at, type: 'Accepted', status: 'False', reason: 'NameConflict' });
    expect(state.message).toContain(`Deployment/${name}`);
    await consistently(3000, async () => {
      const { metadata } = await get(NAMESPACE, 'deployment', name);
      expect(metadata.resourceVersion).toBe(before.resourceVersion);
    });
    expect(await find(NAMESPACE, 'service', name)).toBeNull();
    await remove(NAMESPACE, 'deployment', name);
    await becomes({ ...at, type: 'Ready', status: 'True' }, 90_000);
    await remove(NAMESPACE, 'pggw', name);
    await eventually('its children are gone', async () => {
      const left = await all(NAMESPACE, 'deployments,services,configmaps,pdb', `postern.dev/gateway=${name}`);
      return left.length === 0 ? true : undefined;
    });
  });

  test('an engine renders the chart and applies it: nothing conflicts, nothing drifts', async () => {
    const version = JSON.parse(await kubectl(['version', '-o', 'json'])).serverVersion.gitVersion;
    const options = ['--namespace', SYSTEM, '--no-hooks', '--kube-version', version];
    const render = () => helm('template', 'postern', CHART, ...options, ...imageValues());
    const manifest = await render();
    expect(await render()).toBe(manifest);
    const engine = ['--server-side', '--field-manager=argocd-controller', '-f', '-'];
    const forced = ['apply', ...engine, '--force-conflicts', '-n', SYSTEM];
    await kubectl(forced, { input: manifest });
    const versions = () =>
      kubectl(['get', '-f', '-', '-o', 'jsonpath={.items[*].metadata.resourceVersion}'], { input: manifest });
    await kubectl(['-n', SYSTEM, 'rollout', 'status', 'deploy/postern-operator', '--timeout=60s']);
    // Without force: nobody else lays claim to any field.
    await kubectl(['apply', ...engine, '-n', SYSTEM], { input: manifest });
    const then = await versions();
    await kubectl(['apply', ...engine, '-n', SYSTEM], { input: manifest });
    expect(await versions()).toBe(then);
    await kubectl(['diff', ...engine, '-n', SYSTEM], { input: manifest });
    // Somebody's edit is taken back by the next synchronisation.
    await kubectl(['-n', SYSTEM, 'set', 'env', 'deploy/postern-operator', 'EXTRA=1']);
    const scale = { spec: { replicas: 1 } };
    await patch(SYSTEM, 'deployment', 'postern-operator', scale);
    await kubectl(forced, { input: manifest });
    expect((await get(SYSTEM, 'deployment', 'postern-operator')).spec.replicas).toBe(2);
    await kubectl(['-n', SYSTEM, 'set', 'env', 'deploy/postern-operator', 'EXTRA-']);
    await kubectl(['-n', SYSTEM, 'rollout', 'status', 'deploy/postern-operator', '--timeout=120s'], {
      timeout: 130_000,
    });
  });

  test('what people apply through an engine is theirs: no field drifts, no child has its labels', async () => {
    const tracked = (object: object) => {
      const { metadata } = object as { metadata: object };
      const labels = { 'app.kubernetes.io/instance': 'shop' };
      const annotations = { 'argocd.argoproj.io/tracking-id': `shop:postern.dev:${NAMESPACE}` };
      return { ...object, metadata: { ...metadata, labels, annotations } };
    };
    const policy = tracked(policyObject(NAMESPACE, 'analysts', analysts()));
    const input = list([tracked(gatewayObject(NAMESPACE)), policy]);
    const engine = ['--server-side', '--field-manager=argocd-controller', '-f', '-'];
    await kubectl(['apply', ...engine, '--force-conflicts'], { input });
    await site.ready();
    const before = await incarnations(site);
    await kubectl(['diff', ...engine], { input });
    await kubectl(['apply', ...engine], { input });
    await site.ready();
    expect(await incarnations(site)).toBe(before);
    for (const { kind, metadata } of await all(
      NAMESPACE,
      'all,cm,pdb,networkpolicy,sa',
      `postern.dev/gateway=${GATEWAY}`,
    )) {
      const marks = [...Object.keys(metadata.labels ?? {}), ...Object.keys(metadata.annotations ?? {})];
      expect([kind, marks.filter((mark) => /instance|argocd/.test(mark))]).toEqual([kind, []]);
    }
  });

  test('Argo CD’s and Flux’s health scripts judge the real objects', async () => {
    const judged = async (kind: string, name: string) => {
      const object = await get(NAMESPACE, kind, name);
      return [health(object).status, kustomized(object)];
    };
    await kubectl(['-n', NAMESPACE, 'wait', 'pgap', '--all', '--for=condition=Ready', '--timeout=60s']);
    expect(await judged('pggw', GATEWAY)).toEqual(['Healthy', 'Healthy']);
    expect(await judged('pgap', 'analysts')).toEqual(['Healthy', 'Healthy']);
    await apply(policyObject(NAMESPACE, 'analysts', { ...analysts(), role: 'nobody_has_it' }));
    await becomes({ namespace: NAMESPACE, kind: 'pgap', name: 'analysts', type: 'Ready', status: 'False' });
    expect(await judged('pgap', 'analysts')).toEqual(['Degraded', 'Degraded']);
    await apply(policyObject(NAMESPACE, 'analysts', analysts()));
    await kubectl(['-n', NAMESPACE, 'annotate', 'pggw', GATEWAY, 'postern.dev/paused=true']);
    await becomes({
      namespace: NAMESPACE,
      kind: 'pggw',
      name: GATEWAY,
      type: 'Accepted',
      status: 'False',
      reason: 'Paused',
    });
    expect(health(await site.gateway()).status).toBe('Suspended');
    await kubectl(['-n', NAMESPACE, 'annotate', 'pggw', GATEWAY, 'postern.dev/paused-']);
    await site.ready();
  });
});
