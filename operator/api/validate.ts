import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { didYouMean } from './closest.ts';
import type { FieldError } from './problem.ts';
import { ruleErrors } from './rules.ts';
import { fieldSchema, GROUP_VERSION, isObject, type Json, SCHEMAS, type Schema } from './schemas.ts';
import type { AccessPolicy, AccessRequest, MaskingRule, PostgresGateway } from './types.generated.ts';

/** An object as the API server would keep it. */
export type Manifest = PostgresGateway | AccessPolicy | MaskingRule | AccessRequest;

export type Checked =
  | { readonly ok: true; readonly manifest: Manifest }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

const INT32 = 2 ** 31;
const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  strict: false,
  useDefaults: true,
  formats: {
    // RFC 3339, as the API server reads times.
    'date-time': (text: string) =>
      /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
    int32: { type: 'number', validate: (value: number) => value >= -INT32 && value < INT32 },
    int64: { type: 'number', validate: Number.isSafeInteger },
  },
});

const checks = new Map<string, ValidateFunction>();
for (const [kind, schema] of SCHEMAS) checks.set(kind, ajv.compile(closed(schema, true)));

/** The schema with unknown fields refused: the API server would drop them, with a warning that nobody reads. */
function closed(schema: Schema, root = false): Schema {
  const { type, properties, items, additionalProperties } = schema;
  const closedItems = items === undefined ? {} : { items: closed(items) };
  // Of an object without fields, such as a sink's stdout, the API server keeps no `properties`.
  if (type !== 'object' || additionalProperties !== undefined) return { ...schema, ...closedItems };
  const below = Object.entries(properties ?? {}).map(([name, of]) => [
    name,
    root && name === 'metadata' ? of : closed(of),
  ]);
  return { ...schema, properties: Object.fromEntries(below), additionalProperties: false };
}

/**
 * Does with an object of ours what the API server would: fields that are null are left out, defaults filled in, then
 * structure, lists and CEL rules are checked. All problems at once.
 */
export function checkManifest(object: Json): Checked {
  const kind = String(object.kind);
  const [schema, check] = [SCHEMAS.get(kind), checks.get(kind)];
  if (schema === undefined || check === undefined)
    return failed({
      path: 'kind',
      message: `${kind} is not a kind of ${GROUP_VERSION}${didYouMean(kind, SCHEMAS.keys())}`,
    });
  if (object.apiVersion !== GROUP_VERSION) return failed({ path: 'apiVersion', message: `must be ${GROUP_VERSION}` });
  const manifest = withoutNulls(object, schema) as Json;
  const errors = metadataErrors(manifest.metadata);
  if (!check(manifest)) errors.push(...describeAll(check.errors ?? [], schema));
  if (errors.length === 0) errors.push(...ruleErrors(manifest, schema));
  return errors.length === 0 ? { ok: true, manifest: manifest as unknown as Manifest } : failed(...errors);
}

function failed(...errors: readonly FieldError[]): Checked {
  return { ok: false, errors };
}

/** A deep copy; null stands for "not set", except where a schema says otherwise. */
function withoutNulls(value: unknown, schema: Schema): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item, schema.items ?? {}));
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(
    ([name, below]) => below !== null || fieldSchema(schema, name)?.nullable === true,
  );
  return Object.fromEntries(kept.map(([name, below]) => [name, withoutNulls(below, fieldSchema(schema, name) ?? {})]));
}

/** RFC 1123, as the API server wants the name of an object and of a namespace. */
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function metadataErrors(metadata: unknown): FieldError[] {
  const { name, namespace } = (isObject(metadata) ? metadata : {}) as { name?: unknown; namespace?: unknown };
  const bad = (value: unknown): boolean => typeof value !== 'string' || value.length > 253 || !SUBDOMAIN.test(value);
  const message = 'must be lower-case letters, digits, dashes and dots, with a letter or digit at both ends';
  const errors: FieldError[] = [];
  if (bad(name)) errors.push({ path: 'metadata.name', message: name === undefined ? 'is needed' : message });
  if (namespace !== undefined && bad(namespace)) errors.push({ path: 'metadata.namespace', message });
  return errors;
}

/** An item of a list that is wrong in several ways is told once for each way. */
function describeAll(errors: readonly ErrorObject[], schema: Schema): FieldError[] {
  const seen = new Set<string>();
  return errors
    .map((error) => describe(error, schema))
    .filter(({ path, message }) => !seen.has(`${path} ${message}`) && seen.add(`${path} ${message}`));
}

function describe(error: ErrorObject, schema: Schema): FieldError {
  const params = error.params as Record<string, unknown>;
  const at = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const to = (...more: readonly string[]): string =>
    [...at, ...more].reduce(
      (path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`),
      '',
    );
  switch (error.keyword) {
    case 'additionalProperties': {
      const field = String(params.additionalProperty);
      const names = Object.keys(schemaAt(schema, at).properties ?? {});
      return { path: to(field), message: `there is no such field${didYouMean(field, names)}` };
    }
    case 'required':
      return { path: to(String(params.missingProperty)), message: 'is needed' };
    case 'enum': {
      const allowed = (params.allowedValues as unknown[]).map(String);
      const value = String(error.data);
      const hint = didYouMean(value, allowed);
      return { path: to(), message: `"${value}" is not one of ${allowed.join(', ')}${hint}` };
    }
    case 'pattern':
      return { path: to(), message: `"${String(error.data)}" must match ${String(params.pattern)}` };
    default:
      return { path: to(), message: error.message ?? error.keyword };
  }
}

function schemaAt(schema: Schema, path: readonly string[]): Schema {
  return path.reduce<Schema>((at, part) => (at.items ?? fieldSchema(at, part)) || {}, schema);
}
