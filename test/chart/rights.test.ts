import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { BUNDLE, type Manifest, manifests, RENDERED, read } from './kit.ts';

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

/** One line for each thing that may be done: `verb resource.group/name`, sorted. */
function grants(rules: readonly Rule[]): readonly string[] {
  const all = rules.flatMap((rule) => {
    const targets = (rule.apiGroups ?? []).flatMap((group) =>
      (rule.resources ?? []).flatMap((resource) =>
        (rule.resourceNames ?? ['']).map((name) => `${resource}${group && `.${group}`}${name && `/${name}`}`),
      ),
    );
    return [...targets, ...(rule.nonResourceURLs ?? [])].flatMap((what) => rule.verbs.map((verb) => `${verb} ${what}`));
  });
  return all.sort();
}

const rolesOf = (objects: readonly Manifest[]): readonly Manifest[] =>
  objects.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');
const named = (objects: readonly Manifest[], kind: string, namespace: string | undefined, name: string): Manifest =>
  objects.find((one) => one.kind === kind && one.metadata.namespace === namespace && one.metadata.name === name);

const ours = (verbs: string, resources: string): readonly string[] =>
  verbs.split(' ').flatMap((verb) => resources.split(' ').map((resource) => `${verb} ${resource}`));

const MANAGE = 'get list watch create patch delete';
const KINDS =
  'postgresgateways.postern.dev accesspolicies.postern.dev maskingrules.postern.dev accessrequests.postern.dev';
const STATUS = 'postgresgateways/status accesspolicies/status maskingrules/status accessrequests/status'.replaceAll(
  'status',
  'status.postern.dev',
);

/** What docs/install.md promises, written out: whoever adds a right adds it here as well. */
const WATCHED = [
  ...ours('get list watch', KINDS),
  ...ours('patch', STATUS),
  ...ours(MANAGE, 'deployments.apps statefulsets.apps services configmaps serviceaccounts poddisruptionbudgets.policy'),
  ...ours(MANAGE, 'networkpolicies.networking.k8s.io horizontalpodautoscalers.autoscaling'),
  ...ours('get list watch', 'pods'),
  ...ours('create patch', 'events.events.k8s.io'),
].sort();
const CLUSTER = [
  'create tokenreviews.authentication.k8s.io',
  ...KINDS.split(' ').map((kind) => `get customresourcedefinitions.apiextensions.k8s.io/${kind}`),
  'get /.well-known/openid-configuration',
  'get /openid/v1/jwks',
].sort();
const OWN = [
  'create leases.coordination.k8s.io',
  'get leases.coordination.k8s.io/postern-operator',
  'update leases.coordination.k8s.io/postern-operator',
  'create secrets',
  'get secrets/postern-control-tls',
  'patch secrets/postern-control-tls',
  'update secrets/postern-control-tls',
].sort();

describe.each(RENDERED)('%s', (path) => {
  const objects = manifests(path);

  test('grants nothing by a wildcard', () => {
    for (const { metadata, rules } of rolesOf(objects))
      for (const grant of grants(rules)) expect(`${metadata.name}: ${grant}`).not.toContain('*');
  });

  test('reads one Secret, by name, and hands out no rights, pods or tokens', () => {
    const all = rolesOf(objects).flatMap(({ rules }) => grants(rules));
    const secrets = all.filter((grant) => /\ssecrets/.test(grant));
    expect(secrets.filter((grant) => !OWN.includes(grant))).toEqual([]);
    const powers =
      /(roles|rolebindings|impersonat|escalate|bind |pods\/|serviceaccounts\/|nodes|namespaces|webhook|certificatesigningrequests)/;
    expect(all.filter((grant) => powers.test(grant))).toEqual([]);
  });

  test('gives the operator nothing but by bindings to these roles', () => {
    for (const { kind, metadata, roleRef, subjects } of objects.filter((one) => one.kind.endsWith('RoleBinding'))) {
      expect(roleRef).toEqual({
        apiGroup: 'rbac.authorization.k8s.io',
        kind: kind.replace('Binding', ''),
        name: metadata.name,
      });
      expect(subjects).toEqual([{ kind: 'ServiceAccount', name: 'postern-operator', namespace: 'postern-system' }]);
      expect(named(objects, roleRef.kind, metadata.namespace, roleRef.name)).toBeDefined();
    }
  });
});

test('for all namespaces, exactly what is promised', () => {
  const objects = manifests(BUNDLE);
  const operator = rolesOf(objects).filter(({ metadata }) => metadata.name.startsWith('postern-operator'));
  expect(operator).toHaveLength(2);
  const cluster = named(objects, 'ClusterRole', undefined, 'postern-operator-postern-system');
  expect(grants(cluster.rules)).toEqual([...CLUSTER, ...WATCHED].sort());
  expect(grants(named(objects, 'Role', 'postern-system', 'postern-operator-own').rules)).toEqual(OWN);
});

test('for named namespaces, nothing of a namespace is granted in the cluster', () => {
  const objects = manifests('test/chart/golden/namespaces.yaml');
  const cluster = named(objects, 'ClusterRole', undefined, 'postern-operator-postern-system');
  expect(grants(cluster.rules)).toEqual(CLUSTER);
  for (const namespace of ['shop', 'postern-system'])
    expect(grants(named(objects, 'Role', namespace, 'postern-operator').rules)).toEqual(WATCHED);
  expect(grants(named(objects, 'Role', 'postern-system', 'postern-operator-own').rules)).toEqual(OWN);
  const arguments_ = objects.find(({ kind }) => kind === 'Deployment').spec.template.spec.containers[0].args;
  expect(arguments_).toEqual(expect.arrayContaining(['--watch-namespace=shop', '--watch-namespace=postern-system']));
});

test('people who may edit a namespace read policies and do not write them', () => {
  const roles = rolesOf(manifests(BUNDLE)).filter(({ metadata }) => metadata.name.match(/-(view|edit)$/));
  const into = (name: string): readonly string[] =>
    roles
      .filter(({ metadata }) => metadata.labels[`rbac.authorization.k8s.io/aggregate-to-${name}`] === 'true')
      .flatMap(({ rules }) => grants(rules))
      .sort();
  const reading = [...ours('get list watch', KINDS)].sort();
  const writing = ours('create update patch delete deletecollection', KINDS.replace(/ accessrequests.*/, ''));
  expect(into('view')).toEqual(reading);
  expect(into('edit')).toEqual(reading);
  expect(into('admin')).toEqual([...reading, ...writing].sort());
});

test('where others make the roles, there are none', () => {
  const kinds = manifests('test/chart/golden/bare.yaml').map(({ kind }) => kind);
  expect(kinds.filter((kind: string) => kind.includes('Role'))).toEqual([]);
});

test('the list of rights that the chart reads is the one that is rendered', () => {
  const { watched, cluster, own } = parse(read('charts/postern/files/rbac.yaml'));
  expect([grants(watched), grants(cluster), grants(own)]).toEqual([WATCHED, CLUSTER, OWN]);
});
