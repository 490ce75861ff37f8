import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** The part of a structural schema that is read here. */
export interface Schema {
  readonly type?: string;
  readonly nullable?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
}

export const GROUP_VERSION = 'postern.dev/v1alpha1';

const CRDS = new URL('../../crds/', import.meta.url);

/** The schema of each kind, from its CustomResourceDefinition. */
export const SCHEMAS: ReadonlyMap<string, Schema> = new Map(
  readdirSync(CRDS)
    .filter((name) => name.endsWith('.yaml'))
    .map((file) => {
      const { spec } = parse(readFileSync(new URL(file, CRDS), 'utf8'));
      return [spec.names.kind as string, spec.versions[0].schema.openAPIV3Schema as Schema];
    }),
);

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The schema of a field of an object; undefined: none says anything about it. */
export function fieldSchema(schema: Schema, name: string): Schema | undefined {
  const { properties, additionalProperties } = schema;
  return properties?.[name] ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined);
}

/** Calls back for every value that a schema speaks of, outermost first; `path` as in `spec.rules[2].action`. */
export function visit(
  value: unknown,
  schema: Schema,
  path: string,
  each: (value: unknown, schema: Schema, path: string) => void,
): void {
  each(value, schema, path);
  if (Array.isArray(value) && schema.items !== undefined) {
    for (const [i, item] of value.entries()) visit(item, schema.items, `${path}[${i}]`, each);
  } else if (isObject(value)) {
    for (const [name, below] of Object.entries(value)) {
      const known = fieldSchema(schema, name);
      if (known !== undefined) visit(below, known, path === '' ? name : `${path}.${name}`, each);
    }
  }
}
