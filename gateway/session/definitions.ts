import type { Facts, RawStatement, Unforeseen } from '../sql/facts.ts';
import type { Earlier } from '../sql/resolve-environment.ts';
import { runsByName } from './effects.ts';

/** What defines a relation, or what hangs on it. */
const DEFINING = new Set(['Ddl', 'Code', 'TempTable', 'Link']);

/** What the statements of a string define, one after the other. */
export class Definitions implements Earlier {
  readonly #types = new Set<number>();
  holds: ReadonlySet<number> | 'any' = this.#types;
  hidden = false;
  readonly relations = new Map<string, Set<Unforeseen>>();
  readonly temporary = new Set<string>();
  readonly #functions = new Set<string>();

  /** Notes a statement that will have run before those that follow. */
  add(raw: RawStatement, facts: Facts | null): void {
    const { makes } = raw;
    if (makes === undefined) return;
    this.#hold(facts?.holds ?? 'any');
    // It makes something run that nobody has looked into.
    const unforeseen = this.callsMade(raw) ? 'Reads' : makes.unforeseen;
    const creates = raw.relations.some((one) => one.creates);
    for (const one of raw.relations) {
      // A new table takes from its parents, and leaves them as they are.
      if (DEFINING.has(one.verb)) this.#define(one.name, creates && !one.creates ? null : unforeseen);
    }
    for (const name of makes.cascades) this.#define(name, 'Changes');
    // An index is named, and its table is what changes.
    for (const { name, door } of facts?.relations ?? []) if (door === 'Index') this.#define(name, unforeseen);
    for (const name of makes.temporary) this.temporary.add(name);
    for (const name of makes.functions) this.#functions.add(name);
  }

  #define(name: string, unforeseen: Unforeseen | null): void {
    const known = this.relations.get(name) ?? new Set();
    if (unforeseen !== null) known.add(unforeseen);
    if (unforeseen === 'Reads') this.hidden = true;
    this.relations.set(name, known);
  }

  #hold(types: ReadonlySet<number> | 'any'): void {
    if (types === 'any') this.holds = 'any';
    else if (this.holds !== 'any') for (const type of types) this.#types.add(type);
  }

  /** The statement names a function that the string makes, or one of that name. */
  callsMade({ functions, attributes, effects }: RawStatement): boolean {
    if (this.#functions.size === 0) return false;
    const named = functions.some(({ name }) => this.#functions.has(name));
    return named || attributes.some((name) => this.#functions.has(name)) || effects.some(runsByName);
  }
}
