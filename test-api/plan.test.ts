import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { planAttached } from '../operator/plan/attached.ts';
import { MAX_CONFIG_BYTES } from '../operator/plan/children/config-map.ts';
import { plan } from '../operator/plan/plan.ts';
import { planRequest } from '../operator/plan/request.ts';
import type { GatewayInput } from '../operator/plan/types.ts';
import { gateway, gatewayYaml, mask, policy, request } from '../test/operator/manifests.ts';
import { fresh, NOW, settled, stored } from '../test/plan/kit.ts';
import { type Http, openHttp } from './kit/http.ts';
import { apply, collection, pathOf } from './kit/objects.ts';

type Json = Record<string, unknown>;

let http: Http;
beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  http = openHttp(url, ca, adminToken);
  await http.must('/api/v1/namespaces', {
    method: 'POST',
    body: {
      metadata: { name: 'planned', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    },
  });
});
afterAll(() => http.close());

/** The plan's objects in the namespace of this file. */
function moved(object: object): Json {
  const text = JSON.stringify(object).replaceAll('"namespace":"shop"', '"namespace":"planned"');
  return JSON.parse(text) as Json;
}

const CLAIMS = { audit: { spool: { volumeClaimTemplate: { storageClassName: 'fast' } } } };
const LONG = 'g'.repeat(63);
const named = (name: string, spec: object): GatewayInput['gateway'] => {
  const manifest = gateway(spec);
  return stored({ ...manifest, metadata: { ...manifest.metadata, name } });
};
const dotted = {
  upstream: {
    host: 'db',
    roles: ['s'.repeat(253), 'a.b', 'a-b'].map((name, i) => ({ name: `r${i}`, secretRef: { name } })),
    catalogRole: 'r0',
  },
};

const INPUTS: readonly [string, GatewayInput][] = [
  ['the least', fresh({ gateway: named('least', {}) })],
  ['a StatefulSet', fresh({ gateway: named('stateful', CLAIMS) })],
  ['the longest name', fresh({ gateway: named(LONG, { autoscaling: { maxReplicas: 3 } }) })],
  ['the longest name of a StatefulSet', fresh({ gateway: named(`h${LONG.slice(1)}`, CLAIMS) })],
  ['names of Secrets', fresh({ gateway: named('secrets', dotted) })],
  [
    'everything about pods',
    fresh({
      gateway: named('pods', {
        listeners: [{ name: 'token', port: 443, authentication: 'Token' }],
        network: {
          from: [{ namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: {} }, { podSelector: {} }],
        },
        pod: {
          resources: { requests: { cpu: 1 }, limits: { memory: '512Mi' } },
          nodeSelector: { disk: 'ssd' },
          tolerations: [{ operator: 'Exists' }],
          labels: { team: 'a' },
          annotations: { note: 'b' },
        },
      }),
      installation: { ...fresh().installation, imagePullSecrets: ['pull'] },
    }),
  ],
];

describe.each(INPUTS)('children: %s', (_name, input) => {
  test('are taken as they are, no field unknown, and again without a change', async () => {
    for (const child of plan(input).children) {
      const object = moved(child);
      const path = `${pathOf(object)}?fieldManager=postern&force=true&fieldValidation=Strict`;
      const send = () =>
        http.must(path, { method: 'PATCH', contentType: 'application/apply-patch+yaml', body: object });
      const first = await send();
      const again = await send();
      expect((again.metadata as Json).resourceVersion).toBe((first.metadata as Json).resourceVersion);
    }
  });

  test('pods are let into a namespace whose Pod Security is restricted', async () => {
    const workload = plan(input).children.find(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))!;
    const { template } = workload.spec as { template: { metadata: object; spec: Json & { volumes: object[] } } };
    const volumes = [
      ...template.spec.volumes,
      ...(workload.kind === 'StatefulSet' ? [{ name: 'data', emptyDir: {} }] : []),
    ];
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...template.metadata, name: 'one' },
      spec: { ...template.spec, volumes },
    };
    const path = `${collection('v1', 'Pod', 'planned')}?dryRun=All&fieldValidation=Strict`;
    const answer = await http.ask(path, { method: 'POST', body: moved(pod) });
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  });
});

test('the same namespace lets no other pods in', async () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'bad' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  };
  const answer = await http.ask(`${collection('v1', 'Pod', 'planned')}?dryRun=All`, { method: 'POST', body: pod });
  expect(answer.body.message).toContain('PodSecurity "restricted');
});

test('a ConfigMap as large as a plan makes it is taken, one somewhat larger is not', async () => {
  const send = (bytes: number) =>
    http.ask(`${collection('v1', 'ConfigMap', 'planned')}?dryRun=All`, {
      method: 'POST',
      body: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'large' },
        binaryData: { 'config.json.gz': Buffer.alloc(bytes).toString('base64') },
      },
    });
  expect((await send(MAX_CONFIG_BYTES)).status).toBe(201);
  expect((await send(1024 * 1024 + 1)).status).toBe(422);
});

test.each([
  ['stays when it is handed over to an autoscaler', 'handed', 5],
  ['would fall to one if it were not', 'dropped', 1],
] as const)('the number of pods %s', async (_what, name, expected) => {
  const before = settled({ gateway: named(name, { replicas: 5 }) });
  const after = { ...before, gateway: named(name, { replicas: 5, autoscaling: { maxReplicas: 9 } }) };
  for (const child of plan(before).children) await apply(http, moved(child), 'postern');
  const { handover, children } = plan(after);
  if (name === 'handed') await apply(http, moved(handover!), 'postern-replicas');
  for (const child of children) await apply(http, moved(child), 'postern');
  const { spec } = await http.must(`/apis/apps/v1/namespaces/planned/deployments/${name}`);
  expect(spec.replicas).toBe(expected);
});

describe('statuses are taken as they are, and again without a change', () => {
  const send = async (object: Json, status: object): Promise<void> => {
    const { apiVersion, kind, metadata } = object as { apiVersion: string; kind: string; metadata: Json };
    await apply(http, moved(object), 'someone');
    const { name, namespace } = moved({ metadata }).metadata as Json;
    const body = { apiVersion, kind, metadata: { name, namespace }, status };
    const first = await apply(http, moved(body), 'postern', '/status');
    const again = await apply(http, moved(body), 'postern', '/status');
    expect((again.metadata as Json).resourceVersion).toBe((first.metadata as Json).resourceVersion);
    expect(first.status).toEqual(moved(status));
  };
  const rule = mask('m');
  const all = settled({ policies: [policy('a')], maskingRules: [rule] });
  const gateways = new Map(plan(all).attachments.map((one) => ['orders', one] as const));

  test('of a gateway', () => send(gatewayYaml() as Json, plan(all).status));
  test('of a new gateway', () => send(gatewayYaml() as Json, plan(fresh()).status));
  test('of a policy', () =>
    send(policy('a') as unknown as Json, planAttached({ object: policy('a'), gateways, now: NOW })));
  test('of a rule', () => send(rule as unknown as Json, planAttached({ object: rule, gateways, now: NOW })));
  test('of a request', () =>
    send(request('r') as unknown as Json, planRequest({ request: request('r'), now: NOW }).status));
});
