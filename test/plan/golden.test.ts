import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import type { AccessPolicy, AccessRequest, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import type { Manifest } from '../../operator/api/validate.ts';
import { planAttached } from '../../operator/plan/attached.ts';
import { plan } from '../../operator/plan/plan.ts';
import { planRequest } from '../../operator/plan/request.ts';
import type { Child, GatewayInput, PodView } from '../../operator/plan/types.ts';
import { serve } from '../operator/manifests.ts';
import { fresh, known, NOW, pod, running, settled, stored } from './kit.ts';

const GOLDEN = new URL('golden/', import.meta.url);

/** What is there, beside the manifests: the document of kind Observed. */
interface Observed {
  readonly kind: 'Observed';
  /** Fresh: nothing. Settled: all that follows from the manifests, the changed ones among them in their old form. */
  readonly state: 'Fresh' | 'Settled';
  /** Specs as they were when the gateway settled, by name; null: the object was not there. */
  readonly before?: Readonly<Record<string, object | null>>;
  /** Pods in the place of the settled ones. */
  readonly pods?: readonly (Partial<PodView> & { readonly name: string; readonly runs?: 'Before' | 'Now' })[];
  readonly change?: Partial<GatewayInput>;
}

function read(name: string): { readonly manifests: readonly Manifest[]; readonly observed: Observed } {
  const texts = parseAllDocuments(readFileSync(new URL(`${name}/in.yaml`, GOLDEN), 'utf8'));
  const objects = texts.map((text) => (text as { toJS(): unknown }).toJS() as Record<string, unknown>);
  const observed = objects.find(({ kind }) => kind === 'Observed') ?? { kind: 'Observed', state: 'Fresh' };
  const manifests = objects.filter(({ kind }) => kind !== 'Observed').map(serve);
  return { manifests, observed: observed as unknown as Observed };
}

function gather(manifests: readonly Manifest[]): Partial<GatewayInput> {
  return {
    gateway: stored(manifests.find(({ kind }) => kind === 'PostgresGateway') as PostgresGateway),
    policies: manifests.filter(({ kind }) => kind === 'AccessPolicy') as AccessPolicy[],
    maskingRules: manifests.filter(({ kind }) => kind === 'MaskingRule') as MaskingRule[],
  };
}

function asBefore(manifests: readonly Manifest[], before: Observed['before'] = {}): Manifest[] {
  return manifests.flatMap((manifest) => {
    const spec = before[manifest.metadata.name];
    if (spec === null) return [];
    return spec === undefined ? [manifest] : [serve({ ...manifest, spec: { ...manifest.spec, ...spec } })];
  });
}

function observe(manifests: readonly Manifest[], observed: Observed): GatewayInput {
  const now = gather(manifests);
  if (observed.state === 'Fresh') return fresh({ ...now, ...observed.change });
  const before = known(settled(gather(asBefore(manifests, observed.before))));
  const { gateway } = fresh(now);
  const input = { ...before, ...now, gateway: { ...gateway, status: before.gateway.status! } };
  const target = plan(input).publish ?? before.published!;
  const pods = observed.pods?.map(({ name, runs, ...rest }) =>
    runs === undefined ? pod(name, rest) : running(name, runs === 'Now' ? target : before.published!, rest),
  );
  // What a pod runs has been published.
  const runsNow = observed.pods?.some(({ runs }) => runs === 'Now') === true;
  const published = runsNow ? { published: target, earlier: [before.published!] } : {};
  return { ...input, ...published, ...(pods === undefined ? {} : { pods }), ...observed.change };
}

/** A ConfigMap's compressed bytes hang on the library that made them; the document is shown in the clear. */
function readable(child: Child): Child {
  return child.kind === 'ConfigMap' ? { ...child, binaryData: '(the document)' } : child;
}

function render(manifests: readonly Manifest[], input: GatewayInput): string {
  const { children, publish, attachments, ...planned } = plan(input);
  const attached = [...input.policies, ...input.maskingRules].flatMap((object) => {
    const found = attachments.find((one) => one.kind === object.kind && one.name === object.metadata.name);
    if (found === undefined) return [];
    const status = planAttached({ object, gateways: new Map([[input.gateway.metadata.name, found]]), now: NOW });
    return [{ object: `${object.kind}/${object.metadata.name}`, status }];
  });
  const requests = manifests
    .filter((one): one is AccessRequest => one.kind === 'AccessRequest')
    .map((request) => ({ object: `AccessRequest/${request.metadata.name}`, ...planRequest({ request, now: NOW }) }));
  const whole = { ...planned, attached, requests, publish, children: children.map(readable) };
  return stringify(whole, { aliasDuplicateObjects: false, lineWidth: 120 });
}

test.each(readdirSync(GOLDEN))('the plan of %s', (name) => {
  const { manifests, observed } = read(name);
  const text = render(manifests, observe(manifests, observed));
  const file = new URL(`${name}/out.yaml`, GOLDEN);
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
  expect(existsSync(file), 'run make golden and read what it wrote').toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
});
