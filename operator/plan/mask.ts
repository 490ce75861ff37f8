import type { Mask, MaskRule } from '../../gateway/config/document.ts';
import type { MaskingRule } from '../api/types.generated.ts';
import { compileSubject } from './policy.ts';
import { remember } from './remember.ts';

type Spec = MaskingRule['spec'];
type MaskSpec = NonNullable<Spec['columns']>[number]['mask'];

/** Compiles a MaskingRule; its schema leaves nothing to be wrong with it. */
export const compileMask = remember(({ metadata, spec }: MaskingRule): MaskRule => {
  const { hashKeySecretRef: key } = spec;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    subjects: (spec.subjects ?? []).map(compileSubject),
    except: (spec.except ?? []).map(compileSubject),
    columns: (spec.columns ?? []).map(({ schema, table, column, mask }) => ({
      schema,
      table,
      column,
      mask: compileMaskType(mask),
    })),
    detectors: (spec.detectors ?? []).map(({ type, pattern, mask }) => ({
      type,
      pattern: pattern ?? null,
      mask: compileMaskType(mask),
    })),
    trustedFunctions: spec.trustedFunctions ?? [],
    trustedRelations: spec.trustedRelations ?? [],
    trustedChannels: spec.trustedChannels ?? [],
    hashKey: key === undefined ? null : { secret: key.name, key: key.key },
  };
});

/** The CRD's rules have made sure that each type has what belongs to it. */
function compileMaskType({ type, prefix, suffix, domain, unit, step, value }: MaskSpec): Mask {
  switch (type) {
    case 'Partial':
      return { type, prefix: prefix ?? 0, suffix: suffix ?? 0 };
    case 'Hash':
      return { type, domain: domain ?? null };
    case 'Truncate':
      return { type, unit: unit ?? null, step: step ?? null };
    case 'Range':
      return { type, step: step! };
    case 'Constant':
      return { type, value: value! };
    default:
      return { type };
  }
}
