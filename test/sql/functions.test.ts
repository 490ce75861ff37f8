import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { classifyBuiltin, reviewedFunction } from '../../gateway/sql/builtin.ts';
import { analyzeFunctionCall } from '../../gateway/sql/function-call.ts';
import { resolve } from '../../gateway/sql/resolve.ts';
import {
  type KnownCast,
  type KnownCatalog,
  type KnownFunction,
  type KnownOperator,
  type KnownType,
  nameKey,
  type ResolveEnvironment,
  typeKey,
} from '../../gateway/sql/resolve-environment.ts';
import { factsOf } from './summary.ts';

let nextOid = 20_000;
function fn(signature: string, more: Partial<KnownFunction> = {}): KnownFunction {
  const [, schema, name, args] = /^(\w+)\.(\w+)\((.*)\)$/.exec(signature)!;
  const count = args === '' ? 0 : args!.split(', ').length;
  const code = { volatile: 'v', securityDefiner: false, language: 'plpgsql', extension: null } as const;
  const judged = { safe: false, builtin: false, classes: [], returns: [] };
  nextOid += 1;
  return {
    oid: nextOid,
    schema: schema!,
    name: name!,
    arguments: args!,
    minArgs: count,
    maxArgs: count,
    ...code,
    ...judged,
    ...more,
  };
}

interface Contents {
  readonly functions?: readonly KnownFunction[];
  readonly types?: Readonly<Record<string, KnownType>>;
  readonly operators?: Readonly<Record<string, readonly KnownOperator[]>>;
  readonly casts?: readonly KnownCast[];
  readonly held?: Readonly<Record<string, readonly number[]>>;
}

function catalogOf({ functions = [], types = {}, operators = {}, casts = [], held = {} }: Contents): KnownCatalog {
  return {
    serverMajor: 18,
    relation: (schema, name) => (schema === 'public' ? { schema, name, kind: 'table', uniqueKeys: [] } : undefined),
    functions: (schema, name) => functions.filter((f) => f.schema === schema && f.name === name),
    functionByOid: (oid) => functions.find((f) => f.oid === oid),
    userType: (schema, name) => types[`${schema}.${name}`],
    userTypeByOid: (oid) => Object.values(types).find((type) => type.oid === oid),
    userOperators: (schema, name) => operators[`${schema}.${name}`] ?? [],
    userCasts: casts,
    typesHeld: (schema, name) => held[`${schema}.${name}`] ?? [],
  };
}

function resolved(sql: string, contents: Contents, more: Partial<ResolveEnvironment> = {}) {
  const environment = { searchPath: ['pg_catalog', 'public'], overlay: null, localNames: false, ...more };
  return resolve(factsOf(sql)[0]!, { catalog: catalogOf(contents), ...environment });
}
/** The candidates of every call, or the names to be asked for. */
function calls(sql: string, contents: Contents, more: Partial<ResolveEnvironment> = {}): unknown {
  const resolution = resolved(sql, contents, more);
  if (resolution.kind === 'Load') throw new Error('there are no rules');
  if (resolution.kind === 'Ask') return { ask: [...resolution.functions, ...resolution.types].map(({ name }) => name) };
  return [...resolution.facts.functions.map(({ candidates }) => candidates.join(' or ')), ...resolution.facts.unknown];
}

