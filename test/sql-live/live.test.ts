import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawRelation, RawStatement } from '../../gateway/sql/facts.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { factsOf } from '../sql/summary.ts';
import { corpusStatements } from './corpus.ts';
import { BEHIND, FIXTURE, ROLE, ROWS } from './fixture.ts';
import { type Outcome, runAndProbe, usualSettings } from './probe.ts';

/** How many statements of the corpus the fixture lets run at least, so that none falls out unseen. */
const RUN_AT_LEAST: Readonly<Record<number, number>> = { 14: 880, 18: 940 };

/** What a statement and the statements within it touch. */
function relationsOf(raw: RawStatement): RawRelation[] {
  const inner = raw.effects.flatMap((effect) => ('inner' in effect ? relationsOf(effect.inner) : []));
  return [...raw.relations, ...inner];
}

const NOT_RUN = new Set(['Definition', 'Prepare']);
const WRITES = new Set(['Insert', 'Update', 'Delete', 'Merge']);
/** The longest list of keys in the corpus. */
const MOST_KEYS = 3;
const UNFORESEEN = new Set(['Do', 'Call', 'Code', 'DynamicSql']);

/** They give the transaction its number, and that is all. */
const ASSIGNS = /pg_current_xact_id\(|txid_current\(/;

/** What opens relations, or all of them, by what is not in the text. */
const OPENS = /^(?:analyze|vacuum)$|pg_get_viewdef/;

/** Each way in which the facts say less than what happened. */
function contradictions(sql: string, outcome: Outcome, version: number): string[] {
  const statements = factsOf(sql);
  if (statements.some(({ minMajor }) => minMajor > version)) return [];
  const relations = statements.flatMap(relationsOf);
  const found: string[] = [];
  if (outcome.wrote && !ASSIGNS.test(sql) && statements.every(({ readOnly }) => readOnly)) {
    found.push('it wrote, though it only reads');
  }
  const changes = statements.some(({ settings, asks }) => asks || settings.some(({ kind }) => kind !== 'Show'));
  if (outcome.settings.length > 0 && !changes) found.push(`it changed ${outcome.settings.join(', ')}`);
  if (statements.length === 1) found.push(...idle(statements[0]!, outcome));
  // What code or text that is run does is not known.
  const foreseen = statements.every(({ classes }) => !classes.some((cls) => UNFORESEEN.has(cls)));
  if (!foreseen || OPENS.test(sql)) return found;
  const planned = statements.some(({ primary }) => primary === 'Explain');
  return [...found, ...lockContradictions(relations, outcome, planned), ...rowContradictions(relations, outcome)];
}

/** A write that did not even take the lock for it. */
function idle({ relations, classes }: RawStatement, { locks }: Outcome): string[] {
  if (classes.includes('Explain')) return [];
  return relations
    .filter(({ verb, door, name }) => WRITES.has(verb) && !NOT_RUN.has(door) && !name.startsWith('pg_'))
    .filter(({ name }) => !locks.some((lock) => lock.name === name && lock.mode === 'RowExclusiveLock'))
    .map(({ verb, name }) => `it does not ${verb} ${name}`);
}

function usesOf(relations: readonly RawRelation[], schema: string, name: string): RawRelation[] {
  return relations.filter((r) => {
    const named = r.name === name || r.name === '*' || BEHIND[r.name]?.includes(name) === true;
    return named && (r.schema === null || schema.startsWith(r.schema));
  });
}

function lockContradictions(relations: readonly RawRelation[], { locks }: Outcome, planned: boolean): string[] {
  return locks.flatMap(({ schema, name, mode }) => {
    const uses = usesOf(relations, schema, name);
    if (uses.length === 0) return relations.some(({ cascade }) => cascade) ? [] : [`it opened ${schema}.${name}`];
    const writes = planned || uses.some(({ verb }) => verb !== 'Select' && verb !== 'Lock');
    if (mode === 'AccessShareLock' || writes) return [];
    const locked = uses.some(({ verb }) => verb === 'Lock');
    return locked ? [] : [`${mode} on ${name}`];
  });
}

/** Rows that were written although no relation says so, and more or fewer than its reach says. */
function rowContradictions(relations: readonly RawRelation[], { rows }: Outcome): string[] {
  return rows.flatMap(({ schema, name, inserted, updated, deleted }) => {
    const uses = usesOf(relations, schema, name).filter(({ verb }) => verb !== 'Select' && verb !== 'Lock');
    if (uses.length === 0) return inserted + updated + deleted > 0 ? [`it writes rows of ${name}`] : [];
    if (schema !== 'public' || name !== 't') return [];
    return [...reachContradictions('Update', updated, uses), ...reachContradictions('Delete', deleted, uses)];
  });
}

/** Of t, whose key is id. */
function reachContradictions(verb: 'Update' | 'Delete', done: number, uses: readonly RawRelation[]): string[] {
  const own = uses.filter((use) => use.verb === verb && use.name === 't');
  const reach = own.length === 1 ? own[0]!.reach : null;
  if (done === 0 || reach === null) return [];
  if (reach.values || reach.equated.includes('id')) return done > MOST_KEYS ? [`${verb} of ${done} rows by key`] : [];
  const ifNotNull = (reach.openIfNotNull ?? []).some((columns) => columns.every((column) => column === 'id'));
  return done === ROWS && reach.floor === 'Filtered' && !ifNotNull ? [`${verb} left nothing out`] : [];
}

describe.each<PostgresMajor>([14, 18])('PostgreSQL %d does what the facts say', (version) => {
  let server: Postgres;
  let client: pg.Client;

  beforeAll(async () => {
    server = await startPostgres({ version, initSql: FIXTURE, config: { statement_timeout: '3s' } });
    client = new pg.Client({ connectionString: server.connectionString(ROLE.name, ROLE.password) });
    client.on('error', () => {});
    await client.connect();
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  test('of every statement of the corpus that it runs', async () => {
    const usual = await usualSettings(client);
    const wrong: string[] = [];
    let run = 0;
    for (const { sql } of corpusStatements()) {
      const outcome = await runAndProbe(client, sql, usual);
      if (outcome === null) continue;
      run += 1;
      wrong.push(...contradictions(sql, outcome, version).map((why) => `${sql}: ${why}`));
    }
    console.info(`PostgreSQL ${version} ran ${run} statements of the corpus`);
    expect(wrong).toEqual([]);
    expect(run).toBeGreaterThanOrEqual(RUN_AT_LEAST[version]!);
  }, 300_000);
});
