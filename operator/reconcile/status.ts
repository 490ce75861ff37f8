import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { KubeClient, KubeObject, Resource } from '../kube/types.ts';
import { FIELD_MANAGER } from './apply.ts';
import { keyOf, type Latest } from './latest.ts';

type Json = Readonly<Record<string, unknown>>;

/** Whether two statuses say the same: times do not count, nor do conditions that somebody else has added. */
export function saysTheSame(live: object | undefined, wanted: object, own: ReadonlySet<string>): boolean {
  return canonicalJson(essence(live ?? {}, own)) === canonicalJson(essence(wanted, own));
}

function essence(status: object, own: ReadonlySet<string>): Json {
  const { conditions, ...rest } = withoutTimes(status) as Json;
  const ours = ((conditions ?? []) as readonly { readonly type: string }[])
    .filter(({ type }) => own.has(type))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
  return { ...rest, conditions: ours };
}

function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([name, field]) => name !== 'lastTransitionTime' && field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutTimes(field)]));
}

export interface StatusWrite {
  readonly resource: Resource;
  /** As the cache holds it, and with what we wrote since. */
  readonly cached: KubeObject;
  readonly newest: KubeObject;
  readonly status: object;
  /** Types of conditions that are ours. */
  readonly own: ReadonlySet<string>;
}

/** Writes a status where it says something new; gives whether it did. */
export async function writeStatus(client: KubeClient, latest: Latest, write: StatusWrite): Promise<boolean> {
  const { resource, cached, newest, status, own } = write;
  if (saysTheSame(newest.status as object | undefined, status, own)) return false;
  const { apiVersion, kind, metadata } = newest;
  const { name, namespace, uid } = metadata;
  const identity = { name, ...(namespace && { namespace }), ...(uid && { uid }) };
  const object = { apiVersion, kind, metadata: identity, status };
  const answer = await client.applyStatus(resource, object, { fieldManager: FIELD_MANAGER, force: true });
  latest.put(keyOf(newest), cached, answer);
  return true;
}
