import { join } from 'node:path';
import { inject } from 'vitest';
import { eventually } from './eventually.ts';
import { all, find, get, kubeconfig, kubectl, restrictedNamespace, type Thing } from './kubectl.ts';
import { run } from './run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The product's image of this checkout. */
    readonly image: string;
  }
}

export const SYSTEM = 'postern-system';
export const OPERATOR_LABEL = 'app.kubernetes.io/name=postern';
export const CHART = join(import.meta.dirname, '..', '..', 'charts', 'postern');

export function helm(...args: readonly string[]): Promise<string> {
  return run('helm', args, { env: { KUBECONFIG: kubeconfig() }, timeout: 240_000 });
}

/** Values that name an image. */
export function imageValues(image = inject('image')): readonly string[] {
  const colon = image.lastIndexOf(':');
  return ['--set', `image.repository=${image.slice(0, colon)}`, '--set', `image.tag=${image.slice(colon + 1)}`];
}

/** `helm upgrade --install … --wait` of a chart into the system's namespace, which is made restricted. */
export async function helmUpgrade(chart: string, values: readonly string[]): Promise<string> {
  if ((await find(null, 'namespace', SYSTEM)) === null) await restrictedNamespace(SYSTEM);
  return helm('upgrade', '--install', 'postern', chart, '--namespace', SYSTEM, '--wait', '--timeout=3m', ...values);
}

/** The operator of this checkout, installed by Helm with the chart's defaults; quick where it is already. */
export async function installOperator(): Promise<void> {
  const deployment = await find(SYSTEM, 'deployment', 'postern-operator').catch(() => null);
  const image = deployment?.spec.template.spec.containers[0].image;
  const byHelm = deployment?.metadata.annotations?.['meta.helm.sh/release-name'] === 'postern';
  if (deployment !== null && !byHelm) await restrictedNamespace(SYSTEM);
  if (!byHelm || image !== inject('image')) await helmUpgrade(CHART, imageValues());
  await kubectl(['-n', SYSTEM, 'rollout', 'status', 'deploy/postern-operator', '--timeout=120s'], { timeout: 130_000 });
  // Pods of what was there before are counted by nobody.
  await eventually('no operator is on its way out', async () =>
    (await operatorPods()).every(({ metadata }) => metadata.deletionTimestamp === undefined) ? true : undefined,
  );
}

export function operatorPods(): Promise<readonly Thing[]> {
  return all(SYSTEM, 'pods', OPERATOR_LABEL);
}

/** Name of the pod that holds the lease; null: nobody does. */
export async function leader(): Promise<string | null> {
  const lease = await get(SYSTEM, 'lease', 'postern-operator');
  return lease.spec.holderIdentity || null;
}

/** Until a pod that runs leads. */
export function led(within = 60_000): Promise<Thing> {
  return eventually(
    'an operator leads',
    async () => {
      const holder = await leader();
      return (await operatorPods()).find(({ metadata }) => metadata.name === holder);
    },
    { within },
  );
}
