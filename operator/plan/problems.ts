import type { ObjectRef } from '../../gateway/config/document.ts';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../api/types.generated.ts';

/** What is wrong with an input object, where, and what to do. */
export interface Problem {
  readonly object: ObjectRef;
  /** `spec.rules[2].action`. */
  readonly path: string;
  readonly message: string;
}

/** Notes a problem of one object. */
export type Report = (path: string, message: string) => void;

export function refOf({ kind, metadata }: PostgresGateway | AccessPolicy | MaskingRule): ObjectRef {
  return { kind, namespace: metadata.namespace, name: metadata.name, generation: metadata.generation ?? 1 };
}
