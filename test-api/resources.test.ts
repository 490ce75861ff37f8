import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { gatewayYaml, maskYaml, policyYaml, requestYaml } from '../test/operator/manifests.ts';
import { type Http, openHttp } from './kit/http.ts';
import { apply, collection, createNamespace, merge, pathOf } from './kit/objects.ts';

type Json = Record<string, unknown>;

const GROUP = 'postern.dev/v1alpha1';
const NAMESPACE = 'resources';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';

const here = (object: Json, name = 'orders'): Json => ({ ...object, metadata: { name, namespace: NAMESPACE } });
const GATEWAY = here(gatewayYaml());
const KINDS = [GATEWAY, here(policyYaml('p')), here(maskYaml('m')), here(requestYaml('r'))];

/** What `kubectl get -o wide` shows of objects that are ready. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  PostgresGateway: [
    'Name: orders',
    'Accepted: null',
    'Programmed: null',
    'Ready: True',
    'Address: null',
    'Policies: null',
    'Revision (wide): null',
    'Message (wide): in force',
    'Age: string',
  ],
  AccessPolicy: [
    'Name: orders',
    'Role: ro',
    'Mode: Enforce',
    'Ready: True',
    'Expires (wide): null',
    'Message (wide): in force',
    'Age: string',
  ],
  MaskingRule: ['Name: orders', 'Ready: True', 'Message (wide): in force', 'Age: string'],
  AccessRequest: [
    'Name: orders',
    'Type: Access',
    'Gateway: orders',
    'Requester: ann',
    'Pending: null',
    'Approved: null',
    'Missing: null',
    'Policy (wide): null',
    'Rule (wide): null',
    'Reason (wide): null',
    'Age: string',
  ],
};

let http: Http;
beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  http = openHttp(url, ca, adminToken);
  await createNamespace(http, NAMESPACE);
});
afterAll(() => http.close());

test('kubectl finds the kinds by short name and by category', async () => {
  const { resources } = await http.must(`/apis/${GROUP}`);
  const main = resources.filter(({ name }: { name: string }) => !name.includes('/'));
  expect(Object.fromEntries(main.map((each: Json) => [each.kind, each.shortNames]))).toEqual({
    PostgresGateway: ['pggw'],
    AccessPolicy: ['pgap'],
    MaskingRule: ['pgmask'],
    AccessRequest: ['pgreq'],
  });
  expect(main.map(({ categories }: Json) => categories)).toEqual(Array(4).fill(['postern']));
});

describe.each(KINDS)('$kind', (object) => {
  const path = pathOf(object);
  const condition = {
    type: 'Ready',
    status: 'True',
    observedGeneration: 1,
    lastTransitionTime: '2026-11-01T10:00:00Z',
    reason: 'Programmed',
    message: 'in force',
  };

  test('is applied, and applied again without a change', async () => {
    const first = await apply(http, object);
    const second = await apply(http, object);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect(first.metadata.generation).toBe(1);
  });

  test('has a status of its own: neither can change the other', async () => {
    await apply(http, { ...object, status: { conditions: [condition] } });
    expect((await http.must(path)).status).toBeUndefined();
    await apply(http, { ...object, spec: {}, status: { conditions: [condition] } }, 'writer', '/status');
    const live = await http.must(path);
    expect(live.status.conditions).toEqual([condition]);
    expect(live.spec).toEqual((await apply(http, object)).spec);
    expect(live.metadata.generation).toBe(1);
  });

  test('keeps one condition of each type', async () => {
    const { apiVersion, kind, metadata } = object;
    const conditions = [condition, condition];
    const twice = http.must(`${path}/status`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { status: { conditions } },
    });
    await expect(twice).rejects.toThrow(/Duplicate value/);
    const other = { ...condition, type: 'Other' };
    await apply(http, { apiVersion, kind, metadata, status: { conditions: [other] } }, 'somebody', '/status');
    const types = (await http.must(path)).status.conditions.map(({ type }: { type: string }) => type);
    expect(types.sort()).toEqual(['Other', 'Ready']);
  });

  test('shows itself to kubectl get', async () => {
    const { columnDefinitions, rows } = await http.must(collection(GROUP, String(object.kind), NAMESPACE), {
      accept: TABLE,
    });
    const cells = (rows as { cells: unknown[] }[])[0]!.cells;
    const shown = (columnDefinitions as { name: string; priority: number }[]).map(({ name, priority }, i) => {
      const cell = name === 'Age' ? typeof cells[i] : cells[i];
      return `${name}${priority > 0 ? ' (wide)' : ''}: ${cell}`;
    });
    expect(shown).toEqual(COLUMNS[String(object.kind)]);
  });
});

test('lists with a key merge by it: two managers own an item each', async () => {
  const listener = (name: string, port: number): Json => ({ name, port, authentication: 'Token' });
  const spec = (...listeners: Json[]): Json => ({ ...(GATEWAY.spec as Json), listeners });
  const base = here({ ...GATEWAY, spec: spec(listener('token', 5432)) }, 'merged');
  await apply(http, base, 'one');
  const { upstream, tls } = GATEWAY.spec as Json;
  await apply(http, { ...base, spec: { upstream, tls, listeners: [listener('other', 5433)] } }, 'two');
  const names = async (): Promise<string[]> =>
    (await http.must(pathOf(base))).spec.listeners.map(({ name }: { name: string }) => name);
  expect(await names()).toEqual(['token', 'other']);
  await apply(http, { ...base, spec: spec(listener('first', 5431)) }, 'one');
  expect((await names()).sort()).toEqual(['first', 'other']);
});

test('scales', async () => {
  const gateway = here(GATEWAY, 'scaled');
  await apply(http, gateway);
  const { apiVersion, kind, metadata } = gateway;
  const status = { replicas: 2, selector: 'postern.dev/gateway=scaled' };
  await apply(http, { apiVersion, kind, metadata, status }, 'postern', '/status');
  const scale = await http.must(`${pathOf(gateway)}/scale`);
  expect(scale).toMatchObject({ kind: 'Scale', spec: { replicas: 2 }, status });
  await merge(http, `${pathOf(gateway)}/scale`, { spec: { replicas: 5 } });
  expect((await http.must(pathOf(gateway))).spec.replicas).toBe(5);
});

test('a Lease wants its times with six digits', async () => {
  const lease = (name: string, renewTime: string): Json => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: NAMESPACE },
    spec: { holderIdentity: 'a', renewTime },
  });
  const create = (body: Json) =>
    http.ask(collection('coordination.k8s.io/v1', 'Lease', NAMESPACE), { method: 'POST', body });
  expect((await create(lease('three', '2026-11-01T10:00:00.123Z'))).status).toBe(400);
  expect((await create(lease('six', '2026-11-01T10:00:00.123456Z'))).status).toBe(201);
});
