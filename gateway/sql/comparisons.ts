import { as, list, names } from './ast.ts';
import { asNumber, type Folded } from './fold.ts';
import { constantly, type Dependence, every, not, some, type Test } from './truth.ts';
import { type Scope, type Side, sideOf } from './values.ts';

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

/** Rows of more columns than this are not taken apart. */
const MAX_COLUMNS = 8;

/** What a comparison makes of a row of the table; NULLs aside: `id = id` is honest about nothing. */
export function compare(operator: string, left: Side, right: Side, scope: Scope): Test {
  const holds = COMPARISONS[operator];
  if (holds === undefined) return matchesAll(operator, left, right, scope);
  const rows = compareRows(operator, left, right, scope);
  if (rows !== undefined) return rows;
  if (right.folded !== undefined && left.folded !== undefined) return compareConstants(left, right, holds, scope);
  if (right.folded !== undefined) return compareConstant(left, right.folded, holds, scope);
  if (left.folded !== undefined) return compareConstant(right, left.folded, (sign) => holds(-sign), scope);
  if (left.key === right.key || sameColumn(left, right))
    return constantly(holds(Math.sign(left.offset - right.offset)));
  return compareThings(left, right, holds, scope);
}

function compareThings(left: Side, right: Side, holds: Holds, { unknowns }: Scope): Test {
  const never = left.offset !== 0 || right.offset !== 0 ? [] : impossible(left, right);
  const signs = [-1, 0, 1].filter((sign) => !never.includes(sign));
  const dependence = both(left, right);
  const [a, b] = [`${left.key} ${left.offset}`, `${right.key} ${right.offset}`];
  if (a < b) return unknowns.order(`${a} and ${b}`, dependence, holds, signs);
  const flipped = signs.map((sign) => 0 - sign);
  return unknowns.order(`${b} and ${a}`, dependence, (sign) => holds(-sign), flipped);
}

function both(left: Side, right: Side): Dependence {
  return left.dependence === 'row' || right.dependence === 'row' ? 'row' : 'free';
}

/** `greatest(id, 5) < id` never is. */
function impossible(left: Side, right: Side): number[] {
  if (left.atLeast.includes(right.key) || right.atMost.includes(left.key)) return [-1];
  return left.atMost.includes(right.key) || right.atLeast.includes(left.key) ? [1] : [];
}

/** Rows are compared column by column: `(id, 1) >= (id, 0)`. */
function compareRows(operator: string, left: Side, right: Side, scope: Scope): Test | undefined {
  const [mine, other] = [as(left.node, 'RowExpr'), as(right.node, 'RowExpr')].map((row) => list(row?.args));
  if (mine!.length === 0 || mine!.length !== other!.length || mine!.length > MAX_COLUMNS) return undefined;
  const pairs = mine!.map((node, i) => ({
    one: sideOf(node, { ...scope, target: left.target }),
    two: sideOf(other![i], { ...scope, target: right.target }),
  }));
  const at = (i: number, op: string) => compare(op, pairs[i]!.one, pairs[i]!.two, scope);
  const equal = pairs.map((_, i) => at(i, '='));
  if (operator === '=') return every(equal);
  if (operator === '<>') return not(every(equal));
  const [strict, last] = [operator.charAt(0), pairs.length - 1];
  return some(pairs.map((_, i) => every([...equal.slice(0, i), at(i, i === last ? operator : strict)])));
}

/** Two constants: `1 = 2` is false; whether `'a'::citext = 'A'` is, only its type can say. */
function compareConstants(left: Side, right: Side, holds: Holds, { unknowns }: Scope): Test {
  const [a, b] = [left.folded!, right.folded!];
  if (a.text === null || b.text === null) return constantly(undefined);
  const sign = signOf(a, b);
  if (sign !== undefined) return constantly(holds(sign));
  const differ = a.type === 'text' && b.type === 'text';
  // Which of two texts is greater is a matter of collation.
  if (differ && holds(-1) === holds(1)) return constantly(holds(1));
  return unknowns.order(`${left.key} and ${right.key}`, 'free', holds);
}

