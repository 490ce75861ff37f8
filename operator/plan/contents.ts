import type { ConfigDocument, MaskRule, Policy } from '../../gateway/config/document.ts';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../api/types.generated.ts';
import { compileMask } from './mask.ts';
import { compilePolicy } from './policy.ts';
import { remember } from './remember.ts';
import { partText } from './text.ts';

/** What objects have become in a document, by `Kind/namespace/name`. */
export type Contents = ReadonlyMap<string, string>;

/** Two documents hold the same object if its content is the same: generations start anew when it is made anew. */
export const contents = remember(({ policies, masks }: ConfigDocument): Contents => {
  const entry = (kind: string, one: Policy | MaskRule) =>
    [`${kind}/${one.namespace}/${one.name}`, partText(one)] as const;
  return new Map([
    ...policies.map((policy) => entry('AccessPolicy', policy)),
    ...masks.map((mask) => entry('MaskingRule', mask)),
  ]);
});

/** What an object would become in a document of the gateway. */
export function contentOf(object: AccessPolicy | MaskingRule, { spec }: PostgresGateway): string {
  const roles = spec.upstream.roles.map(({ name }) => name);
  return partText(object.kind === 'MaskingRule' ? compileMask(object) : compilePolicy(object, roles, []));
}

export function keyOf({ kind, metadata }: AccessPolicy | MaskingRule): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`;
}
