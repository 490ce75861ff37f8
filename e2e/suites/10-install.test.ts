import { beforeAll, describe, expect, test } from 'vitest';
import { all, kubectl, refusal } from '../kit/kubectl.ts';
import { measure } from '../kit/measure.ts';
import { CHART, helm, helmUpgrade, imageValues, led, OPERATOR_LABEL, operatorPods, SYSTEM } from '../kit/operator.ts';
import { removeEverything } from '../kit/remove.ts';

const OPERATOR = `system:serviceaccount:${SYSTEM}:postern-operator`;

describe('installing by Helm', () => {
  beforeAll(async () => {
    await removeEverything();
    const start = Date.now();
    await helmUpgrade(CHART, imageValues());
    measure('helm install --wait', Date.now() - start);
    await led();
  });

  test('the operator runs in a namespace of the restricted profile, twice, on two nodes', async () => {
    const pods = await operatorPods();
    expect(pods).toHaveLength(2);
    expect(new Set(pods.map(({ spec }) => spec.nodeName)).size).toBe(2);
    for (const pod of pods) {
      expect(pod.status.containerStatuses.map(({ ready, restartCount }: never) => [ready, restartCount])).toEqual([
        [true, 0],
      ]);
    }
  });

  test('kubectl explains every kind', async () => {
    for (const kind of ['postgresgateways', 'accesspolicies', 'maskingrules', 'accessrequests']) {
      expect(await kubectl(['explain', `${kind}.spec`])).toMatch(/DESCRIPTION:\s+\S/);
    }
    expect(await kubectl(['explain', 'pggw.spec.upstream.tls.mode'])).toContain('VerifyFull');
    expect(await kubectl(['explain', 'pgap.spec.rules.reach'])).toContain('FIELD: reach');
  });

  test('helm test passes', async () => {
    expect(await helm('test', 'postern', '--namespace', SYSTEM, '--timeout=2m')).toMatch(/Phase:\s+Succeeded/);
  });

  test('an upgrade to the same changes no pod', async () => {
    const before = (await operatorPods()).map(({ metadata }) => metadata.uid).sort();
    await helmUpgrade(CHART, imageValues());
    expect((await operatorPods()).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
  });

  test.each([
    ['get', 'secrets', 'default'],
    ['list', 'secrets', SYSTEM],
    ['get', 'secrets/another', SYSTEM],
    ['create', 'pods', 'default'],
    ['patch', 'pods', 'default'],
    ['create', 'pods/exec', 'default'],
    ['update', 'postgresgateways', 'default'],
    ['delete', 'accesspolicies', 'default'],
    ['create', 'rolebindings', 'default'],
  ])('the operator may not %s %s in %s', async (verb, resource, namespace) => {
    const question = ['auth', 'can-i', verb, resource, '-n', namespace, '--as', OPERATOR];
    expect(await refusal(kubectl(question))).toBe('');
  });

  test.each([
    ['create', 'clusterrolebindings'],
    ['impersonate', 'users'],
    ['delete', 'customresourcedefinitions'],
  ])('the operator may not %s %s', async (verb, resource) => {
    const said = await refusal(kubectl(['auth', 'can-i', verb, resource, '--as', OPERATOR, '--quiet']));
    expect(said).toMatch(/^(Warning: .*)?\s*$/);
  });

  test('what it may read of Secrets is its own certificate alone', async () => {
    const own = ['auth', 'can-i', 'get', 'secrets/postern-control-tls', '-n', SYSTEM, '--as', OPERATOR];
    expect(await kubectl(own)).toBe('yes\n');
  });

  test('its pods’ events tell of no failure', async () => {
    const warnings = (await all(SYSTEM, 'events')).filter(
      ({ type, involvedObject }) => type === 'Warning' && involvedObject.kind !== 'Pod',
    );
    expect(warnings.map(({ message }) => message)).toEqual([]);
    expect(await kubectl(['-n', SYSTEM, 'logs', '-l', OPERATOR_LABEL, '--tail=-1'])).not.toMatch(/"level":(50|60)/);
  });
});
