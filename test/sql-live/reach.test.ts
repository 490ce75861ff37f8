import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawRelation } from '../../gateway/sql/facts.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { factsOf } from '../sql/summary.ts';
import { corpusStatements } from './corpus.ts';
import { FIXTURE, ROLE } from './fixture.ts';

/*
 * Every write of the corpus on a real server, in a transaction that is rolled back, with rows that differ and no NULLs in
 * them (reach leaves those aside): what is called Unbounded leaves no row out, what is by key has one row a key at most.
 */
const WITHOUT_NULLS = `UPDATE t SET x = coalesce(x, id), y = coalesce(y, id), n = coalesce(n, id), t_id = coalesce(t_id, id),
  name = coalesce(name, 'none'), status = coalesce(status, 'lost'), active = coalesce(active, true),
  data = coalesce(data, '{"k": 0}'), note = coalesce(note, 'note')`;

/** Primary keys of the fixture; a row of `parent` may have its id twice, in its child. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  t: ['id'],
  s: ['id'],
  u: ['id'],
  pair: ['a', 'b'],
  part: ['id', 'k'],
};

/** Called Unbounded though the server left rows out, each for a reason. */
const UNBOUNDED_ALL_THE_SAME = new Set([
  // All or nothing: what is asked says nothing of the target.
  'delete from t where exists (select 1 from other where x = 5)',
  'update t set x = 1 where not exists (select 1 from s where s.id = 5)',
  // All that another table does not happen to have.
  'merge into t using s on true when not matched by source then delete',
  'merge into t using s on t.id = 5 when not matched by source then delete',
  'merge into t using s on t.id = s.id when not matched by source then delete',
  // Which of two options counts is not looked into.
  'explain (analyze, analyze off) delete from t',
  // As many rows as the source has, all of which are there.
  'insert into t (id) select id from t on conflict (id) do nothing',
  'insert into t (id) select id from t on conflict (id) do update set x = 5',
]);

/** An INSERT of all that a source has; the fixture's smallest has so many rows. */
const SMALLEST_SOURCE = 5;
/** A source of constants of MERGE, whose members are not counted. */
const MOST_IN_SOURCE = 3;

const NOT_RUN = new Set(['Definition', 'Prepare']);
const COUNTERS: Readonly<Record<string, string>> = { Insert: 'n_tup_ins', Update: 'n_tup_upd', Delete: 'n_tup_del' };

type Kind = 'Unbounded' | 'Keyed';

/** What a write has to be held to; null: neither. */
function kindOf({ reach, name }: RawRelation): Kind | null {
  if (reach === null) return null;
  const given = [...reach.equated, ...(reach.bound ?? []).map(({ column }) => column)];
  if (reach.values || KEYS[name]?.every((column) => given.includes(column)) === true) return 'Keyed';
  // No row has a NULL in its key.
  const open = (reach.openIfNotNull ?? []).some((columns) => columns.every((column) => KEYS[name]?.includes(column)));
  return reach.floor === 'Unbounded' || open ? 'Unbounded' : null;
}

/** The writes of the corpus that a server of that version reads as the grammar here does. */
function* writesOf(version: PostgresMajor): Generator<{ sql: string; write: RawRelation; kind: Kind }> {
  for (const { sql } of corpusStatements()) {
    const [facts, ...more] = factsOf(sql);
    if (facts === undefined || more.length > 0 || facts.minMajor > version) continue;
    for (const write of facts.relations) {
      const kind = write.verb in COUNTERS || write.verb === 'Truncate' ? kindOf(write) : null;
      if (kind !== null && !NOT_RUN.has(write.door)) yield { sql, write, kind };
    }
  }
}

class Probe {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async #number(sql: string): Promise<number> {
    return Number(Object.values((await this.#client.query(sql)).rows[0] as object)[0]);
  }

  /** Rows of the target, and of what a verb has done to it so far, partitions and children included. */
  #rows(target: string, only: boolean): Promise<number> {
    return this.#number(`SELECT count(*) FROM ${only ? 'ONLY ' : ''}${target}`);
  }

  #done(target: string, verb: string): Promise<number> {
    const tables = `SELECT '${target}'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = '${target}'::regclass
      UNION SELECT 't'::regclass WHERE '${target}' = 'v'`;
    return this.#number(
      `SELECT coalesce(sum(${COUNTERS[verb]}), 0) FROM pg_stat_xact_user_tables WHERE relid IN (${tables})`,
    );
  }

  /** How many rows there were, and how many of them the statement had; null: the server refused it. */
  async run(sql: string, write: RawRelation): Promise<{ readonly rows: number; readonly done: number } | null> {
    const { schema, name, verb, only } = write;
    const target = schema === null ? name : `${schema}.${name}`;
    await this.#client.query('BEGIN');
    try {
      await this.#client.query(WITHOUT_NULLS);
      const rows = await this.#rows(target, only === true);
      const before = verb === 'Truncate' ? 0 : await this.#done(target, verb);
      const parameters = Math.max(0, ...[...sql.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
      // An empty list would still be the extended protocol.
      if (parameters === 0) await this.#client.query(sql);
      else await this.#client.query(sql, Array<string>(parameters).fill('5'));
      if (verb === 'Truncate') return { rows, done: rows - (await this.#rows(target, only === true)) };
      return { rows, done: (await this.#done(target, verb)) - before };
    } catch {
      return null;
    } finally {
      await this.#client.query('ROLLBACK');
      await this.#client.query('DISCARD ALL');
    }
  }
}

function complaint(sql: string, write: RawRelation, { rows, done }: { rows: number; done: number }): string | null {
  const { verb, name, reach } = write;
  if (kindOf(write) === 'Keyed') {
    const most = reach!.most ?? MOST_IN_SOURCE;
    return done > most ? `${sql}: ${verb} of ${done} rows of ${name} by ${most} keys` : null;
  }
  const all = verb === 'Insert' ? done >= SMALLEST_SOURCE : done === rows;
  return all || UNBOUNDED_ALL_THE_SAME.has(sql) ? null : `${sql}: ${verb} of ${done} of ${rows} rows of ${name}`;
}

/** How many writes of the corpus the fixture lets run at least, so that none falls out unseen. */
const RUN_AT_LEAST: Readonly<Record<number, Readonly<Record<Kind, number>>>> = {
  14: { Unbounded: 200, Keyed: 60 },
  18: { Unbounded: 200, Keyed: 60 },
};

describe.each<PostgresMajor>([14, 18])('PostgreSQL %d', (version) => {
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

  test('every write that is called Unbounded has every row, every one by key one row a key', async () => {
    const probe = new Probe(client);
    const run = { Unbounded: 0, Keyed: 0 };
    const wrong: string[] = [];
    for (const { sql, write, kind } of writesOf(version)) {
      const outcome = await probe.run(sql, write);
      if (outcome === null) continue;
      run[kind] += 1;
      const why = complaint(sql, write, outcome);
      if (why !== null) wrong.push(why);
    }
    console.info(`PostgreSQL ${version} ran ${run.Unbounded} writes without bound and ${run.Keyed} by key`);
    expect(wrong).toEqual([]);
    for (const kind of ['Unbounded', 'Keyed'] as const) expect(run[kind]).toBeGreaterThan(RUN_AT_LEAST[version]![kind]);
  }, 300_000);
});
