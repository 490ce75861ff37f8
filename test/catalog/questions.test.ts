import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeNames,
  encodeOids,
  RELATIONS_QUESTION,
  readRelations,
  readSettings,
  readSurroundings,
  readTypes,
  SETTINGS_QUESTION,
  SURROUNDINGS_QUESTION,
  TYPES_QUESTION,
} from '../../gateway/catalog/questions.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';

const OPERATORS = ['=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '||', '~', '!~'];
const TYPES = ['oid', 'name', 'text', 'int2', 'int4', 'int8', '"char"', 'bool'];

/** A schema whose operators and functions fail, or lie, for whoever calls one. */
const HOSTILE = [
  'CREATE SCHEMA evil',
  ...TYPES.flatMap((type) => [
    `CREATE FUNCTION evil.fail(a ${type}, b ${type}) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$evil$$; END'`,
    ...OPERATORS.map(
      (name) => `CREATE OPERATOR evil.${name} (LEFTARG = ${type}, RIGHTARG = ${type}, FUNCTION = evil.fail)`,
    ),
  ]),
  ...['count(oid)', 'unnest(int2[])', 'json_agg(text)', 'concat(text, text)'].map(
    (signature) =>
      `CREATE FUNCTION evil.${signature} RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$evil$$; END'`,
  ),
].join('; ');

describe.each<PostgresMajor>([14, 18])('questions put to a session of PostgreSQL %d', (version) => {
  let server: Postgres;
  let client: pg.Client;
  beforeAll(async () => {
    const initSql = `CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, a text); CREATE VIEW app.v AS SELECT id AS nr FROM app.t;
      CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ${HOSTILE}`;
    server = await startPostgres({ version, initSql });
    client = new pg.Client({ connectionString: server.connectionString() });
    await client.connect();
    await client.query('SET search_path = evil, app, pg_catalog');
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  async function ask(text: string, ...values: string[]): Promise<(string | null)[][]> {
    return (await client.query<(string | null)[]>({ text, values, rowMode: 'array' })).rows;
  }

  test('a hostile search_path and operators in public change nothing', async () => {
    expect(readSettings((await ask(SETTINGS_QUESTION))[0]!)).toMatchObject({
      searchPath: ['evil', 'app', 'pg_catalog'],
    });
    const names = ['v', 't', 'nosuch'].map((name) => ({ schema: null, name }));
    const answers = readRelations(await ask(RELATIONS_QUESTION, ...encodeNames(names)), () => undefined);
    expect(answers.get('\0nosuch')).toBeNull();
    const oids = [...answers.values()].flatMap((answer) =>
      answer !== null && 'needs' in answer ? [answer.needs] : [],
    );
    expect(oids).toHaveLength(2);
    const { related } = readSurroundings((await ask(SURROUNDINGS_QUESTION, encodeOids(oids)))[0]!);
    const [view] = [...related.values()].filter(({ name }) => name === 'v');
    const [table] = [...related.values()].filter(({ name }) => name === 't');
    expect(table).toMatchObject({
      schema: 'app',
      uniqueKeys: [['id']],
      links: { columns: ['id', 'a'], notNull: ['id'] },
    });
    expect(view!.links.rules[0]!.definition).toMatchObject({
      relations: [{ relation: table!.oid, verb: 'Select' }],
      columns: new Map([[1, { name: 'nr', number: 1 }]]),
    });
  });

  test('types are told with all that runs when a value becomes one, temporary ones too, whatever the path', async () => {
    await client.query(`CREATE DOMAIN app.checked AS int CHECK (app.f() OPERATOR(pg_catalog.>) 0);
      CREATE TYPE app.mood AS ENUM ('a'); CREATE TYPE app.pair AS (m app.mood, c app.checked[]);
      CREATE DOMAIN pg_temp.short AS pg_catalog.text CHECK (pg_catalog.length(value) OPERATOR(pg_catalog.<) 9);
      CREATE TYPE pg_temp.span AS RANGE (subtype = app.checked); CREATE TABLE app.pairs (p app.pair)`);
    const unqualified = [
      'mood',
      'checked',
      'pair',
      'pairs',
      '_pairs',
      'short',
      'span',
      'span_multirange',
      't',
      'text',
      'nosuch',
    ];
    const names = [
      ...unqualified.map((name) => ({ schema: null, name })),
      { schema: 'pg_temp', name: 'short' },
      { schema: 'nowhere', name: 'mood' },
    ];
    const { rows } = await client.query(
      "SELECT oid::pg_catalog.text FROM pg_type WHERE typname::pg_catalog.text OPERATOR(pg_catalog.=) 'pair'",
    );
    const pair = Number(rows[0].oid);
    const [row] = await ask(TYPES_QUESTION, ...encodeNames(names), encodeOids([pair, 99_999]));
    const told = [...readTypes(row!, [pair, 99_999])].map(([key, type]) => {
      if (type === null || type === 'plain') return [key, type];
      return [key, type.safe ? 'safe' : type.runs.map((fn) => `${fn.schema}.${fn.name}`).join()];
    });
    expect(Object.fromEntries(told)).toEqual({
      '\0mood': 'safe',
      '\0checked': 'app.f',
      '\0pair': 'app.f',
      '\0pairs': 'app.f',
      '\0_pairs': 'app.f',
      '\0short': 'safe',
      '\0span': 'app.f',
      '\0span_multirange': 'app.f',
      '\0t': 'safe',
      '\0text': 'plain',
      '\0nosuch': null,
      'pg_temp\0short': 'safe',
      'nowhere\0mood': null,
      [`\0\0${pair}`]: 'app.f',
      [`\0\0${99_999}`]: null,
    });
  });

  test('what is temporary is told by the session: whole where it is simple, with its surroundings where it is not', async () => {
    await client.query(`CREATE TEMP TABLE x (id int, a text); CREATE TEMP TABLE y (id int DEFAULT app.f());
      CREATE TEMP VIEW z AS SELECT * FROM app.t`);
    const names = ['x', 'y', 'z'].map((name) => ({ schema: null, name }));
    const answers = readRelations(await ask(RELATIONS_QUESTION, ...encodeNames(names)), () => undefined);
    expect(answers.get('\0x')).toMatchObject({ kind: 'table', schema: expect.stringMatching(/^pg_temp_/) });
    const [y, z] = ['\0y', '\0z'].map((key) => answers.get(key) as { needs: number });
    const near = readSurroundings((await ask(SURROUNDINGS_QUESTION, encodeOids([y!.needs, z!.needs])))[0]!);
    const [code] = near.related.get(y!.needs)!.links.code;
    expect(near.relatedFunctions.get(code!.fn)).toMatchObject({ schema: 'app', name: 'f', safe: false });
    expect(near.related.get(z!.needs)!.links.rules[0]!.definition!.relations).toHaveLength(1);
  });
});
