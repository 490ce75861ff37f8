import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type Http, openHttp } from './kit/http.ts';
import { install, operatorToken } from './kit/install.ts';
import { createNamespace } from './kit/objects.ts';

/** The operator's account, with what the chart gives it. */
let admin: Http;
let operator: Http;
const OWN = 'postern-rights';
beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  admin = openHttp(url, ca, adminToken);
  for (const namespace of ['rights', 'elsewhere']) await createNamespace(admin, namespace);
  await install(admin, { namespace: OWN, watched: ['rights'] });
  operator = openHttp(url, ca, await operatorToken(admin, OWN));
});
afterAll(async () => {
  await operator.close();
  await admin.close();
});

/** `verb group/resource/subresource:name` in a namespace. */
async function may(what: string, namespace: string): Promise<boolean> {
  const [verb = '', rest = ''] = what.split(' ');
  const [path = '', name = ''] = rest.split(':');
  const [group = '', resource = '', subresource = ''] = path.split('/');
  const resourceAttributes = { namespace, verb, group, resource, subresource, name };
  const { status } = await operator.must('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    method: 'POST',
    body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } },
  });
  return status.allowed;
}

test.each([
  ['list postern.dev/maskingrules', 'rights'],
  ['patch postern.dev/postgresgateways/status', 'rights'],
  ['patch apps/deployments', 'rights'],
  ['get /pods', 'rights'],
  ['create events.k8s.io/events', 'rights'],
  ['get /secrets:postern-control-tls', OWN],
  ['update coordination.k8s.io/leases:postern-operator', OWN],
  ['create authentication.k8s.io/tokenreviews', ''],
  ['get apiextensions.k8s.io/customresourcedefinitions:maskingrules.postern.dev', ''],
])('may %s in "%s"', async (what, namespace) => {
  expect(await may(what, namespace)).toBe(true);
});

test.each([
  // Of what would be too much: passwords, running images of its own, giving itself rights, changing what people wrote.
  ['get /secrets:orders-login', 'rights'],
  ['list /secrets', 'rights'],
  ['list /secrets', OWN],
  ['get /secrets:other', OWN],
  ['delete /secrets:postern-control-tls', OWN],
  ['create /pods', 'rights'],
  ['patch /pods', 'rights'],
  ['create /pods/exec', 'rights'],
  ['create /serviceaccounts/token', 'rights'],
  ['create rbac.authorization.k8s.io/rolebindings', 'rights'],
  ['patch postern.dev/accesspolicies', 'rights'],
  ['delete postern.dev/maskingrules', 'rights'],
  ['patch apps/deployments', 'elsewhere'],
  ['list postern.dev/accesspolicies', 'elsewhere'],
  ['list /configmaps', 'kube-system'],
  ['update coordination.k8s.io/leases:other', OWN],
  ['delete apiextensions.k8s.io/customresourcedefinitions:maskingrules.postern.dev', ''],
  ['get apiextensions.k8s.io/customresourcedefinitions:other.example.com', ''],
  ['list /nodes', ''],
])('may not %s in "%s"', async (what, namespace) => {
  expect(await may(what, namespace)).toBe(false);
});

test('may read the issuer of the cluster and its keys', async () => {
  const { issuer } = await operator.must('/.well-known/openid-configuration');
  expect(issuer).toMatch(/^https:/);
  expect((await operator.must('/openid/v1/jwks', { accept: 'application/jwk-set+json' })).keys).not.toEqual([]);
});