describe('the table', () => {
  test('tells overloads apart by their number of arguments', () => {
    expect(classifyBuiltin('ts_rewrite', 2)).toEqual({ classes: ['DynamicSql'], writes: true });
    expect(classifyBuiltin('ts_rewrite', 3)).toEqual({ classes: [], writes: false });
    expect(classifyBuiltin('ts_rewrite', -1)).toEqual({ classes: ['DynamicSql'], writes: true });
    expect(classifyBuiltin('pg_promote', 0)).toEqual({ classes: ['ServerControl'], writes: true });
    expect(classifyBuiltin('pg_promote', 3)).toBeUndefined();
    expect(classifyBuiltin('concat', 9)).toEqual({ classes: [], writes: false });
    expect(classifyBuiltin('percentile_cont', 1)).toEqual({ classes: [], writes: false });
  });

  test('has functions by signature, as the catalogue shows their arguments', () => {
    const at = (name: string, args: string) => reviewedFunction({ schema: 'pg_catalog', name, arguments: args })?.kind;
    expect(at('lo_get', 'oid, bigint, integer')).toBe('LargeObject');
    expect(at('timezone', 'text, timestamp without time zone')).toBe('Pure');
    expect(at('array_cat', 'anycompatiblearray, anycompatiblearray')).toBe('Pure');
    expect(at('lower', 'xml')).toBeUndefined();
    expect(
      reviewedFunction({ schema: 'information_schema', name: '_pg_truetypid', arguments: 'pg_attribute, pg_type' }),
    ).toBeDefined();
  });

  test('stays compact, and is there soon', () => {
    const { size } = statSync(new URL('../../gateway/sql/builtin.generated.ts', import.meta.url));
    const script = `
      await import('./gateway/sql/classes.ts');
      const started = performance.now();
      await import('./gateway/sql/builtin.ts');
      console.log(performance.now() - started);`;
    const options = { cwd: new URL('../../', import.meta.url), encoding: 'utf8' } as const;
    const milliseconds = Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], options));
    console.log(
      `the table of built-in functions: ${(size / 1024).toFixed(0)} KiB, loaded in ${milliseconds.toFixed(0)} ms`,
    );
    expect(size).toBeLessThan(128 * 1024);
    expect(milliseconds).toBeLessThan(1000);
  });
});