function signOf(a: Folded, b: Folded): number | undefined {
  const [x, y] = [asNumber(a.text!), asNumber(b.text!)];
  const numbers = a.type === 'number' && b.type === 'number';
  if (x !== undefined && y !== undefined && (numbers || x === y)) return Math.sign(x - y);
  return a.text === b.text ? 0 : undefined;
}

function compareConstant(side: Side, constant: Folded, holds: Holds, scope: Scope): Test {
  if (constant.text === null) return constantly(undefined);
  const { key, offset, bounds, dependence } = side;
  if (constant.type === 'boolean') return compareBoolean(side, constant.text === 'true', holds, scope);
  const column = columnOf(side.node);
  if (column === 'tableoid' && namesTarget(constant.text, side)) return constantly(holds(0));
  // Places of rows begin at (0,1).
  if (column === 'ctid' && constant.text === '(0,0)') return constantly(holds(1));
  // A quoted number may be a text, and texts have an order of their own.
  const number = constant.type === 'text' ? undefined : asNumber(constant.text);
  if (number !== undefined) return scope.unknowns.place(key, dependence, number - offset, bounds, holds);
  const signs = constant.text === '' && constant.type === 'text' ? [0, 1] : [-1, 0, 1];
  return scope.unknowns.order(`${key} ${offset} and ${constant.text}`, dependence, holds, signs);
}

/** Through casts: `tableoid::regclass`. */
function columnOf(node: unknown): string | undefined {
  let inner = node;
  for (let cast = as(inner, 'TypeCast'); cast !== undefined; cast = as(inner, 'TypeCast')) inner = cast.arg;
  return names(as(inner, 'ColumnRef')?.fields)?.at(-1);
}

/** `tableoid = 'public.t'::regclass` is every row of t, its partitions aside. */
function namesTarget(written: string, { target }: Side): boolean {
  return target.relation !== null && written.split('.').at(-1)!.replaceAll('"', '') === target.relation.name;
}

/** `active = true` is `active`; `active IN (true, false)` is everybody. */
function compareBoolean(side: Side, value: boolean, holds: Holds, scope: Scope): Test {
  const [below, same, above] = [holds(-1), holds(0), holds(1)];
  // A condition that is compared with each item of a list would be tried as often, and lists in lists multiply.
  const often = scope.often === true && as(side.node, 'ColumnRef') === undefined;
  if (often || below !== above || below === same) {
    return scope.unknowns.order(`${side.key} and ${value}`, side.dependence, holds);
  }
  const test = scope.compile(side.node, { ...scope, target: side.target });
  return value === same ? test : not(test);
}

/** `a.id = b.id` is a join; `t.id = id` is the same column written twice, or else ambiguous. */
function sameColumn(a: Side, b: Side): boolean {
  if (a.target.inner || b.target.inner || a.offset !== b.offset) return false;
  const [left, right] = [names(as(a.node, 'ColumnRef')?.fields) ?? [], names(as(b.node, 'ColumnRef')?.fields) ?? []];
  return left.length > 0 && right.length > 0 && left.length !== right.length && left.at(-1) === right.at(-1);
}

/** Patterns that every text matches. */
const EVERYTHING: readonly (readonly [operators: RegExp, pattern: RegExp])[] = [
  [/^!?~~\*?$/, /^%+$/],
  [/^!?~\*?$/, /^\^?(?:\.\*)?\$?$/],
  [/^\^@$/, /^$/],
];

function matchesAll(operator: string, left: Side, right: Side, scope: Scope): Test {
  const { unknowns } = scope;
  const similar = as(right.node, 'FuncCall');
  const isSimilar = names(similar?.funcname)?.at(-1) === 'similar_to_escape';
  const folded = isSimilar ? sideOf(list(similar?.args)[0], scope).folded : right.folded;
  const pattern = folded?.text ?? 'x';
  const negated = operator.startsWith('!');
  const all = isSimilar
    ? /^%+$/.test(pattern)
    : EVERYTHING.some(([operators, everything]) => operators.test(operator) && everything.test(pattern));
  // Every text is like itself, but for backslashes.
  const itself = /^!?~~\*?$/.test(operator) && left.key === right.key;
  if (all || itself) return constantly(!negated);
  const plain = negated ? operator.slice(1) : operator;
  const test = unknowns.either(`${plain} ${left.key} ${right.key}`, both(left, right));
  return negated ? not(test) : test;
}
