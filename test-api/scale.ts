/**
 * One operator with hundreds of gateways and thousands of objects attached to them, on a real API server, with pods that
 * are objects and a control stream each. Prints a table, and JSON where `--json FILE` says. Exits with 1 where a number
 * is worse than promised.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gatewayYaml, maskYaml, policyYaml } from '../test/operator/manifests.ts';
import { startApiServer } from './kit/api-server.ts';
import { apply, collection } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';
import { countWrites, writesSince } from './kit/writes.ts';

type Json = Record<string, unknown>;

const { values } = parseArgs({
  options: {
    gateways: { type: 'string', default: '100' },
    policies: { type: 'string', default: '2000' },
    masks: { type: 'string', default: '2000' },
    edits: { type: 'string', default: '200' },
    /** Seconds. */
    idle: { type: 'string', default: '600' },
    json: { type: 'string' },
  },
});
const [gateways, policies, masks, edits, idle] = [
  Number(values.gateways),
  Number(values.policies),
  Number(values.masks),
  Number(values.edits),
  Number(values.idle),
];

interface Line {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What is promised; null: nothing. */
  readonly limit: number | null;
}

const NAMESPACE = 'scale';
/** The first as in the chart, the second as node chooses for itself in a container of 256 MiB. */
const NODE = ['--max-semi-space-size=4', '--max-old-space-size=128'];
const inCluster = process.getuid?.() === 0;
const gatewayName = (i: number): string => `gateway-${i % gateways}`;
const targetRefs = (i: number) => [{ group: 'postern.dev', kind: 'PostgresGateway', name: gatewayName(i) }];
const here = (object: Json): Json => ({ ...object, metadata: { ...(object.metadata as Json), namespace: NAMESPACE } });
const gateway = (i: number): Json => {
  const object = gatewayYaml({ replicas: 2 });
  return here({ ...object, metadata: { name: gatewayName(i), namespace: NAMESPACE } });
};
const policy = (i: number, parts: Json = {}): Json =>
  here(policyYaml(`policy-${i}`, { targetRefs: targetRefs(i), ...parts }));
const mask = (i: number): Json => here(maskYaml(`mask-${i}`, { targetRefs: targetRefs(i) }));

/** Calls for each number below, several at a time. */
async function each(count: number, work: (i: number) => Promise<unknown>, width = 16): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** How many objects of a kind have a condition that is so for their present generation. */
async function count(stage: Stage, kind: string, type: string, statuses: readonly string[]): Promise<number> {
  const { items } = await stage.http.must(collection('postern.dev/v1alpha1', kind, NAMESPACE));
  return items.filter(({ metadata, status }: { metadata: Json; status?: { conditions?: Json[] } }) =>
    status?.conditions?.some(
      (each) =>
        each.type === type && statuses.includes(String(each.status)) && each.observedGeneration === metadata.generation,
    ),
  ).length;
}

async function allLookedAt(stage: Stage): Promise<boolean> {
  const any = ['True', 'False', 'Unknown'];
  const { items } = await stage.http.must(collection('policy/v1', 'PodDisruptionBudget', NAMESPACE));
  return (
    // The last of what a gateway is made of.
    items.length === gateways &&
    (await count(stage, 'PostgresGateway', 'Accepted', ['True'])) === gateways &&
    (await count(stage, 'AccessPolicy', 'Ready', any)) === policies &&
    (await count(stage, 'MaskingRule', 'Ready', any)) === masks
  );
}

async function allSettled(stage: Stage): Promise<boolean> {
  return (
    (await count(stage, 'PostgresGateway', 'Ready', ['True'])) === gateways &&
    (await count(stage, 'AccessPolicy', 'Ready', ['True'])) === policies &&
    // This version cannot mask: a rule is never ready, but said to be so.
    (await count(stage, 'MaskingRule', 'Ready', ['False'])) === masks
  );
}

const seconds = (since: number): number => (performance.now() - since) / 1000;

