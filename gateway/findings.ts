import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Catalog } from './catalog/catalog.ts';
import type { GatewayReport } from './config/control.ts';
import type { Revision } from './config/document.ts';
import { type Contents, findUnmatched, type KnownServer } from './policy/unmatched.ts';
import { askServer, contentsOf, isNoEntry, NOTHING } from './server-contents.ts';
import type { UpstreamAccess } from './upstream-access.ts';

export interface FindingsOptions {
  readonly revision: () => Revision;
  readonly catalog: Pick<Catalog, 'ensure' | 'last'>;
  readonly upstream: UpstreamAccess;
  /** Something else is found now. */
  readonly onChange: () => void;
}

/** Milliseconds from a new revision, and from a newly read catalogue, to a look at both. */
const AFTER_REVISION = 200;
const AFTER_CATALOG = 5000;
/** While something is found: whoever creates it does so in a database, perhaps, that no session uses. */
const WHILE_FOUND = 300_000;
const AFTER_FAILURE = 60_000;
/** Databases whose catalogues are read for policies that speak of every one. */
const MAX_DATABASES = 32;

/** What policies name and the live database lacks: looked for when either changes, beside the sessions' own work. */
export class Findings {
  readonly #options: FindingsOptions;
  #current: GatewayReport['findings'] = [];
  #timer: NodeJS.Timeout | null = null;
  #due = Number.POSITIVE_INFINITY;
  #looking = false;
  #closed = false;
  /** Databases without entry, as of a revision. */
  #closedDatabases: { revision: string; readonly names: Set<string> } = { revision: '', names: new Set() };

  constructor(options: FindingsOptions) {
    this.#options = options;
    this.#plan(AFTER_REVISION);
  }

  get current(): GatewayReport['findings'] {
    return this.#current;
  }

  onRevision(): void {
    this.#plan(AFTER_REVISION);
  }

  onCatalog(): void {
    this.#plan(AFTER_CATALOG);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #plan(delay: number): void {
    const due = performance.now() + delay;
    if (this.#closed || due >= this.#due) return;
    this.#due = due;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), delay).unref();
  }

  async #look(): Promise<void> {
    // The look that runs plans the next one.
    if (this.#looking) return;
    this.#looking = true;
    this.#due = Number.POSITIVE_INFINITY;
    const { document, revision } = this.#options.revision();
    const found = await this.#find(document, revision).catch(() => null);
    this.#looking = false;
    if (this.#closed) return;
    if (this.#due !== Number.POSITIVE_INFINITY) {
      // Asked for in between: the timer may have found us busy.
      this.#due = Number.POSITIVE_INFINITY;
      this.#plan(AFTER_REVISION);
    } else if (found === null) this.#plan(AFTER_FAILURE);
    else if (found.length > 0) this.#plan(WHILE_FOUND);
    if (found === null || revision !== this.#options.revision().revision) return;
    if (isDeepStrictEqual(found, this.#current)) return;
    this.#current = found;
    this.#options.onChange();
  }

  async #find(document: Revision['document'], revision: string): Promise<GatewayReport['findings']> {
    const { upstream, catalog } = this.#options;
    const { databases, logins } = await askServer(upstream, document);
    const atHand = (name: string) => (catalog.last(name) === undefined ? 1 : 0);
    const server: KnownServer = {
      databases: databases.toSorted((a, b) => atHand(a) - atHand(b)),
      logins,
      login: (role) => upstream.credentials(role).username,
      contents: (database) => this.#contents(database, revision, databases.length <= MAX_DATABASES),
    };
    return await findUnmatched(document, server);
  }

  async #contents(database: string, revision: string, mayRead: boolean): Promise<Contents | null> {
    // One name after another, and sessions in between.
    await nextTurn();
    const known = this.#options.catalog.last(database);
    if (this.#closed || (known === undefined && !mayRead)) return null;
    if (this.#closedDatabases.revision !== revision) this.#closedDatabases = { revision, names: new Set() };
    const { names } = this.#closedDatabases;
    if (names.has(database)) return NOTHING;
    try {
      return contentsOf(await this.#options.catalog.ensure(database));
    } catch (error) {
      if (!isNoEntry(error)) return null;
      names.add(database);
      return NOTHING;
    }
  }
}