describe('a call', () => {
  const functions = [
    fn('public.length(character varying)'),
    fn('pg_catalog.length(text)', { builtin: true, oid: 1317 }),
    fn('app.add_tax(numeric)', { securityDefiner: true, language: 'sql', volatile: 's' }),
    fn('public.spread(integer[])', { minArgs: 0, maxArgs: Number.POSITIVE_INFINITY }),
    fn('public.similarity(text, text)', { safe: true, extension: 'pg_trgm' }),
    fn('public.dial(text)', { extension: 'dblink', classes: ['Link'] }),
  ];

  test('may mean every visible function that takes as many arguments', () => {
    expect(calls("SELECT length('x')", { functions })).toEqual(['public.length(character varying)']);
    expect(calls("SELECT pg_catalog.length('x')", { functions })).toEqual([]);
    expect(calls("SELECT length('x')", { functions }, { searchPath: ['pg_catalog'] })).toEqual([]);
    expect(calls("SELECT length('x', 'UTF8')", { functions })).toEqual([]);
    expect(calls('SELECT spread(1, 2, 3), spread()', { functions })).toEqual([
      'public.spread(integer[])',
      'public.spread(integer[])',
    ]);
    expect(calls("SELECT similarity('a', 'b')", { functions })).toEqual([]);
  });

  test('an overload for other types is not called where the text says all types', () => {
    const both = [
      fn('public.round(double precision, integer)'),
      fn('pg_catalog.round(numeric, integer)', { builtin: true }),
      fn('public.round(numeric, integer, text)', { minArgs: 2 }),
    ];
    const [other, , more] = both.map((f) => `${f.schema}.${f.name}(${f.arguments})`);
    expect(calls('SELECT round(x::numeric, 2)', { functions: both.slice(0, 2) })).toEqual([]);
    expect(calls('SELECT round(1.5, 2)', { functions: both })).toEqual([more]);
    expect(calls('SELECT round(x, 2)', { functions: both.slice(0, 2) })).toEqual([other]);
    expect(calls("SELECT round('1', 2)", { functions: both.slice(0, 2) })).toEqual([other]);
    expect(calls('SELECT round(1::float8, 2)', { functions: both.slice(0, 2) })).toEqual([other]);
    const path = { searchPath: ['public', 'pg_catalog'] };
    expect(calls('SELECT round(1.5, 2)', { functions: both.slice(0, 2) }, path)).toEqual([other]);
  });

  test('carries what is known of the function', () => {
    const resolution = resolved('SELECT app.add_tax(1)', { functions });
    expect(resolution).toMatchObject({
      facts: {
        readOnly: false,
        functions: [
          {
            candidates: ['app.add_tax(numeric)'],
            called: [{ volatile: 's', securityDefiner: true, language: 'sql', extension: null }],
          },
        ],
      },
    });
  });

  test('of a known extension has the class of what it does', () => {
    expect(resolved("SELECT dial('host=x')", { functions })).toMatchObject({
      facts: { classes: expect.arrayContaining(['Link']), functions: [{ candidates: ['public.dial(text)'] }] },
    });
  });

  test('of one that nobody has is asked for once, and then left to the server', () => {
    expect(calls('SELECT nobody(1)', { functions })).toEqual({ ask: ['nobody'] });
    expect(calls('SELECT pg_catalog.nobody(1)', { functions })).toEqual({ ask: ['nobody'] });
    const overlay = { relations: new Map(), functions: new Map([[nameKey(null, 'nobody'), []]]) };
    expect(calls('SELECT nobody(1, 2)', { functions }, { overlay })).toEqual(['']);
    // A call of one argument may be a conversion.
    const searchPath = ['pg_catalog', 'app'];
    expect(calls('SELECT nobody(1)', { functions }, { overlay, searchPath })).toEqual({ ask: ['nobody'] });
    const known = { ...overlay, types: new Map([[nameKey(null, 'nobody'), null]]) };
    expect(calls('SELECT nobody(1)', { functions }, { overlay: known, searchPath })).toEqual(['']);
  });

  test('is asked for while the session has definitions of its own, built-in name or not', () => {
    expect(
      calls(
        'SELECT lower(x), length(x) FROM t',
        { functions },
        { localNames: true, overlay: { relations: new Map([[nameKey(null, 't'), null]]), functions: new Map() } },
      ),
    ).toEqual({ ask: expect.arrayContaining(['lower', 'length']) });
  });

  test('in attribute notation may mean a user’s overload of a built-in name', () => {
    expect(calls('SELECT t.length FROM t', { functions })).toEqual(['public.length(character varying)']);
    expect(calls('SELECT (t.a).length FROM t', { functions })).toEqual(['public.length(character varying)']);
    expect(calls('SELECT t.spreads FROM t', { functions })).toEqual([]);
  });

  test('by OID means that function alone', () => {
    const one = fn('app.twice(integer)');
    const raw = analyzeFunctionCall(one, 1);
    const env = { searchPath: ['pg_catalog'], overlay: null, localNames: false };
    const both = [one, fn('app.twice(text)')];
    expect(resolve(raw, { catalog: catalogOf({ functions: both }), ...env })).toMatchObject({
      facts: { primary: 'Function', functions: [{ candidates: ['app.twice(integer)'] }] },
    });
    expect(resolve(raw, { catalog: catalogOf({}), ...env })).toMatchObject({
      facts: { classes: ['Function', 'Unknown'] },
    });
  });

  test('by OID of set_config says nothing of which setting', () => {
    const known = fn('pg_catalog.set_config(text, text, boolean)', { builtin: true });
    expect(analyzeFunctionCall(known, 3)).toMatchObject({ unknown: [expect.stringContaining('set_config')] });
    const sleep = fn('pg_catalog.pg_sleep(double precision)', { builtin: true });
    expect(analyzeFunctionCall(sleep, 1)).toMatchObject({ classes: ['Function', 'Resource'], readOnly: false });
    const now = fn('pg_catalog.now()', { builtin: true });
    expect(analyzeFunctionCall(now, 0)).toMatchObject({ classes: ['Function'], readOnly: true });
  });
});

