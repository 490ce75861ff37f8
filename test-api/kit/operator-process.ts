import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/kit/free-port.ts';
import { type ApiServerAddress, kubeconfig } from './api-server.ts';
import type { Http } from './http.ts';
import { type Installation, operatorToken } from './install.ts';
import { type OwnedProcess, startOwned } from './process.ts';

/** The operator in a process of its own, with the rights of its account and no others. */
export interface OperatorProcess extends OwnedProcess {
  readonly name: string;
  readonly controlPort: number;
  /** The value of a metric, summed over its labels, NaN where there is none; `labels` as they are in the exposition. */
  metric(name: string, ...labels: readonly string[]): Promise<number>;
  isLeader(): Promise<boolean>;
  isReady(): Promise<boolean>;
  /** SIGTERM; gives the exit code. */
  stop(): Promise<number>;
}

const MAIN = new URL('../../operator/main.ts', import.meta.url).pathname;
const START_TIMEOUT_MS = 30_000;

export interface OperatorOptions {
  readonly api: ApiServerAddress;
  readonly admin: Http;
  readonly installation: Installation;
  readonly name?: string;
  /** Do not wait until it is ready. */
  readonly unready?: boolean;
  /** Of an operator that it takes the place of; else any. */
  readonly controlPort?: number;
  /** Node's own options. */
  readonly node?: readonly string[];
  /** By the files of a pod's account, in a mount namespace of its own (needs root); else by a kubeconfig, which costs memory. */
  readonly inCluster?: boolean;
}

export async function startOperator(options: OperatorOptions): Promise<OperatorProcess> {
  const { api, admin, installation, name = 'operator-0' } = options;
  const { namespace, watched } = installation;
  const directory = await mkdtemp(path.join(os.tmpdir(), 'postern-operator-'));
  const [controlPort, adminPort] = [options.controlPort ?? (await freePort()), await freePort()];
  const args = [
    ...(options.node ?? []),
    MAIN,
    `--namespace=${namespace}`,
    ...watched.map((each) => `--watch-namespace=${each}`),
    '--image=postern:test',
    `--control-port=${controlPort}`,
    `--admin-port=${adminPort}`,
  ];
  const token = await operatorToken(admin, namespace);
  const how =
    options.inCluster === true ? await asInPod(directory, api, token) : await byKubeconfig(directory, api, token);
  const owned = await startOwned(path.join(directory, 'log'), [...how.before, process.execPath, ...args], {
    ...how.environment,
    POD_NAME: name,
  });
  const get = async (endpoint: string): Promise<Response | null> =>
    await fetch(`http://127.0.0.1:${adminPort}${endpoint}`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
  const metric = async (wanted: string, ...labels: readonly string[]): Promise<number> =>
    sum(await (await get('/metrics'))?.text(), wanted, labels);
  const isReady = async (): Promise<boolean> => (await get('/readyz'))?.status === 200;
  const operator: OperatorProcess = {
    ...owned,
    name,
    controlPort,
    metric,
    isReady,
    isLeader: async () => (await metric('leader_election_master_status')) === 1,
    async stop() {
      owned.signal('SIGTERM');
      const code = await owned.ended();
      await rm(directory, { recursive: true, force: true });
      return code;
    },
    async kill() {
      await owned.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
  if (options.unready !== true) await untilReady(operator);
  return operator;
}

interface Access {
  /** What stands before the command. */
  readonly before: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

async function byKubeconfig(directory: string, api: ApiServerAddress, token: string): Promise<Access> {
  const file = path.join(directory, 'kubeconfig');
  await writeFile(file, kubeconfig(api, token), { mode: 0o600 });
  return { before: [], environment: { KUBECONFIG: file } };
}

/** Hides /run behind an empty one, and puts the account's files where a pod has them. */
const POD = `
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
cp "$1/token" "$1/ca.crt" /run/secrets/kubernetes.io/serviceaccount/ && shift && exec "$@"
`;

async function asInPod(directory: string, { url, ca }: ApiServerAddress, token: string): Promise<Access> {
  await writeFile(path.join(directory, 'token'), token, { mode: 0o600 });
  await writeFile(path.join(directory, 'ca.crt'), ca);
  const { hostname, port } = new URL(url);
  return {
    before: ['unshare', '--mount', '/bin/sh', '-c', POD, 'pod', directory],
    environment: { KUBECONFIG: '', HOME: directory, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
  };
}

async function untilReady(operator: OperatorProcess): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await operator.isReady())) {
    if (Date.now() > deadline) throw new Error(`the operator did not get ready:\n${await operator.log()}`);
    await sleep(50);
  }
}

function sum(exposition = '', name: string, labels: readonly string[]): number {
  const lines = exposition.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  if (lines.length === 0) return Number.NaN;
  return lines
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
