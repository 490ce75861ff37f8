import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { SCHEMAS, type Schema } from '../operator/api/schemas.ts';
import { CHANGE_CASES, GOOD_CASES, RULE_CASES } from '../test/operator/rule-cases.ts';
import { type Http, openHttp } from './kit/http.ts';
import { collection, createNamespace, pathOf } from './kit/objects.ts';

type Object = Record<string, unknown>;

/** Without fields that are null: those that write YAML leave them out. */
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, clean(field)]));
}

let http: Http;
beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  http = openHttp(url, ca, adminToken);
  await createNamespace(http, 'shop');
});
afterAll(() => http.close());

/** Why the API server does not take an object; empty: it does. */
async function causes(object: Object): Promise<string[]> {
  const path = collection('postern.dev/v1alpha1', String(object.kind), 'shop');
  const { status, body } = await http.ask(`${path}?dryRun=All`, { method: 'POST', body: clean(object) as Object });
  return status < 300 ? [] : messages(body);
}

function messages(body: { message: string; details?: { causes?: { message: string }[] } }): string[] {
  return body.details?.causes?.map(({ message }) => message) ?? [body.message];
}

function rulesOf(schema: Schema): string[] {
  const below = [...Object.values(schema.properties ?? {}), ...(schema.items === undefined ? [] : [schema.items])];
  return [...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => message!), ...below.flatMap(rulesOf)];
}

const RULES = new Set([...SCHEMAS.values()].flatMap(rulesOf));
const met = new Set<string>();

/** The rules that were broken; throws where something else was wrong. */
function brokenRules(found: readonly string[]): string[] {
  const rules = [...RULES].filter((rule) => found.some((message) => message.includes(rule)));
  expect(found.filter((message) => !rules.some((rule) => message.includes(rule)))).toEqual([]);
  for (const rule of rules) met.add(rule);
  return rules;
}

test.each(RULE_CASES)('%s is refused, its neighbour is not', async (_name, refused, neighbour) => {
  expect(await causes(neighbour)).toEqual([]);
  expect(brokenRules(await causes(refused))).not.toEqual([]);
});

test.each(GOOD_CASES)('%s is taken', async (_name, object) => {
  expect(await causes(object)).toEqual([]);
});

test.each(CHANGE_CASES)('a change of %s is refused, its neighbour is not', async (name, before, refused, neighbour) => {
  const named = (object: Object): Object => ({
    ...(clean(object) as Object),
    metadata: { name: `change-${name.replaceAll(' ', '-')}`, namespace: 'shop' },
  });
  const path = collection('postern.dev/v1alpha1', String(before.kind), 'shop');
  const { metadata } = await http.must(path, { method: 'POST', body: named(before) });
  const change = async (object: Object): Promise<string[]> => {
    const body = { ...named(object), metadata };
    const answer = await http.ask(pathOf(body), { method: 'PUT', body });
    return answer.status < 300 ? [] : messages(answer.body);
  };
  expect(brokenRules(await change(refused))).not.toEqual([]);
  expect(await change(neighbour)).toEqual([]);
});

test('every rule of every resource has refused something', () => {
  expect([...RULES].filter((rule) => !met.has(rule))).toEqual([]);
});
