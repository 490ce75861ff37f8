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
  /** The value of a metric, summed over its labels; `labels` as they are written in the exposition. */
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
}

export async function startOperator(options: OperatorOptions): Promise<OperatorProcess> {
  const { api, admin, installation, name = 'operator-0' } = options;
  const { namespace, watched } = installation;
  const directory = await mkdtemp(path.join(os.tmpdir(), 'postern-operator-'));
  const config = path.join(directory, 'kubeconfig');
  await writeFile(config, kubeconfig(api, await operatorToken(admin, namespace)), { mode: 0o600 });
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
  const owned = await startOwned(path.join(directory, 'log'), [process.execPath, ...args], {
    KUBECONFIG: config,
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
      return await owned.ended();
    },
    async kill() {
      await owned.kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
  if (options.unready !== true) await untilReady(operator);
  return operator;
}

async function untilReady(operator: OperatorProcess): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await operator.isReady())) {
    if (Date.now() > deadline) throw new Error(`the operator did not get ready:\n${await operator.log()}`);
    await sleep(50);
  }
}

function sum(exposition = '', name: string, labels: readonly string[]): number {
  return exposition
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
