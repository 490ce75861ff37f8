import { Catalog } from '../gateway/catalog/catalog.ts';
import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import { findUnmatched, type Unmatched } from '../gateway/policy/unmatched.ts';
import { askServer, contentsOf, NOTHING } from '../gateway/server-contents.ts';
import { UpstreamAccess } from '../gateway/upstream-access.ts';
import { CommandError } from './usage.ts';

/** Asks the gateway's server for everything that policies name: databases, roles, relations, functions. */
export async function askForUnmatched(document: ConfigDocument, secrets: SecretSource): Promise<Unmatched[]> {
  const revision = makeRevision(document);
  const upstream = new UpstreamAccess(() => revision, secrets);
  const silent = { info() {}, warn() {} };
  const catalog = new Catalog({ connect: (name) => upstream.connectCatalog(name), log: silent });
  const named = new Set(document.policies.flatMap(({ databases }) => databases));
  const contents = async (database: string) => {
    try {
      return contentsOf(await catalog.ensure(database));
    } catch (error) {
      // A policy for every database means those that the gateway can read; one that it names has to be among them.
      if (!named.has(database)) return NOTHING;
      throw new CommandError(`database ${database} cannot be read: ${(error as Error).message}`);
    }
  };
  try {
    const known = await askServer(upstream, document).catch((error: unknown) => {
      throw new CommandError(`the server cannot be asked: ${(error as Error).message}`);
    });
    const login = (role: string) => upstream.credentials(role).username;
    return await findUnmatched(document, { ...known, login, contents });
  } finally {
    await catalog.close();
  }
}
