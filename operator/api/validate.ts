import { readdirSync, readFileSync } from 'node:fs';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { parse } from 'yaml';

/** What is wrong with one field of a manifest. */
export interface FieldError {
  /** `spec.rules[2].action`. */
  readonly path: string;
  readonly message: string;
}

type Json = Record<string, unknown>;

const CRDS = new URL('../../crds/', import.meta.url);
const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false, useDefaults: false });
const defaulting = new Ajv({ allErrors: true, strict: false, validateFormats: false, useDefaults: true });

interface Kind {
  readonly check: ValidateFunction;
  readonly fill: ValidateFunction;
}

const kinds = new Map<string, Kind>();
for (const file of readdirSync(CRDS).filter((name) => name.endsWith('.yaml'))) {
  const { spec } = parse(readFileSync(new URL(file, CRDS), 'utf8'));
  const schema = spec.versions[0].schema.openAPIV3Schema as Json;
  kinds.set(spec.names.kind, { check: ajv.compile(closed(schema)), fill: defaulting.compile(schema) });
}

/** The schema with unknown fields refused, which the API server would drop with a warning. */
function closed(schema: Json): Json {
  const copy: Json = { ...schema };
  if (schema.properties !== undefined) {
    const properties = Object.entries(schema.properties as Record<string, Json>);
    copy.properties = Object.fromEntries(
      properties.map(([name, below]) => [name, name === 'metadata' ? below : closed(below)]),
    );
    if (schema['x-kubernetes-preserve-unknown-fields'] !== true) copy.additionalProperties = false;
  }
  if (schema.items !== undefined) copy.items = closed(schema.items as Json);
  return copy;
}

/** Checks a manifest of one of our kinds with the schema of its CustomResourceDefinition. */
export function validateManifest(object: unknown): readonly FieldError[] {
  const { kind, apiVersion } = object as { kind?: string; apiVersion?: string };
  const known = kinds.get(kind ?? '');
  if (known === undefined) return [{ path: 'kind', message: `${kind} is not available in this version` }];
  if (apiVersion !== 'postern.dev/v1alpha1') return [{ path: 'apiVersion', message: 'must be postern.dev/v1alpha1' }];
  if (known.check(object)) return [];
  return (known.check.errors ?? []).map(describe);
}

/** A copy with the defaults of the schema. */
export function withDefaults(object: Json): Json {
  const copy = structuredClone(object);
  kinds.get(String(object.kind))?.fill(copy);
  return copy;
}

function describe(error: ErrorObject): FieldError {
  const params = error.params as Record<string, unknown>;
  const at = error.instancePath.split('/').slice(1);
  const extra =
    error.keyword === 'additionalProperties'
      ? params.additionalProperty
      : error.keyword === 'required'
        ? params.missingProperty
        : undefined;
  const path = [...at, ...(typeof extra === 'string' ? [extra] : [])].reduce(
    (sum, part) => (/^\d+$/.test(part) ? `${sum}[${part}]` : sum === '' ? part : `${sum}.${part}`),
    '',
  );
  if (error.keyword === 'additionalProperties') return { path, message: 'there is no such field' };
  if (error.keyword === 'required') return { path, message: 'is needed' };
  if (error.keyword === 'enum')
    return { path, message: `must be one of ${(params.allowedValues as unknown[]).join(', ')}` };
  return { path, message: error.message ?? error.keyword };
}
