import { Catalog } from '../gateway/catalog/catalog.ts';
import type { CatalogSnapshot } from '../gateway/catalog/snapshot.ts';
import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import { UpstreamAccess } from '../gateway/upstream-access.ts';
import { CommandError } from './usage.ts';

/** Reads what a database of the gateway contains, as its catalogRole. */
export async function readCatalog(
  document: ConfigDocument,
  secrets: SecretSource,
  database: string,
): Promise<CatalogSnapshot> {
  const revision = makeRevision(document);
  const upstream = new UpstreamAccess(() => revision, secrets);
  const silent = { info() {}, warn() {} };
  const catalog = new Catalog({ connect: (name) => upstream.connectCatalog(name), log: silent });
  try {
    const snapshot = await catalog.ensure(database);
    const rules = snapshot.relationsOf('*').flatMap(({ links }) => links.rules.map(({ oid }) => oid));
    if (rules.length > 0) await catalog.define(database, rules);
    return catalog.snapshot(database)!;
  } catch (error) {
    throw new CommandError(`the catalogue of database ${database} cannot be read: ${(error as Error).message}`);
  } finally {
    await catalog.close();
  }
}
