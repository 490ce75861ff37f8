import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import { readFunction } from '../../gateway/catalog/rows.ts';
import { isBuiltinOperator, isBuiltinType } from '../../gateway/sql/builtin.ts';
import { MAJORS, readServerObjects, type ServerObjects } from '../../tools/builtin-machine.ts';
import { RULES } from '../../tools/builtin-rules.ts';
import { signatureOf } from '../../tools/builtin-table.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';

/** The reviewed table: what follows the kind and name of each object. */
const TABLE: ReadonlyMap<string, readonly string[]> = new Map(
  readFileSync(new URL('../../tools/builtin.tsv', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [what, name, ...rest] = line.split('\t');
      return [`${what} ${name}`, rest] as const;
    }),
);
const NAMED = new Set(RULES.flatMap(({ names }) => names.split(' ')).filter((name) => !name.endsWith('*')));
const READING = ['Pure', 'Varies', 'Session', 'Catalogue', 'Statistics'];

describe.each(MAJORS)('the table of PostgreSQL %d', (version) => {
  let server: Postgres;
  let objects: ServerObjects;

  beforeAll(async () => {
    server = await startPostgres({ version });
    objects = await readServerObjects((sql) => server.query(sql));
  }, 60_000);
  afterAll(async () => {
    await server.stop();
  });

  test('lacks no function, operator, type or cast of the server', () => {
    const names = [
      ...objects.functions.map((fn) => `function ${fn.schema}.${signatureOf(fn)}`),
      ...objects.operators.map(({ name, left, right }) => `operator ${name}(${left},${right})`),
      ...objects.types.map(({ name }) => `type ${name}`),
      ...objects.casts.map(({ source, target }) => `cast ${source} ${target}`),
    ];
    expect(names.length).toBeGreaterThan(4000);
    expect(names.filter((name) => !TABLE.has(name))).toEqual([]);
    expect(objects.operators.filter(({ name }) => !isBuiltinOperator(name))).toEqual([]);
    expect(objects.types.filter(({ name }) => !isBuiltinType(name))).toEqual([]);
  });

  test('is right about volatility, and makes nothing volatile harmless by a pattern', () => {
    const wrong = objects.functions.filter(({ volatility, ...fn }) => {
      const [, kind, machine] = TABLE.get(`function ${fn.schema}.${signatureOf(fn)}`)!;
      const least = 'isv'.indexOf(machine![1]!) >= 'isv'.indexOf(volatility);
      const pure = kind !== 'Pure' || volatility === 'i';
      return !least || !pure || (volatility === 'v' && READING.includes(kind!) && !NAMED.has(fn.name));
    });
    expect(wrong.map(signatureOf)).toEqual([]);
  });

  test('operators and casts of the server only compute and read', () => {
    const calls = [...objects.operators, ...objects.casts]
      .map((object) => object.calls)
      .filter((call) => call.length > 1);
    const kinds = new Map([...TABLE].map(([name, [, kind]]) => [name, kind]));
    const risky = calls.filter((call) => !READING.includes(kinds.get(`function pg_catalog.${call}`) ?? ''));
    expect(calls.length).toBeGreaterThan(900);
    expect(risky).toEqual([]);
  });

  test('is found by the names that the catalogue has for types', async () => {
    const catalog = new Catalog({
      async connect() {
        const client = new pg.Client(server.connectionString());
        client.on('error', () => {});
        await client.connect();
        return client;
      },
      log: { info() {}, warn() {} },
    });
    const snapshot = await catalog.ensure('postgres');
    const found = objects.functions.flatMap((fn) => snapshot.functions(fn.schema, fn.name));
    const lost = found.filter(({ builtin }) => !builtin).map((fn) => `${fn.name}(${fn.arguments})`);
    await catalog.close();
    expect(found.length).toBeGreaterThan(3000);
    expect(lost).toEqual([]);
  });
});

test('a function that the table lacks is like one of a user, whatever its OID', () => {
  const row = (name: string, args: string) => [
    'pg_catalog',
    name,
    '870',
    args,
    '1',
    '0',
    '1',
    'i',
    'f',
    'false',
    'internal',
    null,
    null,
    null,
  ];
  expect(readFunction(row('lower', 'text'))).toMatchObject({ builtin: true });
  expect(readFunction(row('lower', 'xml'))).toMatchObject({ builtin: false, safe: false });
  expect(readFunction(row('pg_brand_new', 'text'))).toMatchObject({ builtin: false, safe: false });
});