describe('an operator', () => {
  const MONEY = 30_000;
  const over = (
    schema: string,
    runs: KnownFunction,
    left: KnownOperator['left'],
    right: KnownOperator['right'],
    args: 1 | 2 = 2,
  ) => ({ [schema]: [{ args, left, right, runs }] });
  const equal = fn('public.money_eq(public.money2, public.money2)');
  const own = { operators: over('public.=', equal, [MONEY], [MONEY]), held: { 'public.prices': [MONEY] } };

  test.each([
    'SELECT a = b FROM prices',
    'SELECT a IN (b) FROM prices',
    'SELECT a NOT IN (SELECT b FROM prices) FROM prices',
    'SELECT nullif(a, b) FROM prices',
    'SELECT a IS DISTINCT FROM b FROM prices',
    'SELECT CASE a WHEN b THEN 1 END FROM prices',
    'SELECT 1 FROM prices x JOIN prices y USING (a)',
    'SELECT 1 FROM prices x NATURAL JOIN prices y',
    'SELECT (a, 1) = (b, 1) FROM prices',
    'SELECT a = ANY (ARRAY[b]) FROM prices',
    'MERGE INTO prices USING prices p ON prices.a = p.a WHEN MATCHED THEN DO NOTHING',
    'ALTER TABLE prices ADD EXCLUDE (a WITH =)',
    'SELECT $1 = $2',
  ])('of a user is called where its types are: %s', (sql) => {
    expect(calls(sql, own)).toContain('public.money_eq(public.money2, public.money2)');
  });

  test.each([
    'SELECT a = b FROM orders',
    "SELECT a = 'x' FROM orders",
    'SELECT a = $1 FROM orders',
    'SELECT a OPERATOR(pg_catalog.=) b FROM prices',
  ])('for another type is not called: %s', (sql) => {
    expect(calls(sql, own)).toEqual([]);
  });

  test('comes with a conversion, a parameter or a function that makes its type', () => {
    const types = { 'public.money2': { oid: MONEY, safe: true, runs: [], holds: [MONEY] } };
    expect(calls("SELECT '1'::money2 = '2'", { ...own, types })).toHaveLength(1);
    const functions = [fn('public.make()', { safe: true, returns: [MONEY] })];
    expect(calls('SELECT make() = make()', { ...own, types, functions })).toHaveLength(1);
    const raw = factsOf('SELECT $1 = b FROM orders')[0]!;
    const typed = { ...raw, types: [...raw.types, { schema: null, name: '', oid: MONEY }] };
    const env = { searchPath: ['pg_catalog', 'public'], overlay: null, localNames: false };
    expect(resolve(typed, { catalog: catalogOf({ ...own, types }), ...env })).toMatchObject({
      facts: { functions: [{ name: 'money_eq' }] },
    });
  });

  test('takes a constant for its own type where the other side has none', () => {
    const mixed = { operators: over('public.||', fn('public.glue(public.money2, text)'), [MONEY], null) };
    expect(calls("SELECT 'x' || b FROM orders", mixed)).toHaveLength(1);
    expect(calls(`SELECT ('x' COLLATE "C") || b FROM orders`, mixed)).toHaveLength(1);
    expect(calls("SELECT b || 'x' FROM orders", mixed)).toEqual([]);
  });

  test('prefix and infix are two', () => {
    const prefix = { operators: over('public.-', fn('public.minus(text)'), null, null, 1) };
    expect(calls('SELECT - a FROM orders', prefix)).toHaveLength(1);
    expect(calls('SELECT a - b FROM orders', prefix)).toEqual([]);
  });

  test('that nobody has is not understood', () => {
    expect(calls('SELECT 1 @@@@ 2', {})).toEqual(['the operator @@@@']);
    expect(calls('SELECT 1 OPERATOR(app.+) 2', {})).toEqual(['the operator app.+']);
  });
});

