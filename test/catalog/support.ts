import pg from 'pg';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import type { Facts } from '../../gateway/sql/facts.ts';
import { resolve } from '../../gateway/sql/resolve.ts';
import type { ResolveEnvironment } from '../../gateway/sql/resolve-environment.ts';
import type { Postgres } from '../kit/postgres.ts';
import { factsOf } from '../sql/summary.ts';

/** A catalogue over a real server, on connections of the superuser. */
export function catalogOf(server: Postgres, pollInterval = 100): Catalog {
  return new Catalog({
    async connect(database) {
      const { user, password } = server.superuser;
      const client = new pg.Client({ host: server.host, port: server.port, user, password, database });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    log: { info() {}, warn() {} },
    pollInterval,
  });
}

/** What one statement does, names resolved as of now. */
export async function live(catalog: Catalog, sql: string, more: Partial<ResolveEnvironment> = {}): Promise<Facts> {
  const snapshot = await catalog.refresh('postgres');
  for (let attempt = 0; attempt < 3; attempt++) {
    const environment = { catalog: snapshot, searchPath: ['pg_catalog', 'app', 'public'], overlay: null, ...more };
    const resolution = resolve(factsOf(sql)[0]!, { localNames: false, ...environment });
    if (resolution.kind === 'Facts') return resolution.facts;
    if (resolution.kind === 'Ask') throw new Error(`asks for ${JSON.stringify(resolution)}`);
    await catalog.define('postgres', resolution.rules);
  }
  throw new Error('the definitions do not come');
}

/** `Verb schema.name (Door of schema.name) reach`, sorted. */
export function relationsIn({ relations }: Facts): string[] {
  return relations
    .map(({ verb, schema, name, reach, door, of }) => {
      const by = of === undefined ? '' : ` ${door} ${of.schema}.${of.name}`;
      return `${verb} ${schema}.${name}${reach === null ? '' : ` ${reach}`}${by}`;
    })
    .toSorted();
}

export function functionsIn({ functions }: Facts): string[] {
  return functions.map(({ candidates, door }) => `${door ?? 'Call'} ${candidates.join(' or ')}`).toSorted();
}
