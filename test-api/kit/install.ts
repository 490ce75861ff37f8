import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Http } from './http.ts';
import { apply, createNamespace } from './objects.ts';

type Rule = Readonly<Record<string, readonly string[]>>;

/** The rights that the chart gives the operator. */
interface Rights {
  readonly watched: readonly Rule[];
  readonly cluster: readonly Rule[];
  readonly own: readonly Rule[];
}

const RBAC = 'rbac.authorization.k8s.io/v1';
const RIGHTS = new URL('../../charts/postern/files/rbac.yaml', import.meta.url);
const NAME = 'postern-operator';

export interface Installation {
  /** Where the operator lives. */
  readonly namespace: string;
  /** Empty: it watches all. */
  readonly watched: readonly string[];
}

/** Installs what the chart installs for the operator but its Deployment: account and rights. */
export async function install(http: Http, { namespace, watched }: Installation): Promise<void> {
  await createNamespace(http, namespace);
  await apply(http, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, namespace } });
  const rights = parse(await readFile(RIGHTS, 'utf8')) as Rights;
  await grantCluster(http, namespace, watched.length === 0 ? [...rights.cluster, ...rights.watched] : rights.cluster);
  await grant(http, namespace, namespace, 'own', rights.own);
  for (const each of watched) await grant(http, namespace, each, 'watched', rights.watched);
}

/** The rights in watched namespaces without those on one resource; `undefined`: with all of them. */
export async function restrict(http: Http, { namespace, watched }: Installation, without?: string): Promise<void> {
  const rights = parse(await readFile(RIGHTS, 'utf8')) as Rights;
  const rules = rights.watched.map((rule) => ({
    ...rule,
    resources: (rule.resources ?? []).filter((resource) => resource !== without),
  }));
  const left = rules.filter(({ resources }) => resources.length > 0);
  for (const each of watched) await grant(http, namespace, each, 'watched', left);
}

const subjects = (namespace: string) => [{ kind: 'ServiceAccount', name: NAME, namespace }];

async function grant(http: Http, account: string, namespace: string, part: string, rules: readonly object[]) {
  const metadata = { name: `${NAME}-${part}`, namespace };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name };
  await apply(http, { apiVersion: RBAC, kind: 'Role', metadata, rules });
  await apply(http, { apiVersion: RBAC, kind: 'RoleBinding', metadata, roleRef, subjects: subjects(account) });
}

async function grantCluster(http: Http, namespace: string, rules: readonly object[]): Promise<void> {
  const metadata = { name: `${NAME}-${namespace}` };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name };
  await apply(http, { apiVersion: RBAC, kind: 'ClusterRole', metadata, rules });
  await apply(http, { apiVersion: RBAC, kind: 'ClusterRoleBinding', metadata, roleRef, subjects: subjects(namespace) });
}

/** A token of the operator's account. */
export async function operatorToken(http: Http, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${NAME}/token`;
  const { status } = await http.must(path, { method: 'POST', body: { spec: { expirationSeconds: 86_400 } } });
  return status.token;
}
