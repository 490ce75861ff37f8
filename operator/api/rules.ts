import { Environment } from '@marcbachmann/cel-js';
import type { FieldError } from './problem.ts';
import { fieldSchema, isObject, type Json, type Schema, type ValidationRule, visit } from './schemas.ts';

const environment = new Environment({ unlistedVariablesAreDyn: true });
const compiled = new Map<string, (context: Json) => unknown>();

/**
 * What the API server checks beyond the structure of a valid object: CEL rules (x-kubernetes-validations; those about a
 * change, which name `oldSelf`, do not concern a new object) and lists that are sets or maps.
 */
export function ruleErrors(object: unknown, schema: Schema): readonly FieldError[] {
  const errors: FieldError[] = [];
  visit(object, schema, '', (value, at, path) => {
    for (const rule of at['x-kubernetes-validations'] ?? []) {
      const message = failure(rule, celValue(value, at));
      if (message !== null) errors.push({ path, message });
    }
    if (Array.isArray(value)) errors.push(...duplicates(value, at, path));
  });
  return errors;
}

/** Why a value does not pass a rule; null: it does. */
function failure({ rule, message }: ValidationRule, self: unknown): string | null {
  if (/\boldSelf\b/.test(rule)) return null;
  let evaluate = compiled.get(rule);
  if (evaluate === undefined) {
    evaluate = environment.parse(rule) as (context: Json) => unknown;
    compiled.set(rule, evaluate);
  }
  try {
    return evaluate({ self }) === true ? null : (message ?? `does not pass ${rule}`);
  } catch (error) {
    // As the API server has it: a rule that cannot be evaluated is a rule that is not passed.
    return `${message ?? rule} (${(error as Error).message.split('\n')[0]})`;
  }
}

/** CEL tells integers from doubles, JavaScript does not: the schema does. */
function celValue(value: unknown, schema: Schema): unknown {
  if (typeof value === 'number' && schema.type === 'integer') return BigInt(value);
  if (Array.isArray(value)) return value.map((item) => celValue(item, schema.items ?? {}));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, below]) => [name, celValue(below, fieldSchema(schema, name) ?? {})]),
  );
}

function duplicates(list: readonly unknown[], schema: Schema, path: string): FieldError[] {
  const type = schema['x-kubernetes-list-type'];
  if (type !== 'set' && type !== 'map') return [];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const seen = new Set<string>();
  return list.flatMap((item, i) => {
    const value = type === 'set' ? item : keys.map((key) => (item as Json)[key]);
    const id = JSON.stringify(value);
    const again = seen.has(id);
    seen.add(id);
    if (!again) return [];
    const what =
      type === 'set' ? JSON.stringify(item) : keys.map((key) => `${key} ${String((item as Json)[key])}`).join(', ');
    return [{ path: `${path}[${i}]`, message: `${what} is there twice` }];
  });
}
