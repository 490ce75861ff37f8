import { join } from 'node:path';
import { RESULTS } from './measure.ts';
import { CommandError, type RunOptions, run } from './run.ts';

/** A Kubernetes object as kubectl shows it. */
export interface Thing {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly uid: string }[];
    readonly managedFields?: readonly { readonly manager: string; readonly fieldsV1: object }[];
  };
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever they look at
  readonly [field: string]: any;
}

/** The kubeconfig of this run: the one given, or that of the cluster that the run created. */
export function kubeconfig(): string {
  return process.env.KUBECONFIG ?? join(RESULTS, 'kubeconfig');
}

export function kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return run('kubectl', args, { ...options, env: { KUBECONFIG: kubeconfig(), ...options.env } });
}

/** `kubectl apply -f -` of these objects, as a person does it. */
export function apply(...objects: readonly object[]): Promise<string> {
  return kubectl(['apply', '-f', '-'], { input: list(objects) });
}

/** Objects as one List, the way kubectl reads several. */
export function list(objects: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
}

export async function get(namespace: string | null, kind: string, name: string): Promise<Thing> {
  return JSON.parse(await kubectl([...inside(namespace), 'get', kind, name, '-o', 'json', '--show-managed-fields']));
}

/** null: there is no such object. */
export async function find(namespace: string | null, kind: string, name: string): Promise<Thing | null> {
  const text = await kubectl([...inside(namespace), 'get', kind, name, '-o', 'json', '--ignore-not-found']);
  return text === '' ? null : JSON.parse(text);
}

export async function all(namespace: string, kind: string, selector = ''): Promise<readonly Thing[]> {
  const selection = selector === '' ? [] : ['-l', selector];
  return JSON.parse(await kubectl(['-n', namespace, 'get', kind, '-o', 'json', ...selection])).items;
}

/** `kubectl patch --type=merge`. */
export function patch(namespace: string, kind: string, name: string, change: object): Promise<string> {
  return kubectl(['-n', namespace, 'patch', kind, name, '--type=merge', '-p', JSON.stringify(change)]);
}

export function remove(namespace: string | null, kind: string, name: string, ...more: string[]): Promise<string> {
  return kubectl([...inside(namespace), 'delete', kind, name, '--ignore-not-found', '--timeout=90s', ...more]);
}

/** Runs a program in a container; `target` as kubectl exec takes it: `pod` or `deploy/name`. */
export function exec(namespace: string, target: string, command: readonly string[], input?: string): Promise<string> {
  const attach = input === undefined ? [] : ['-i'];
  return kubectl(['-n', namespace, 'exec', ...attach, target, '--', ...command], input === undefined ? {} : { input });
}

/** A new, empty namespace that admits pods of the restricted profile alone. */
export async function restrictedNamespace(name: string): Promise<void> {
  await remove(null, 'namespace', name);
  const labels = {
    'pod-security.kubernetes.io/enforce': 'restricted',
    'postern-e2e': name.startsWith('e2e-') && name !== 'e2e-infra' ? 'site' : 'infra',
  };
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}

/** Deletes the namespaces of all suites; `wait`: until they are gone. */
export async function removeSites(wait: boolean): Promise<void> {
  const options = ['-l', 'postern-e2e=site', `--wait=${wait}`, '--timeout=90s'];
  await kubectl(['delete', 'namespace', ...options], { timeout: 100_000 });
}

/** What the command said on stderr when it must fail; throws when it does not. */
export async function refusal(attempt: Promise<string>): Promise<string> {
  const outcome = await attempt.then(
    (text) => `it went through: ${text}`,
    (error: unknown) => error,
  );
  if (outcome instanceof CommandError) return outcome.stderr;
  throw outcome instanceof Error ? outcome : new Error(String(outcome));
}

function inside(namespace: string | null): string[] {
  return namespace === null ? [] : ['-n', namespace];
}
