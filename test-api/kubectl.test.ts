import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { postern, run } from '../test/cli/postern.ts';
import { gatewayYaml, policyYaml } from '../test/operator/manifests.ts';
import { type ApiServerAddress, kubeconfig } from './kit/api-server.ts';
import { type Http, openHttp } from './kit/http.ts';
import { apply, createNamespace } from './kit/objects.ts';

/** The plugin with the kubectl of KUBEBUILDER_ASSETS (or of the PATH) and what an API server really says. */

type Json = Record<string, unknown>;

const NAMESPACE = 'kubectl-test';
const PLUGIN = new URL('../cli/kubectl-postern.ts', import.meta.url).pathname;
const PATH = `${process.env.KUBEBUILDER_ASSETS}:${process.env.PATH}`;

let admin: Http;
let directory: string;
let config: string;
beforeAll(async () => {
  const address = inject('apiServer');
  admin = openHttp(address.url, address.ca, address.adminToken);
  directory = await mkdtemp(path.join(os.tmpdir(), 'postern-kubeconfig-'));
  config = await writeConfig('admin', address, address.adminToken);
  await createNamespace(admin, NAMESPACE);
  await apply(admin, here(gatewayYaml()));
  await apply(admin, here(policyYaml('readers')));
});
afterAll(async () => {
  await admin.close();
  await rm(directory, { recursive: true, force: true });
});

async function writeConfig(name: string, address: ApiServerAddress, token: string): Promise<string> {
  const file = path.join(directory, name);
  await writeFile(file, kubeconfig(address, token), { mode: 0o600 });
  return file;
}

function here(object: Json): Json {
  return { ...object, metadata: { ...(object.metadata as Json), namespace: NAMESPACE } };
}

const plugin = (args: readonly string[], kubeconfigFile = config) =>
  run(PLUGIN, args, '', { env: { ...process.env, PATH, KUBECONFIG: kubeconfigFile } });

const at = { lastTransitionTime: '2026-01-01T00:00:00Z', message: '' };
const holds = (generation: number, ...types: readonly string[]) =>
  types.map((type) => ({ type, status: 'True', reason: type, observedGeneration: generation, ...at }));

async function inForce(): Promise<void> {
  const head = ({ apiVersion, kind, metadata }: Json) => ({ apiVersion, kind, metadata });
  await apply(
    admin,
    { ...head(here(gatewayYaml())), status: { conditions: holds(1, 'Accepted', 'Programmed', 'Ready') } },
    'operator',
    '/status',
  );
  const ancestorRef = { group: 'postern.dev', kind: 'PostgresGateway', name: 'orders' };
  const ancestors = [{ ancestorRef, conditions: holds(1, 'Accepted', 'Programmed') }];
  await apply(admin, { ...head(here(policyYaml('readers'))), status: { ancestors } }, 'operator', '/status');
}

test('status: not ready until the operator has said so', async () => {
  const before = await plugin(['status', '-n', NAMESPACE]);
  expect(before.out).toMatch(/Accepted, AccessPolicy readers: wait for the operator/);
  expect(before.code).toBe(1);
  await inForce();
  const after = await plugin(['status', 'orders', '-n', NAMESPACE]);
  expect(after.err).toBe('');
  expect(after.out).toMatch(new RegExp(`^${NAMESPACE}/orders +yes +- +0/0 +- +1/1 +0/0`, 'm'));
  expect(after.code).toBe(0);
});

test('explain by what the API server has, defaults included', async () => {
  const ask = (sql: string) =>
    plugin(['explain', 'orders', '-n', NAMESPACE, '--user', 'ann', '--group', 'g', '--role', 'ro', sql]);
  expect(await ask('SELECT * FROM orders')).toMatchObject({
    code: 0,
    out: expect.stringContaining(`allowed by AccessPolicy ${NAMESPACE}/readers, rule read`),
  });
  expect(await ask('DELETE FROM orders')).toMatchObject({ code: 1, out: expect.stringContaining('denied by') });
});

test.each(['yaml', 'json'])('validate takes what kubectl get -o %s prints', async (format) => {
  const { stdout } = await promisify(execFile)(
    'kubectl',
    ['get', 'pggw,pgap', '-n', NAMESPACE, '-o', format, '--show-managed-fields'],
    { env: { ...process.env, PATH, KUBECONFIG: config } },
  );
  expect(stdout).toContain('managedFields');
  expect(await postern(['validate', '-f', '-'], stdout)).toMatchObject({
    code: 0,
    out: `PostgresGateway ${NAMESPACE}/orders is good: 1 listener, 1 policy\n`,
  });
});

describe('what is wrong is said in a sentence', () => {
  const sentence = (result: { err: string }) => {
    expect(result.err.trim().split('\n')).toHaveLength(1);
    return result.err;
  };

  test('without rights', async () => {
    const result = await plugin(['status', '-n', NAMESPACE, '--as', 'jane']);
    expect(sentence(result)).toContain(
      `jane may not list postgresgateways.postern.dev in namespace ${NAMESPACE}: ask for a role that allows it`,
    );
    expect(result.code).toBe(2);
    const everywhere = await plugin(['status', '-A', '--as', 'jane', '--as-group', 'people']);
    expect(sentence(everywhere)).toContain('jane may not list postgresgateways.postern.dev in all namespaces');
  });

  test('no such gateway', async () => {
    expect(sentence(await plugin(['sessions', 'order', '-n', NAMESPACE]))).toContain(
      'no PostgresGateway order in this namespace: there is orders',
    );
    expect(sentence(await plugin(['sessions', 'order', '-n', 'default']))).toContain(
      'there is none; name the namespace',
    );
  });

  test('a pod that runs nowhere', async () => {
    const labels = { 'app.kubernetes.io/name': 'postern-gateway', 'postern.dev/gateway': 'orders' };
    const metadata = { name: 'orders-0', namespace: NAMESPACE };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, labels } };
    await apply(admin, { ...pod, spec: { containers: [{ name: 'gateway', image: 'postern' }] } });
    expect(sentence(await plugin(['sessions', 'orders', '-n', NAMESPACE]))).toContain(
      'pod orders-0 is missing here: its gateway does not run',
    );
    const running = { name: 'gateway', image: 'postern', imageID: '', ready: true, restartCount: 0 };
    const status = { containerStatuses: [{ ...running, state: { running: { startedAt: at.lastTransitionTime } } }] };
    await apply(admin, { apiVersion: 'v1', kind: 'Pod', metadata, status }, 'kubelet', '/status');
    expect(sentence(await plugin(['drain', 'pod/orders-0', '-n', NAMESPACE, '--request-timeout', '10s']))).toMatch(
      /pod orders-0 cannot be drained: .*pod orders-0 does not have a host assigned/,
    );
  });

  test('a token that is not known, a server that is not there, a context that is not there', async () => {
    const address = inject('apiServer');
    const stranger = await writeConfig('stranger', address, 'x');
    expect(sentence(await plugin(['status'], stranger))).toContain('the cluster does not accept your credentials');
    const gone = await writeConfig('gone', { ...address, url: 'https://127.0.0.1:1' }, 'x');
    expect(sentence(await plugin(['status'], gone))).toContain('the cluster cannot be reached');
    expect(sentence(await plugin(['status', '--context', 'prod']))).toContain('there is no such context');
  });
});
