import type { QualifiedName } from './facts.ts';
import type {
  Earlier,
  KnownFunction,
  KnownRelation,
  KnownRule,
  ResolveEnvironment,
  RuleDefinition,
} from './resolve-environment.ts';

/** What is found by OID, as the session sees it: its own answers first, then the shared catalogue. */
export interface Surroundings {
  relation(oid: number): KnownRelation | undefined;
  fn(oid: number): KnownFunction | undefined;
  /** undefined: it must be loaded first, and has been noted. */
  definition(rule: KnownRule): RuleDefinition | undefined;
  readonly earlier: Earlier | null;
  /** Rules whose definitions are wanted. */
  readonly wanted: ReadonlySet<number>;
  /** OIDs that were looked at. */
  readonly relations: ReadonlySet<number>;
  readonly functions: ReadonlySet<number>;
}

/** Looks up what hangs together, and remembers what it was asked for. */
export function surroundingsOf({ catalog, overlay, earlier = null }: ResolveEnvironment): Surroundings {
  const relations = new Set<number>();
  const functions = new Set<number>();
  const wanted = new Set<number>();
  return {
    relations,
    functions,
    earlier,
    wanted,
    relation(oid) {
      relations.add(oid);
      return overlay?.related?.get(oid) ?? catalog.relationByOid?.(oid);
    },
    fn(oid) {
      functions.add(oid);
      return overlay?.relatedFunctions?.get(oid) ?? catalog.functionByOid(oid);
    },
    definition(rule) {
      const known = rule.definition ?? catalog.definition?.(rule);
      if (known === undefined) wanted.add(rule.oid);
      return known;
    },
  };
}

/** Relations above or below one, at whatever distance. */
export interface Kin {
  readonly ancestors: readonly QualifiedName[];
  readonly descendants: readonly KnownRelation[];
  readonly descendantNames: readonly QualifiedName[];
}

const NO_KIN: Kin = { ancestors: [], descendants: [], descendantNames: [] };
/** A relation of a snapshot never changes, nor what is around it. */
const kinOf = new WeakMap<KnownRelation, Kin>();

export function kin(relation: KnownRelation, around: Surroundings): Kin {
  const { links } = relation;
  if (links === undefined || (links.parents.length === 0 && links.children.length === 0)) return NO_KIN;
  let known = kinOf.get(relation);
  if (known === undefined) {
    const descendants = all(relation, around, ({ children }) => children);
    known = {
      ancestors: all(relation, around, ({ parents }) => parents).map(nameOf),
      descendants,
      descendantNames: descendants.map(nameOf),
    };
    kinOf.set(relation, known);
  }
  return known;
}

function nameOf({ schema, name }: KnownRelation): QualifiedName {
  return { schema, name };
}

type Links = NonNullable<KnownRelation['links']>;

function all(
  start: KnownRelation,
  around: Surroundings,
  next: (links: Links) => readonly number[],
): readonly KnownRelation[] {
  const found = new Set<KnownRelation>();
  const stack = [start];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const oid of at.links === undefined ? [] : next(at.links)) {
      const relation = around.relation(oid);
      if (relation === undefined || found.has(relation)) continue;
      found.add(relation);
      stack.push(relation);
    }
  }
  return [...found];
}
