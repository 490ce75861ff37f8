import type { ObjectRef } from '../../gateway/config/document.ts';

/** What is wrong with an input object, where, and what to do. */
export interface Problem {
  readonly object: ObjectRef;
  /** `spec.rules[2].action`. */
  readonly path: string;
  readonly message: string;
}

/** A Kubernetes object after validation. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly generation?: number };
  readonly spec: Fields;
}

export type Fields = Readonly<Record<string, unknown>>;

export function refOf({ kind, metadata }: Manifest): ObjectRef {
  return { kind, namespace: metadata.namespace, name: metadata.name, generation: metadata.generation ?? 1 };
}

export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function items(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

export function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function string(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