describe('a type', () => {
  const check = fn('app.check_it(integer)');
  const types = {
    'app.checked': { oid: 31_000, safe: false, runs: [check], holds: [31_000] },
    'app.odd': { oid: 31_001, safe: false, runs: [], holds: [31_001] },
    'app.text': { oid: 31_002, safe: false, runs: [check], holds: [31_002] },
    'app.mood': { oid: 31_003, safe: true, runs: [], holds: [31_003] },
  };
  const app = { searchPath: ['pg_catalog', 'app'] };

  test.each([
    "SELECT '5'::app.checked",
    "SELECT CAST('5' AS checked)",
    "SELECT app.checked('5')",
    "SELECT checked('5')",
    "SELECT ('5'::text).checked",
    "SELECT g.checked FROM lower('5') g",
    "SELECT lower.checked FROM lower('5')",
    "SELECT * FROM json_to_record('{}') AS x(a checked)",
    "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS a checked)",
    "SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a checked PATH '$'))",
    "SELECT JSON_VALUE('{}', '$' RETURNING checked)",
    "SELECT xmlserialize(CONTENT '<a/>' AS checked)",
    'PREPARE p(checked) AS SELECT $1',
  ])('whose input runs a function of a user needs a rule for it: %s', (sql) => {
    const overlay = {
      relations: new Map(),
      functions: new Map([
        [nameKey(null, 'checked'), []],
        [nameKey('app', 'checked'), []],
      ]),
    };
    const all = factsOf(sql)[0]!;
    const raw = all.effects[0]?.kind === 'Prepare' ? all : all;
    const env = { ...app, overlay, localNames: false };
    expect(resolve(raw, { catalog: catalogOf({ types }), ...env })).toMatchObject({
      facts: { functions: [{ candidates: ['app.check_it(integer)'] }] },
    });
  });

  test('of which it is not known what it runs is not understood', () => {
    expect(calls("SELECT '5'::odd", { types }, app)).toEqual(['the type odd']);
  });

  describe('that the shared catalogue may not know', () => {
    const none = { relations: new Map(), functions: new Map() };
    const told = (answers: Readonly<Record<string, KnownType | 'plain' | null>>) => ({
      overlay: { ...none, types: new Map(Object.entries(answers).map(([name, type]) => [nameKey(null, name), type])) },
    });
    const safe: KnownType = { oid: 30_000, safe: true, runs: [], holds: [] };
    const harmful: KnownType = { ...safe, safe: false, runs: [fn('app.check_it(integer)')] };

    test('is asked for, and is what the session says', () => {
      const sql = "SELECT 'a'::fresh, '{a}'::fresh[]";
      expect(calls(sql, { types }, app)).toEqual({ ask: ['fresh'] });
      expect(calls(sql, { types }, { ...app, ...told({ fresh: safe }) })).toEqual([]);
      expect(calls(sql, { types }, { ...app, ...told({ fresh: 'plain' }) })).toEqual([]);
      expect(calls(sql, { types }, { ...app, ...told({ fresh: null }) })).toEqual([]);
      expect(calls(sql, { types }, { ...app, ...told({ fresh: harmful }) })).toEqual(['app.check_it(integer)']);
      expect(calls(sql, { types }, { ...app, ...told({ fresh: { ...harmful, runs: [] } }) })).toEqual([
        'the type fresh',
      ]);
    });

    test('is asked for again where definitions are under way, but the server’s own before all others', () => {
      const local = { localNames: true };
      expect(calls("SELECT '1'::mood", { types }, { ...app, ...local })).toEqual({ ask: ['mood'] });
      expect(calls("SELECT '1'::app.mood", { types }, local)).toEqual({ ask: ['mood'] });
      expect(calls("SELECT '1'::mood", { types }, { ...app, ...local, ...told({ mood: harmful }) })).toEqual([
        'app.check_it(integer)',
      ]);
      expect(calls("SELECT 'a'::text, 1::int, 'b'::pg_catalog.text", { types }, local)).toEqual([]);
      const ahead = { searchPath: ['app', 'pg_catalog'] };
      expect(calls("SELECT 'a'::text, 1::int, 'b'::pg_catalog.name", { types }, { ...local, ...ahead })).toEqual({
        ask: ['text'],
      });
      const temporary = { searchPath: ['pg_temp_3', 'pg_catalog'] };
      expect(calls("SELECT 'a'::text", { types }, temporary)).toEqual({ ask: ['text'] });
    });

    test('by OID is not one of a name that looks like it', () => {
      const raw = factsOf('SELECT $1')[0]!;
      const byOid = (types: ReadonlyMap<string, KnownType | null>) =>
        resolve(
          { ...raw, types: [{ schema: null, name: '', oid: 30_000 }] },
          { catalog: catalogOf({}), searchPath: ['pg_catalog'], overlay: { ...none, types }, localNames: false },
        );
      expect(byOid(new Map())).toMatchObject({ kind: 'Ask', types: [{ oid: 30_000 }] });
      expect(byOid(new Map([[nameKey(null, '30000'), safe]]))).toMatchObject({ kind: 'Ask' });
      const key = typeKey({ schema: null, name: '', oid: 30_000 });
      expect(byOid(new Map([[key, safe]]))).toMatchObject({ facts: { unknown: [] } });
      expect(byOid(new Map([[key, null]]))).toMatchObject({ facts: { unknown: ['the type with OID 30000'] } });
    });

    test('is not asked for where facts are for the record alone', () => {
      expect(calls("SELECT 'a'::fresh", { types }, { ...app, partial: true })).toEqual(['the type fresh']);
    });
  });

  test('is the first of its name in the path', () => {
    expect(calls("SELECT '5'::text", { types }, app)).toEqual([]);
    expect(calls("SELECT '5'::text", { types }, { searchPath: ['app', 'pg_catalog'] })).toEqual([
      'app.check_it(integer)',
    ]);
    expect(calls('SELECT 5::int', { types }, { searchPath: ['app', 'pg_catalog'] })).toEqual([]);
    expect(
      calls("SELECT 'a'::mood, x.checked FROM x", { types }, { searchPath: ['pg_catalog', 'app', 'public'] }),
    ).toEqual([]);
  });
});

