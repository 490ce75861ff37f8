import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { SCHEMAS } from '../operator/api/schemas.ts';
import { FORBIDDEN_FIELDS, FULL_OBJECTS } from './kit/full-objects.ts';
import { type Http, openHttp } from './kit/http.ts';
import { type FullSchema, mutations } from './kit/mutations.ts';
import { collection, createNamespace } from './kit/objects.ts';

type Json = Record<string, unknown>;

/** One value of a full object, with its schema. `path` for people, `keys` for programs; `schemaPath` without indices. */
interface Place {
  readonly object: Json;
  readonly path: string;
  readonly schemaPath: string;
  readonly keys: readonly (string | number)[];
  readonly value: unknown;
  readonly schema: FullSchema;
}

function places(object: Json): Place[] {
  const root = SCHEMAS.get(String(object.kind)) as FullSchema;
  const found: Place[] = [];
  const walk = (value: unknown, schema: FullSchema, at: Omit<Place, 'value' | 'schema'>): void => {
    found.push({ ...at, value, schema });
    if (Array.isArray(value)) {
      for (const [i, item] of value.entries())
        walk(item, schema.items!, step(at, i, `${at.path}[${i}]`, `${at.schemaPath}[]`));
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, below] of Object.entries(value)) {
        const known = schema.properties?.[name];
        if (below === undefined) continue;
        if (known !== undefined) walk(below, known, step(at, name, `${at.path}.${name}`, `${at.schemaPath}.${name}`));
        else walk(below, schema.additionalProperties!, step(at, name, `${at.path}.${name}`, `${at.schemaPath}{}`));
      }
    }
  };
  walk(object.spec, root.properties!.spec!, { object, path: 'spec', schemaPath: 'spec', keys: ['spec'] });
  return found;
}

function step(at: Omit<Place, 'value' | 'schema'>, key: string | number, path: string, schemaPath: string) {
  return { ...at, keys: [...at.keys, key], path, schemaPath };
}

function schemaPaths(schema: FullSchema, path: string): string[] {
  return [
    path,
    ...Object.entries(schema.properties ?? {}).flatMap(([name, below]) => schemaPaths(below, `${path}.${name}`)),
    ...(schema.items === undefined ? [] : schemaPaths(schema.items, `${path}[]`)),
    ...(schema.additionalProperties === undefined ? [] : schemaPaths(schema.additionalProperties, `${path}{}`)),
  ];
}

function withValue(object: unknown, [key, ...rest]: readonly (string | number)[], value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(object)) return object.map((item, i) => (i === key ? withValue(item, rest, value) : item));
  return { ...(object as Json), [key]: withValue((object as Json)[key], rest, value) };
}

let http: Http;
beforeAll(async () => {
  const { url, ca, adminToken } = inject('apiServer');
  http = openHttp(url, ca, adminToken);
  await createNamespace(http, 'full');
});
afterAll(() => http.close());

interface Cause {
  readonly field?: string;
  readonly message: string;
}

async function causes(object: Json): Promise<readonly Cause[]> {
  const path = `${collection('postern.dev/v1alpha1', String(object.kind), 'full')}?dryRun=All&fieldValidation=Strict`;
  const { status, body } = await http.ask(path, { method: 'POST', body: object });
  if (status < 300) return [];
  return body.details?.causes ?? [{ message: body.message }];
}

test.each(FULL_OBJECTS)('the API server takes a full $kind', async (object) => {
  expect(await causes(object)).toEqual([]);
});

describe.each([...new Set(FULL_OBJECTS.map(({ kind }) => String(kind)))])('%s', (kind) => {
  const all = [...FULL_OBJECTS, ...FORBIDDEN_FIELDS].filter((object) => object.kind === kind).flatMap(places);
  /** One place for each part of the schema. */
  const first = [...new Map(all.reverse().map((place) => [place.schemaPath, place])).values()];

  test('the full objects set every field', () => {
    const root = SCHEMAS.get(kind) as FullSchema;
    const known = schemaPaths(root.properties!.spec!, 'spec');
    expect(known.filter((path) => !first.some(({ schemaPath }) => schemaPath === path))).toEqual([]);
  });

  test('a field that does not exist is refused where the client asks for strictness', async () => {
    const object = FULL_OBJECTS.find((full) => full.kind === kind)!;
    const [cause] = await causes({ ...object, spec: { ...(object.spec as Json), nonsense: 1 } });
    expect(cause?.message).toContain('unknown field "spec.nonsense"');
  });

  test.each(first)('$path', async ({ object, path, keys, value, schema }) => {
    const set = (to: unknown): Json => withValue(object, keys, to) as Json;
    for (const { constraint, refused, neighbour } of mutations(value, schema)) {
      const found = await causes(set(refused));
      expect(
        atField(found, path).filter(isBound),
        `${constraint}: ${JSON.stringify(refused)?.slice(0, 100)}`,
      ).not.toEqual([]);
      if (neighbour === undefined) continue;
      // A rule may have something against the neighbour; its bounds may not.
      expect(atField(await causes(set(neighbour)), path).filter(isBound), `${constraint}, inside`).toEqual([]);
    }
  });
});

/** Causes that name the field or something in it. */
function atField(found: readonly Cause[], path: string): readonly Cause[] {
  return found.filter(({ field, message }) => field?.startsWith(path) || message.includes(path));
}

const RULES = new Set([...SCHEMAS.values()].flatMap((schema) => messagesOf(schema as FullSchema)));

function messagesOf(schema: FullSchema): string[] {
  return schemaNodes(schema).flatMap((node) => (node['x-kubernetes-validations'] ?? []).map(({ message }) => message!));
}

function schemaNodes(schema: FullSchema): FullSchema[] {
  return [
    schema,
    ...Object.values(schema.properties ?? {}).flatMap(schemaNodes),
    ...(schema.items === undefined ? [] : schemaNodes(schema.items)),
  ];
}

function isBound({ message }: Cause): boolean {
  return ![...RULES].some((rule) => message.includes(rule));
}

describe('defaults', () => {
  test.each(FULL_OBJECTS)('of $kind: what is left out is filled in', async (object) => {
    const kind = String(object.kind);
    const path = `${collection('postern.dev/v1alpha1', kind, 'full')}?dryRun=All`;
    for (const { keys, schema, path: name, schemaPath } of places(object)) {
      if (schema.default === undefined || /\[\]$/.test(schemaPath)) continue;
      const { status, body } = await http.ask(path, { method: 'POST', body: withoutValue(object, keys) as Json });
      // A rule may need what was left out, as tls.mode decides what else has to be there.
      if (status >= 300) {
        expect(
          messages(body).every((message) => [...RULES].some((rule) => message.includes(rule))),
          name,
        ).toBe(true);
        continue;
      }
      const filled = keys.reduce<unknown>((at, key) => (at as Record<string | number, unknown>)[key], body);
      expect(filled, name).toMatchObject(schema.default as object);
    }
  });
});

function messages(body: { message: string; details?: { causes?: Cause[] } }): string[] {
  return body.details?.causes?.map(({ message }) => message) ?? [body.message];
}

function withoutValue(object: unknown, keys: readonly (string | number)[]): unknown {
  const parent = keys.slice(0, -1);
  const holder = parent.reduce<unknown>((at, key) => (at as Record<string | number, unknown>)[key], object);
  const rest = Object.fromEntries(Object.entries(holder as Json).filter(([name]) => name !== keys.at(-1)));
  return withValue(object, parent, rest);
}
