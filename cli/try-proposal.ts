import type { RawStatement } from '../gateway/sql/facts.ts';
import { type Names, namesFor } from './assume.ts';
import { readCatalog } from './live.ts';
import type { Proposal } from './project.ts';
import type { Report } from './tally.ts';
import { tryPolicies } from './try.ts';

/** Longest statement that a gateway analyses, unless its manifest says otherwise. */
const STATEMENT_BYTES = 131_072;

/** Replays a log against what manifests propose; `server`: names mean what the gateway's databases say. */
export async function tryProposal(
  log: string,
  { policies, project }: Proposal & { readonly ok: true },
  server: boolean,
): Promise<Report> {
  const document = project?.document ?? null;
  const known = new Map<string, Promise<Names>>();
  const namesOf = (database: string): Promise<Names> => {
    let names = known.get(database);
    if (names === undefined) {
      const { document: whose, secrets } = project!;
      names = readCatalog(whose, secrets, database).then((catalog) => namesFor(whose, catalog));
      known.set(database, names);
    }
    return names;
  };
  return await tryPolicies(log, {
    policies,
    gateway: document === null ? null : `${document.gateway.namespace}/${document.gateway.name}`,
    resolve:
      server && project !== null
        ? async (database: string, raw: RawStatement) => (await namesOf(database)).resolve(raw).facts
        : null,
    statementBytes: document?.limits.statementBytes ?? STATEMENT_BYTES,
  });
}
