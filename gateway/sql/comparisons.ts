import { as, constant, list, names } from './ast.ts';
import { fingerprint, type Target } from './target.ts';
import { constantly, not, type Test, type Unknowns } from './truth.ts';

/** Where a condition stands. */
export interface Scope {
  readonly target: Target;
  readonly unknowns: Unknowns;
  /** How deep it is nested. */
  readonly depth: number;
}

/** `random() <> random()` compares two things (test: "what differs each time proves nothing"). */
export function keyOf(node: unknown, target: Target, { unknowns }: Scope): string {
  const { key, steady } = fingerprint(node, target);
  return steady ? key : unknowns.unlike(key);
}

type Holds = (sign: number) => boolean;

/** What an operator says of the sign of a comparison. */
const COMPARISONS: Readonly<Record<string, Holds>> = {
  '=': (sign) => sign === 0,
  '<>': (sign) => sign !== 0,
  '<': (sign) => sign < 0,
  '<=': (sign) => sign <= 0,
  '>': (sign) => sign > 0,
  '>=': (sign) => sign >= 0,
};

/** One side of a comparison: a constant, or what its key names. */
interface Side {
  readonly node: unknown;
  readonly target: Target;
  /** undefined: no constant. */
  readonly value: string | null | undefined;
  readonly key: string;
  /** The side as a condition of its own; undefined: not taken as one. */
  readonly asCondition: () => Test | undefined;
}

/** `compile` makes a condition of an expression. */
export function sideOf(
  node: unknown,
  target: Target,
  scope: Scope,
  compile: (node: unknown, scope: Scope) => Test | undefined,
): Side {
  const value = constant(node);
  const key = value === undefined ? keyOf(node, target, scope) : JSON.stringify(value);
  return { node, target, value, key, asCondition: () => compile(node, { ...scope, target }) };
}

/** What a comparison makes of a row. */
export function compare(operator: string, left: Side, right: Side, scope: Scope): Test {
  const holds = COMPARISONS[operator];
  if (holds === undefined) return matchesAll(operator, left, right, scope);
  const { unknowns } = scope;
  const flipped = (sign: number) => holds(-sign);
  const [a, b] = [left.key, right.key];
  if (right.value !== undefined) {
    if (left.value !== undefined) return constantly(signOf(left.value, right.value, holds));
    return compareBoolean(left, right, holds) ?? compareConstant(a, right, holds, unknowns);
  }
  if (left.value !== undefined) {
    return compareBoolean(right, left, holds) ?? compareConstant(b, left, flipped, unknowns);
  }
  // NULLs aside, which only make it narrower: `id = id` is honest about nothing.
  if (a === b || sameColumn(left, right)) return constantly(holds(0));
  return a < b ? unknowns.order(`${a} and ${b}`, holds) : unknowns.order(`${b} and ${a}`, flipped);
}

/** `active = true` is `active`; `active IN (true, false)` is everybody. */
function compareBoolean(side: Side, other: Side, holds: Holds): Test | undefined {
  const [below, same, above] = [holds(-1), holds(0), holds(1)];
  if (as(other.node, 'A_Const')?.boolval === undefined || below !== above || below === same) return undefined;
  const test = side.asCondition();
  if (test === undefined) return undefined;
  return (other.value === 'true') === same ? test : not(test);
}

function compareConstant(key: string, { node, value, key: written }: Side, holds: Holds, unknowns: Unknowns): Test {
  if (value == null) return constantly(undefined);
  // A quoted number may be a text, and texts have an order of their own.
  const number = as(node, 'A_Const')?.sval === undefined ? asNumber(value) : undefined;
  return number === undefined ? unknowns.order(`${key} and ${written}`, holds) : unknowns.place(key, number, holds);
}

function asNumber(value: string): number | undefined {
  const number = Number(value);
  return value.trim() === '' || Number.isNaN(number) ? undefined : number;
}

function signOf(a: string | null, b: string | null, holds: Holds): boolean | undefined {
  if (a === null || b === null) return undefined;
  const [x, y] = [asNumber(a), asNumber(b)];
  if (x !== undefined && y !== undefined) return holds(Math.sign(x - y));
  if (a === b) return holds(0);
  // Which of two texts is greater is a matter of collation.
  return holds(-1) === holds(1) ? holds(1) : undefined;
}

/** `a.id = b.id` is a join; `t.id = id` is the same column written twice, or else ambiguous. */
function sameColumn(a: Side, b: Side): boolean {
  if (a.target.inner || b.target.inner) return false;
  const [left, right] = [names(as(a.node, 'ColumnRef')?.fields) ?? [], names(as(b.node, 'ColumnRef')?.fields) ?? []];
  return left.length > 0 && right.length > 0 && left.length !== right.length && left.at(-1) === right.at(-1);
}

/** Patterns that every text matches. */
const EVERYTHING: readonly (readonly [operators: RegExp, pattern: RegExp])[] = [
  [/^!?~~\*?$/, /^%+$/],
  [/^!?~\*?$/, /^\^?(?:\.\*)?\$?$/],
];

function matchesAll(operator: string, left: Side, right: Side, { unknowns }: Scope): Test {
  const similar = as(right.node, 'FuncCall');
  const isSimilar = names(similar?.funcname)?.at(-1) === 'similar_to_escape';
  const pattern = constant(isSimilar ? list(similar?.args)[0] : right.node) ?? 'x';
  const negated = operator.startsWith('!');
  const all = isSimilar
    ? /^%+$/.test(pattern)
    : EVERYTHING.some(([operators, everything]) => operators.test(operator) && everything.test(pattern));
  if (all) return constantly(!negated);
  const plain = negated ? operator.slice(1) : operator;
  const test = unknowns.either(`${plain} ${left.key} ${right.key}`);
  return negated ? not(test) : test;
}
