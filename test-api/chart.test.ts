import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { BUNDLE, type Manifest, manifests } from '../test/chart/kit.ts';
import { type Http, openHttp } from './kit/http.ts';
import { createNamespace } from './kit/objects.ts';

/** What the chart renders, before a real API server: schemas, Pod Security, CEL of the admission policies. */

let admin: Http;
const as = (user: string, group: string): Http => {
  const { url, ca, adminToken } = inject('apiServer');
  return openHttp(url, ca, adminToken, { 'impersonate-user': user, 'impersonate-group': group });
};

const NAMESPACE = 'chart-test';
const everything = manifests('test/chart/golden/everything.yaml');

beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  admin = openHttp(url, ca, adminToken);
  await createNamespace(admin, NAMESPACE);
});
afterAll(() => admin.close());

/** Path of the collection of an object's kind, as the server itself tells it; its namespace is the test's. */
async function pathFor({ apiVersion, kind }: Manifest, namespace = NAMESPACE): Promise<string> {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { resources } = await admin.must(root);
  const found = resources.find((one: Manifest) => one.kind === kind && !one.name.includes('/'));
  if (found === undefined) throw new Error(`the API server has no ${apiVersion} ${kind}`);
  return `${root}${found.namespaced ? `/namespaces/${namespace}` : ''}/${found.name}`;
}

const homeless = (object: Manifest): Manifest => {
  const { namespace: _, ...metadata } = object.metadata;
  return { ...object, metadata };
};

describe.each([BUNDLE, 'everything', 'namespaces', 'bare'])('%s', (file) => {
  const all = manifests(file === BUNDLE ? file : `test/chart/golden/${file}.yaml`);
  const known = all.filter(
    ({ apiVersion, kind }) => !apiVersion.startsWith('monitoring.coreos.com/') && kind !== 'CustomResourceDefinition',
  );

  test.each(known.map((object) => [`${object.kind} ${object.metadata.name}`, object] as const))(
    '%s is taken, every field known',
    async (_, object) => {
      const path = await pathFor(object);
      const { status, body } = await admin.ask(`${path}?dryRun=All&fieldValidation=Strict`, {
        method: 'POST',
        body: homeless(object),
      });
      expect(body.message ?? '').toBe('');
      // Stored as it was written: what the server adds is no drift, what it changes would be.
      expect(body.spec ?? body.rules ?? {}).toMatchObject(object.spec ?? object.rules ?? {});
      expect(status).toBe(201);
    },
  );
});

test('what an engine applies again and again is written once', async () => {
  const objects = manifests(BUNDLE).filter(({ metadata }) => metadata.namespace !== undefined);
  expect(objects.length).toBeGreaterThan(5);
  for (const object of objects) {
    const path = `${await pathFor(object)}/${object.metadata.name}?fieldManager=argocd-controller&force=true`;
    const apply = async (): Promise<string> => {
      const contentType = 'application/apply-patch+yaml';
      return (await admin.must(path, { method: 'PATCH', contentType, body: homeless(object) })).metadata
        .resourceVersion;
    };
    const first = await apply();
    expect(await apply(), `${object.kind} ${object.metadata.name}`).toBe(first);
  }
});