describe('a cast', () => {
  const runs = fn('app.cents(app.money2)');
  const cast = (context: KnownCast['context'], source: KnownCast['source'], name = 'int4'): Contents => ({
    casts: [{ source, target: { schema: 'pg_catalog', name }, context, runs }],
    held: { 'public.prices': [30_000] },
  });

  test.each<readonly [KnownCast['context'], string, boolean]>([
    ['Explicit', 'SELECT a::int FROM prices', true],
    ['Explicit', 'SELECT a::int[] FROM prices', true],
    ['Explicit', 'SELECT a::text FROM prices', false],
    ['Explicit', 'SELECT a::int FROM orders', false],
    ['Explicit', 'INSERT INTO orders SELECT a FROM prices', false],
    ['Assignment', 'INSERT INTO orders SELECT a FROM prices', true],
    ['Assignment', 'UPDATE orders SET b = a FROM prices', true],
    ['Assignment', 'SELECT a FROM prices', false],
    ['Implicit', 'SELECT a FROM prices', true],
    ['Implicit', 'SELECT a FROM orders', false],
  ])('%s: %s', (context, sql, called) => {
    expect(calls(sql, cast(context, [30_000]))).toEqual(called ? ['app.cents(app.money2)'] : []);
  });

  test('from one of the server’s own types may be anywhere', () => {
    expect(calls('SELECT 1::int', cast('Explicit', null))).toHaveLength(1);
    expect(calls('SELECT a FROM orders', cast('Implicit', null))).toHaveLength(1);
  });

  test('to json is what the JSON functions look for', () => {
    expect(calls('SELECT row_to_json(p) FROM prices p', cast('Explicit', [30_000], 'json'))).toContain(
      'app.cents(app.money2)',
    );
    expect(calls('SELECT count(*) FROM prices p', cast('Explicit', [30_000], 'json'))).toEqual([]);
  });
});

test('resolution takes microseconds', () => {
  const functions = Array.from({ length: 3000 }, (_, i) => fn(`public.f${i}(integer)`));
  const catalog = catalogOf({});
  const byName = new Map(functions.map((f) => [`${f.schema}.${f.name}`, [f]]));
  const env = {
    catalog: { ...catalog, functions: (schema: string, name: string) => byName.get(`${schema}.${name}`) ?? [] },
    searchPath: ['pg_catalog', 'public', 'app'],
    overlay: null,
    localNames: false,
  };
  const raw = factsOf(
    "SELECT count(*), lower(o.item), o.amount * 2 + 1 FROM orders o JOIN items i ON i.id = o.item_id WHERE o.id = $1 AND o.at BETWEEN '2026-01-01'::date AND now() AND o.item LIKE 'a%' GROUP BY 2, 3",
  )[0]!;
  const once = () => {
    const started = performance.now();
    for (let i = 0; i < 2000; i++) resolve(raw, env);
    return ((performance.now() - started) / 2000) * 1000;
  };
  const best = Math.min(...Array.from({ length: 5 }, once));
  console.log(`resolve: ${best.toFixed(1)} µs`);
  expect(best).toBeLessThan(400);
});
