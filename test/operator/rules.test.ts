import { expect, test } from 'vitest';
import { SCHEMAS, type Schema } from '../../operator/api/schemas.ts';
import { checkManifest } from '../../operator/api/validate.ts';
import { GOOD_CASES, RULE_CASES } from './rule-cases.ts';

function messagesOf(schema: Schema): string[] {
  const rules = (schema['x-kubernetes-validations'] ?? []).filter(({ rule: text }) => !/\boldSelf\b/.test(text));
  const below = [...Object.values(schema.properties ?? {}), ...(schema.items === undefined ? [] : [schema.items])];
  return [...rules.map(({ message }) => message!), ...below.flatMap(messagesOf)];
}

function errorsOf(object: Record<string, unknown>): string[] {
  const checked = checkManifest(object);
  return checked.ok ? [] : checked.errors.map(({ message }) => message);
}

const known = new Set([...SCHEMAS.values()].flatMap(messagesOf));

test.each(RULE_CASES)('%s is refused by a rule', (_name, object) => {
  const errors = errorsOf(object);
  expect(errors.filter((message) => known.has(message))).not.toEqual([]);
  expect(errors.filter((message) => !known.has(message))).toEqual([]);
});

test('every rule of every resource has an object that it refuses', () => {
  const met = new Set(RULE_CASES.flatMap(([, object]) => errorsOf(object)));
  expect([...known].filter((message) => !met.has(message))).toEqual([]);
});

test.each([
  ...RULE_CASES.map(([name, , neighbour]) => [`the neighbour of ${name}`, neighbour] as const),
  ...GOOD_CASES,
])('%s passes', (_name, object) => {
  expect(checkManifest(object)).toMatchObject({ ok: true });
});