test('the server stores the custom resource definitions as they are written', async () => {
  for (const { kind, metadata, spec } of manifests(BUNDLE).filter((one) => one.kind === 'CustomResourceDefinition')) {
    const stored = await admin.must(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${metadata.name}`);
    expect(stored.spec, kind).toMatchObject(spec);
  }
});

test('every pod is taken where Pod Security restricted is enforced', async () => {
  const namespace = await createNamespace(admin, 'chart-test-restricted');
  await admin.must(`/api/v1/namespaces/${namespace}`, {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    body: { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } },
  });
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
  const pods = everything.flatMap((object) =>
    object.kind === 'Pod' ? [object] : object.kind === 'Deployment' ? [object.spec.template] : [],
  );
  expect(pods).toHaveLength(3);
  for (const { metadata, spec } of pods) {
    const body = {
      metadata: { name: 'one', labels: metadata.labels },
      spec: { ...spec, priorityClassName: undefined },
    };
    expect((await admin.ask(path, { method: 'POST', body })).status).toBe(201);
    const root = { ...body, spec: { ...body.spec, securityContext: {} } };
    expect((await admin.ask(path, { method: 'POST', body: root })).status).toBe(403);
  }
});

describe('admission policies', () => {
  const [anybody, officer, platform] = [
    as('ann', 'developers'),
    as('dora', 'data-protection'),
    as('paul', 'platform-admins'),
  ];
  // Bound to this namespace alone: other tests share the server.
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': NAMESPACE } };
  const policies = everything
    .filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'))
    .map((one) =>
      one.kind.endsWith('Binding') ? { ...one, spec: { ...one.spec, matchResources: { namespaceSelector } } } : one,
    );
  const path = `/apis/postern.dev/v1alpha1/namespaces/${NAMESPACE}/maskingrules`;
  const column = { schema: 'public', table: 'customers', column: 'email', mask: { type: 'Redact' } };
  const rule = (name: string, spec: object, labels: object = {}) => ({
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'MaskingRule',
    metadata: { name, labels },
    spec: { targetRefs: [{ name: 'orders' }], columns: [column], ...spec },
  });
  const group = (name: string) => ({ group: name });
  const create = async (who: Http, name: string, spec: object, labels?: object) =>
    (await who.ask(path, { method: 'POST', body: rule(name, spec, labels) })).status;
  const change = async (who: Http, name: string, patch: object) =>
    (await who.ask(`${path}/${name}`, { method: 'PATCH', contentType: 'application/merge-patch+json', body: patch }))
      .status;
  const remove = async (who: Http, name: string) => (await who.ask(`${path}/${name}`, { method: 'DELETE' })).status;

  beforeAll(async () => {
    for (const object of policies) await admin.must(await pathFor(object), { method: 'POST', body: object });
    await admin.must('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      method: 'POST',
      body: {
        metadata: { name: 'chart-test' },
        rules: [{ apiGroups: ['postern.dev'], resources: ['*'], verbs: ['*'] }],
      },
    });
    await admin.must('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      method: 'POST',
      body: {
        metadata: { name: 'chart-test' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'chart-test' },
        subjects: ['ann', 'dora', 'paul'].map((name) => ({
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'User',
          name,
        })),
      },
    });
    // A policy counts from the moment the server has compiled it.
    await create(officer, 'kept', {}, { 'postern.dev/protected': 'true' });
    let attempt = 0;
    const refused = (patch: (name: string) => object) =>
      vi.waitFor(async () => expect(await change(anybody, 'kept', { spec: patch(`c${attempt++}`) })).toBe(422), {
        timeout: 20_000,
        interval: 200,
      });
    await refused((name) => ({ except: [group(name)] }));
    await refused((name) => ({ columns: [{ ...column, column: name }] }));
  });
  afterAll(async () => {
    for (const object of policies)
      await admin.must(`${await pathFor(object)}/${object.metadata.name}`, { method: 'DELETE' });
    for (const http of [anybody, officer, platform]) await http.close();
  });

  test('anybody may mask, and mask more', async () => {
    expect(await create(anybody, 'more', { except: [], subjects: [] })).toBe(201);
    expect(await change(anybody, 'more', { spec: { columns: [column, { ...column, column: 'phone' }] } })).toBe(200);
  });

  test.each([
    ['except', [group('fraud')]],
    ['trustedFunctions', ['public.total(bigint)']],
    ['trustedRelations', ['public.foreign_orders']],
    ['trustedChannels', ['orders']],
    ['subjects', [group('nobody-at-all')]],
  ])('an exemption by %s is for the group alone, when made and when edited in', async (field, value) => {
    const name = `by-${field.toLowerCase()}`;
    expect(await create(anybody, name, { [field]: value })).toBe(422);
    expect(await create(anybody, name, {})).toBe(201);
    expect(await change(anybody, name, { spec: { [field]: value } })).toBe(422);
    expect(await change(officer, name, { spec: { [field]: value } })).toBe(200);
    // What is there may stay and go: others edit the rest of the rule.
    expect(await change(anybody, name, { spec: { columns: [column, { ...column, column: 'phone' }] } })).toBe(200);
    expect(await change(anybody, name, { spec: { [field]: null } })).toBe(200);
  });

  test('taking an entry out of except masks more; out of subjects, less', async () => {
    const two = [group('a'), group('b')];
    expect(await create(officer, 'lists', { except: two, subjects: two })).toBe(201);
    expect(await change(anybody, 'lists', { spec: { except: [group('b')] } })).toBe(200);
    expect(await change(anybody, 'lists', { spec: { subjects: [group('b')] } })).toBe(422);
    expect(await change(anybody, 'lists', { spec: { subjects: [...two, group('c')] } })).toBe(200);
  });

  test('what is protected is deleted, changed and unlabelled by the group alone', async () => {
    const protect = { 'postern.dev/protected': 'true' };
    expect(await create(anybody, 'protected', {}, protect)).toBe(201);
    expect(await remove(anybody, 'protected')).toBe(422);
    expect(await remove(officer, 'protected')).toBe(422);
    expect(await change(anybody, 'protected', { metadata: { labels: null } })).toBe(422);
    expect(await change(anybody, 'protected', { metadata: { labels: { 'postern.dev/protected': 'false' } } })).toBe(
      422,
    );
    expect(await change(anybody, 'protected', { spec: { columns: [{ ...column, column: 'nothing' }] } })).toBe(422);
    expect(await change(anybody, 'protected', { metadata: { annotations: { note: 'x' } } })).toBe(200);
    expect(await change(platform, 'protected', { spec: { columns: [column, { ...column, column: 'phone' }] } })).toBe(
      200,
    );
    expect(await remove(platform, 'protected')).toBe(200);
  });

  test('all that is there cannot be deleted at once by somebody else', async () => {
    expect(await create(anybody, 'one-of-all', {}, { 'postern.dev/protected': 'true' })).toBe(201);
    expect((await anybody.ask(path, { method: 'DELETE' })).status).toBe(422);
    expect((await admin.ask(`${path}/one-of-all`)).status).toBe(200);
  });

  test("an operator's report changes a protected object's status", async () => {
    expect(await create(anybody, 'reported', {}, { 'postern.dev/protected': 'true' })).toBe(201);
    const status = { observedGeneration: 1 };
    const { status: code } = await anybody.ask(`${path}/reported/status`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { status },
    });
    expect(code).toBe(200);
  });

  test('whoever labels an object protects it', async () => {
    expect(await create(anybody, 'later', {})).toBe(201);
    expect(await change(anybody, 'later', { metadata: { labels: { 'postern.dev/protected': 'true' } } })).toBe(200);
    expect(await remove(anybody, 'later')).toBe(422);
  });
});
