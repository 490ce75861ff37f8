import { expect, test } from 'vitest';
import { checkManifest } from '../../operator/api/validate.ts';
import { type Manifest, manifests, read } from './kit.ts';

const readme = read('README.md').split('## On Kubernetes')[1]!.split('\n## ')[0]!;
const files = ['postgres', 'gateway', 'policy', 'client'].map((name) => `examples/cluster/${name}.yaml`);
const objects = files.flatMap(manifests);
const find = (kind: string, name?: string): Manifest =>
  objects.find((one) => one.kind === kind && (name === undefined || one.metadata.name === name));

const gateway = find('PostgresGateway');
const policy = find('AccessPolicy');
const client = find('Pod');

test('README applies each of the files, and what it waits for is in them', () => {
  expect([...readme.matchAll(/examples\/cluster\/\w+\.yaml/g)].map(([path]) => path)).toEqual(files);
  const named = [...readme.matchAll(/\b(postgresgateway|accesspolicy|pod|deployment)\/([a-z-]+)/g)];
  expect(named).toHaveLength(4);
  for (const [, kind, name] of named)
    expect(
      objects.some((one) => one.kind.toLowerCase() === kind && one.metadata.name === name),
      name,
    ).toBe(true);
});

test('our kinds are as the API server takes them', () => {
  for (const object of [gateway, policy]) expect(checkManifest(object)).toMatchObject({ ok: true });
});

test('client, policy, gateway and database speak of each other', () => {
  const { name, namespace } = gateway.metadata;
  expect(policy.spec.targetRefs).toEqual([{ kind: 'PostgresGateway', name }]);
  expect(policy.spec.subjects).toEqual([{ serviceAccount: { namespace, name: client.spec.serviceAccountName } }]);
  const env = Object.fromEntries(client.spec.containers[0].env.map((one: Manifest) => [one.name, one.value]));
  const [role] = gateway.spec.upstream.roles;
  expect(env).toMatchObject({ PGHOST: `${name}.${namespace}.svc`, PGUSER: role.name, PGSSLMODE: 'verify-full' });
  expect(policy.spec.role).toBe(role.name);
  const [volume] = client.spec.volumes;
  expect(volume.projected.sources[0].serviceAccountToken.audience).toBe(
    gateway.spec.identity.issuers[0].kubernetes.audience,
  );
  expect(find('Secret', role.secretRef.name).stringData.username).toBe(role.name);
  expect(gateway.spec.upstream.host).toBe(`${find('Service').metadata.name}.${namespace}.svc`);
  expect(find('ConfigMap', 'orders-db-init').data['init.sh']).toContain(`CREATE ROLE ${role.name} `);
});

test('the certificate that README makes is for the name that the client checks, under the names that are mounted', () => {
  expect(readme).toContain(`subjectAltName=DNS:${gateway.metadata.name}.${gateway.metadata.namespace}.svc `);
  expect(readme).toContain(`create secret tls ${gateway.spec.tls.secretRef.name} `);
  expect(readme).toContain(`create configmap ${client.spec.volumes[1].configMap.name} --from-file=ca.crt=`);
});

test('the refusal that README shows is the one that the policy gives', () => {
  const rule = policy.spec.rules.find(({ action }: Manifest) => action === 'Deny');
  expect(readme).toContain(
    `denied by AccessPolicy ${policy.metadata.namespace}/${policy.metadata.name}, rule ${rule.name}: Ddl`,
  );
});