async function memory(operator: OperatorProcess, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${operator.pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

/** Edits one policy after another; the milliseconds until each was said to be in force. */
async function editPolicies(stage: Stage): Promise<readonly number[]> {
  const times: number[] = [];
  for (let n = 0; n < edits; n++) {
    const i = (n * 37) % policies;
    const { metadata } = await apply(stage.http, policy(i, { session: { rows: n + 1 } }));
    const began = performance.now();
    const path = `${collection('postern.dev/v1alpha1', 'AccessPolicy', NAMESPACE)}/policy-${i}`;
    await until(async () => {
      const { status } = await stage.http.must(path);
      return status?.conditions?.some(
        (each: Json) =>
          each.type === 'Ready' && each.status === 'True' && each.observedGeneration === metadata.generation,
      );
    });
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b);
}

async function measure(stage: Stage): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const add = (what: string, value: number, unit: string, limit: number | null = null): void => {
    lines.push({ what, value: Math.round(value * 100) / 100, unit, limit });
    process.stderr.write(`${what}: ${value.toFixed(2)} ${unit}\n`);
  };
  await each(gateways, (i) => apply(stage.http, gateway(i)));
  await each(policies, (i) => apply(stage.http, policy(i)));
  await each(masks, (i) => apply(stage.http, mask(i)));
  let started = performance.now();
  let operator = await stage.operator({ node: NODE, inCluster });
  add('start to caches complete', seconds(started), 's');
  await until(
    () => allLookedAt(stage),
    () => operator.log(),
    600_000,
  );
  add('start to everything made and looked at', seconds(started), 's', 30);
  await until(
    () => allSettled(stage),
    () => operator.log(),
    600_000,
  );
  add('start to all of it confirmed by pods that were made meanwhile', seconds(started), 's');
  const times = await editPolicies(stage);
  const quantile = (q: number): number => times[Math.min(times.length - 1, Math.floor(times.length * q))]! / 1000;
  add('edit of a policy to in force and said, p50', quantile(0.5), 's', 2);
  add('edit of a policy to in force and said, p99', quantile(0.99), 's', 5);
  add('resident memory of the operator, highest', await memory(operator, 'VmHWM'), 'MiB', 256);
  await operator.stop();
  started = performance.now();
  operator = await stage.operator({ controlPort: operator.controlPort, node: NODE, inCluster });
  const looked = async (): Promise<boolean> =>
    (await operator.metric('controller_runtime_reconcile_total', 'controller="postgresgateway"')) >= gateways &&
    (await operator.metric('workqueue_depth')) === 0 &&
    (await operator.metric('postern_control_streams')) === 2 * gateways;
  const before = await countWrites(stage.http);
  await until(looked, () => operator.log(), 120_000);
  add('restart to all looked at, all pods connected', seconds(started), 's', 30);
  await sleep(20_000);
  const { 'POST tokenreviews': _, ...written } = await writesSince(stage.http, before);
  add('writes because of the restart', total(written), '', 0);
  const idleBefore = await countWrites(stage.http);
  await sleep(idle * 1000);
  add(`writes in ${idle} s without a change`, total(await writesSince(stage.http, idleBefore)), '', 0);
  add('resident memory of the operator, after that', await memory(operator, 'VmRSS'), 'MiB', 256);
  return lines;
}

function total(writes: Readonly<Record<string, number>>): number {
  return Object.values(writes).reduce((sum, count) => sum + count, 0);
}

const api = await startApiServer();
try {
  const stage = await Stage.open({ api, namespaces: [NAMESPACE], everywhere: true });
  const lines = await measure(stage);
  await stage.close();
  const access = inCluster ? '' : ' (by a kubeconfig, which costs 50 MiB)';
  const what = `${gateways} gateways of 2 pods, ${policies} AccessPolicies, ${masks} MaskingRules${access}`;
  const rows = lines.map(({ what, value, unit, limit }) => `| ${what} | ${value} ${unit} | ${limit ?? ''} |`);
  process.stdout.write(`${what}\n\n| | Measured | Promised |\n|---|---:|---:|\n${rows.join('\n')}\n`);
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ what, lines }, null, 2)}\n`);
  const worse = lines.filter(({ value, limit }) => limit !== null && value > limit);
  process.exitCode = worse.length === 0 ? 0 : 1;
} finally {
  await api.stop();
}
