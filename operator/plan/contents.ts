import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../api/types.generated.ts';
import { compileMask } from './mask.ts';
import { compilePolicy } from './policy.ts';

/** What objects have become in a document, by `Kind/namespace/name`. */
export type Contents = ReadonlyMap<string, string>;

const known = new WeakMap<ConfigDocument, Contents>();

/** Two documents hold the same object if its content is the same: generations start anew when it is made anew. */
export function contents(document: ConfigDocument): Contents {
  const before = known.get(document);
  if (before !== undefined) return before;
  const entry = (kind: string, one: { readonly namespace: string; readonly name: string }) =>
    [`${kind}/${one.namespace}/${one.name}`, canonicalJson(one)] as const;
  const found = new Map([
    ...document.policies.map((policy) => entry('AccessPolicy', policy)),
    ...document.masks.map((mask) => entry('MaskingRule', mask)),
  ]);
  known.set(document, found);
  return found;
}

/** What an object would become in a document of the gateway. */
export function contentOf(object: AccessPolicy | MaskingRule, { spec }: PostgresGateway): string {
  const roles = spec.upstream.roles.map(({ name }) => name);
  return canonicalJson(object.kind === 'MaskingRule' ? compileMask(object) : compilePolicy(object, roles, []));
}

export function keyOf({ kind, metadata }: AccessPolicy | MaskingRule): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`;
}
