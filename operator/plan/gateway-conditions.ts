import { shapeOf } from './children/pod.ts';
import { wantedPods } from './children/scaling.ts';
import { listed, no, since, unknown, type Verdict, yes } from './conditions.ts';
import { type Configuration, describeOwn } from './configuration.ts';
import { confirm } from './confirmation.ts';
import type { GatewayInput, PodView } from './types.ts';

const PAUSED_ANNOTATION = 'postern.dev/paused';
/** Milliseconds after which a configuration that is not confirmed everywhere is no longer on its way. */
const PATIENCE = 60_000;
/** Why a container waits and will not get on by itself. */
const STUCK = new Set([
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'ErrImageNeverPull',
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'RunContainerError',
]);

/** Whether the gateway can be made what it says; `touch`: whether anything of it may be changed meanwhile. */
export function accepted(input: GatewayInput, configuration: Configuration): Verdict & { readonly touch: boolean } {
  const { gateway, foreign } = input;
  if (gateway.metadata.annotations?.[PAUSED_ANNOTATION] === 'true')
    return { ...no('Paused', `nothing is changed while the annotation ${PAUSED_ANNOTATION} is "true"`), touch: false };
  if (foreign.length > 0) {
    const message = `not ours, and in the place of what the gateway needs: ${listed(foreign)}; delete or rename`;
    return { ...no('NameConflict', message), touch: false };
  }
  if (configuration.kind === 'Good') return { ...yes('Accepted'), touch: true };
  const own = configuration.problems.filter(({ object }) => object.kind === gateway.kind);
  if (own.length > 0) return { ...no('Invalid', describeOwn(own)), touch: false };
  // What is attached is at fault, and says so itself.
  if (configuration.problems.length > 0) return { ...yes('Accepted'), touch: true };
  return { ...no(configuration.reason, configuration.message), touch: true };
}

/** Whether all Secrets are there, as the pods say: the operator itself reads none. */
export function resolvedRefs({ gateway, pods }: GatewayInput): Verdict {
  const heard = pods.filter(({ report }) => report !== null);
  const findings = heard.flatMap(({ report }) => report!.findings);
  const secrets = findings.filter(({ kind }) => kind === 'Secret');
  if (secrets.length > 0) {
    const certificate = secrets.every(({ path }) => path === 'spec.tls.secretRef');
    const texts = secrets.map(({ path, message }) => `${path}: ${message}`);
    return no(certificate ? 'CertificateNotReady' : 'SecretNotFound', listed(texts));
  }
  const refused = pods
    .flatMap(({ waiting }) => waiting)
    .filter(({ reason, message }) => reason === 'CreateContainerConfigError' && /\bsecret\b/i.test(message));
  if (refused.length > 0) return no('SecretNotFound', listed(refused.map(({ message }) => message)));
  if (heard.length > 0) return yes('ResolvedRefs');
  const live = gateway.status?.conditions?.find(({ type }) => type === 'ResolvedRefs');
  // Nobody is heard: what was known stays.
  if (live !== undefined) return live as Verdict;
  return unknown('no pod has said yet whether its Secrets are there');
}

/** Why a rollout does not get on; null: it does, or is done. */
function stuck({ workload, pods }: GatewayInput): string | null {
  const waiting = pods
    .filter(({ terminating }) => !terminating)
    .flatMap(({ name, waiting: all }) =>
      all.filter(({ reason }) => STUCK.has(reason)).map(({ reason }) => `${name}: ${reason}`),
    );
  if (waiting.length > 0) return listed(waiting);
  // What the workload says of a template from before is no news.
  const isCurrent = workload !== null && workload.observedGeneration >= workload.generation;
  return isCurrent && workload.progressDeadlineExceeded ? 'new pods do not become ready' : null;
}

/** Whether the configuration is in force on all pods that count, with everything that counts from their start. */
export function programmed(input: GatewayInput, configuration: Configuration, acceptance: Verdict): Verdict {
  if (configuration.kind === 'Bad') {
    const kept = input.published === null ? 'there is none yet' : 'the last good one stays in force';
    return no(configuration.reason, `${kept}: ${configuration.message}`);
  }
  const { revision, document } = configuration;
  if (acceptance.status === 'False' && revision !== input.published?.revision)
    return no(acceptance.reason, acceptance.message);
  const { counted, behind } = confirm(input, revision);
  if (behind.length > 0) return late(input, behind, revision);
  const shape = shapeOf(document);
  const old = counted.filter((pod) => pod.shape !== shape).map(({ name }) => name);
  if (old.length > 0) return rolling(input, `pods from before what counts from their start: ${listed(old)}`);
  const wanted = wantedPods(input.gateway, input.workload);
  if (counted.length === 0 && wanted > 0) return rolling(input, `0 of ${wanted} pods are ready`);
  return yes('Programmed', `revision ${revision.slice(0, 12)} is in force`);
}

function rolling(input: GatewayInput, message: string): Verdict {
  const why = stuck(input);
  return why === null ? no('Progressing', message) : no('RolloutStuck', why);
}

/** On its way for a minute, then not confirmed; refused: at once. */
export function late(input: GatewayInput, behind: readonly PodView[], revision: string): Verdict {
  const refusal = behind.find(({ report }) => report?.refused?.revision === revision)?.report?.refused;
  const names = listed(behind.map(({ name }) => name));
  if (refusal != null) {
    const why = [...refusal.errors].sort()[0] ?? 'without a reason';
    return no('ConfigNotConfirmed', `pods ${names} refuse the configuration: ${why}`);
  }
  const message = `not confirmed by pods ${names}`;
  return patience(input, revision) > 0
    ? no('Progressing', message)
    : no('ConfigNotConfirmed', `${message}${hint(behind)}`);
}

/**
 * Milliseconds until a configuration that is on its way is late. It counts from when it was published, which its sequence
 * tells: that another one was not in force long before is not its fault.
 */
export function patience({ gateway, published, now }: GatewayInput, revision: string): number {
  if (published?.revision !== revision) return PATIENCE;
  const failing = since(gateway.status?.conditions, 'Programmed', 'False') ?? now;
  // A sequence far ahead of the clock is no time: it came after one that somebody had written.
  const sent = published.sequence <= now + PATIENCE ? published.sequence : 0;
  return Math.min(now, Math.max(failing, sent)) + PATIENCE - now;
}

function hint(behind: readonly PodView[]): string {
  return behind.every(({ report }) => report === null)
    ? ': they have no control stream; their logs say why'
    : ': their logs say why';
}

/** Whether clients can connect to what the manifest says. */
export function ready(input: GatewayInput, others: readonly Verdict[]): Verdict {
  const failed = others.find(({ status }) => status === 'False');
  if (failed !== undefined) return failed;
  const why = stuck(input);
  if (why !== null) return no('RolloutStuck', why);
  const wanted = wantedPods(input.gateway, input.workload);
  if (wanted === 0) return no('Progressing', 'nobody can connect: spec.replicas is 0');
  const serving = input.pods.filter((pod) => pod.ready && !pod.terminating).length;
  if (serving === 0) return no('Progressing', `0 of ${wanted} pods are ready`);
  const updated = Math.min(input.workload?.updatedReplicas ?? wanted, wanted);
  const rollout = updated < wanted ? `; ${updated} of ${wanted} are up to date` : '';
  const message = `${serving} of ${wanted} pods are ready${rollout}`;
  return others.find(({ status }) => status === 'Unknown') ?? yes('Ready', message);
}
