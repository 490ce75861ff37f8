import { as, type Fields, list, names, unwrap } from './ast.ts';
import { asNumber, type Folded, fold } from './fold.ts';
import { fingerprint, mentions, type Target, twinName } from './target.ts';
import { type Bounds, type Dependence, type Test, UNLIMITED, type Unknowns } from './truth.ts';

/** Where a condition stands. */
export interface Scope {
  readonly target: Target;
  readonly unknowns: Unknowns;
  /** What stands here is compared more than once. */
  readonly often?: boolean;
  /** How deep it is nested. */
  readonly depth: number;
  /** Makes a condition of an expression. */
  readonly compile: (node: unknown, scope: Scope) => Test;
}

/** Expressions nested deeper than this are not taken apart. */
const MAX_DEPTH = 16;

/** One side of a comparison: a constant, or a thing and how far beyond it. */
export interface Side {
  readonly node: unknown;
  readonly target: Target;
  readonly folded: Folded | undefined;
  /** Of the thing. */
  readonly key: string;
  readonly offset: number;
  readonly bounds: Bounds;
  /** Things that it is never below, or never above. */
  readonly atLeast: readonly string[];
  readonly atMost: readonly string[];
  readonly dependence: Dependence;
}

export function sideOf(written: unknown, scope: Scope): Side {
  const { target } = scope;
  const { node, offset } = simplified(written, scope, 0);
  const folded = fold(node);
  const plain = { node, target, folded, offset, bounds: UNLIMITED, atLeast: [], atMost: [] };
  if (folded !== undefined) return { ...plain, key: `constant ${folded.text}`, dependence: 'free' };
  return { ...plain, ...keyOf(node, scope), ...limitsOf(node, scope) };
}

/** `random() <> random()` compares two things (test: "what differs each time proves nothing"). */
export function keyOf(node: unknown, { target, unknowns }: Scope): { key: string; dependence: Dependence } {
  const { key, steady, parameter, own } = fingerprint(node, target);
  const dependence = parameter || own || mentions(node, target) ? 'row' : 'free';
  return { key: steady ? key : unknowns.unlike(key), dependence };
}

/** A thing, and how far beyond it. */
interface Shifted {
  readonly node: unknown;
  readonly offset: number;
}

/** Casts that change no value that was equal to another, or unlike it. */
const WIDENING = /^(?:int8|numeric|text|varchar)$/;

/** `id + 0`, `1 * id`, `name || ''`, `id::bigint`, `coalesce(id, 0)`, `(SELECT id)`: id, NULLs aside. */
function simplified(node: unknown, scope: Scope, depth: number): Shifted {
  const typed = unwrap(node);
  const asIs: Shifted = { node, offset: 0 };
  if (typed === undefined || depth > MAX_DEPTH) return asIs;
  const { type, fields } = typed;
  switch (type) {
    case 'TypeCast': {
      const { names: parts, typmods, arrayBounds } = fields.typeName as Fields;
      const plain = typmods === undefined && arrayBounds === undefined && WIDENING.test(names(parts)?.at(-1) ?? '');
      return plain && fold(fields.arg) === undefined ? simplified(fields.arg, scope, depth + 1) : asIs;
    }
    case 'CoalesceExpr': {
      const [first] = list(fields.args);
      return as(first, 'ColumnRef') === undefined ? asIs : { node: first, offset: 0 };
    }
    case 'SubLink': {
      const query = as(fields.subselect, 'SelectStmt');
      const alone = fields.subLinkType === 'EXPR_SUBLINK' && query !== undefined && isOneValue(query);
      return alone ? simplified(as(list(query.targetList)[0], 'ResTarget')?.val, scope, depth + 1) : asIs;
    }
    case 'A_Expr':
      return fields.kind === 'AEXPR_OP' ? simplifiedOperator(node, fields, scope, depth) : asIs;
    default:
      return asIs;
  }
}

/** `SELECT x`, and nothing else. */
function isOneValue(query: Fields): boolean {
  return list(query.targetList).length === 1 && Object.keys(query).every((field) => ONE_VALUE.has(field));
}

const ONE_VALUE = new Set(['targetList', 'limitOption', 'op']);

/** What an operator leaves of its sides when one of them is a constant, or both are the same. */
function simplifiedOperator(node: unknown, { name, lexpr, rexpr }: Fields, scope: Scope, depth: number): Shifted {
  const asIs: Shifted = { node, offset: 0 };
  if (lexpr === undefined || fold(node) !== undefined) return asIs;
  const operator = names(name)?.at(-1) ?? '';
  const [left, right] = [constantOf(lexpr), constantOf(rexpr)];
  if (operator === '-' && isSame(lexpr, rexpr, scope)) return { node: ZERO, offset: 0 };
  if (operator === '*' && (left === 0 || right === 0)) return { node: ZERO, offset: 0 };
  const [after, before] = [shiftBy(operator, right), operator === '-' ? undefined : shiftBy(operator, left)];
  const [side, shift] = after === undefined ? [rexpr, before] : [lexpr, after];
  if (shift === undefined) return asIs;
  const inner = simplified(side, scope, depth + 1);
  return { node: inner.node, offset: inner.offset + shift };
}

function constantOf(node: unknown): string | number | undefined {
  const { text, type } = fold(node) ?? { text: null, type: null };
  if (text === null) return undefined;
  return type === 'number' ? asNumber(text) : text;
}

/** How far a thing moves by `+ 5`, `- 5`, `* 1` or `|| ''`. */
function shiftBy(operator: string, constant: string | number | undefined): number | undefined {
  if (operator === '||') return constant === '' ? 0 : undefined;
  if (typeof constant !== 'number') return undefined;
  if (operator === '*') return constant === 1 ? 0 : undefined;
  return operator === '+' ? constant : operator === '-' ? -constant : undefined;
}

const ZERO = { A_Const: { ival: {} } };

function isSame(a: unknown, b: unknown, { target }: Scope): boolean {
  const [one, other] = [fingerprint(a, target), fingerprint(b, target)];
  return one.steady && one.key === other.key;
}

/** Functions whose result is never below a number. */
const LEAST: Readonly<Record<string, number>> = {
  length: 0,
  char_length: 0,
  character_length: 0,
  octet_length: 0,
  bit_length: 0,
  cardinality: 0,
  abs: 0,
  count: 0,
};

type Limits = Partial<Pick<Side, 'bounds' | 'atLeast' | 'atMost'>>;

function limitsOf(node: unknown, scope: Scope): Limits {
  const typed = unwrap(node);
  const fields = typed?.fields ?? {};
  switch (typed?.type) {
    case 'FuncCall': {
      const name = names(fields.funcname)?.at(-1) ?? '';
      const keys = name === 'abs' ? list(fields.args).map((arg) => keyOf(arg, scope).key) : [];
      return { ...atLeast(LEAST[name]), atLeast: keys };
    }
    case 'MinMaxExpr':
      return extreme(fields.op === 'IS_GREATEST', list(fields.args), scope);
    case 'SubLink':
      return fields.subLinkType === 'EXPR_SUBLINK' ? aggregate(as(fields.subselect, 'SelectStmt'), scope) : {};
    case 'A_Expr':
      return operatorLimits(fields, scope);
    case 'ColumnRef':
      return names(fields.fields)?.at(-1) === 'tableoid' ? atLeast(1) : {};
    default:
      return {};
  }
}

function atLeast(min: number | undefined): Limits {
  return min === undefined ? {} : { bounds: { ...UNLIMITED, min } };
}

/** `greatest(id, 5)` is never below id, nor below 5. */
function extreme(greatest: boolean, args: readonly unknown[], scope: Scope): Limits {
  const constants = args.flatMap((arg) => {
    const { text: value, type } = fold(arg) ?? { text: null, type: null };
    return type === 'number' && value !== null ? [Number(value)] : [];
  });
  const keys = args.filter((arg) => as(arg, 'ColumnRef') !== undefined).map((arg) => keyOf(arg, scope).key);
  return greatest
    ? { bounds: { ...UNLIMITED, min: Math.max(...constants) }, atLeast: keys }
    : { bounds: { ...UNLIMITED, max: Math.min(...constants) }, atMost: keys };
}

/** `(SELECT count(*) …)` is never negative; `(SELECT max(id) FROM t)` is never below the id of a row of t. */
function aggregate(query: Fields | undefined, scope: Scope): Limits {
  const [column, ...more] = list(query?.targetList);
  const call = as(as(column, 'ResTarget')?.val, 'FuncCall');
  const name = names(call?.funcname)?.at(-1);
  if (query === undefined || call === undefined || more.length > 0 || call.over !== undefined) return {};
  if (name === 'count') return atLeast(0);
  const from = list(query.fromClause);
  const plain = Object.keys(query).every((field) => ONE_VALUE.has(field) || field === 'fromClause');
  const [item] = from;
  if (!plain || call.agg_filter !== undefined || from.length !== 1 || (name !== 'max' && name !== 'min')) return {};
  const alias = twinName(item, scope.target);
  if (alias === null) return {};
  const target = { ...scope.target, alone: true, inner: true, twins: new Set([...scope.target.twins, alias]) };
  const { key } = keyOf(list(call.args)[0], { ...scope, target });
  return name === 'max' ? { atLeast: [key] } : { atMost: [key] };
}

function operatorLimits({ name, lexpr, rexpr }: Fields, scope: Scope): Limits {
  const { text: value, type } = fold(rexpr) ?? { text: null, type: null };
  const number = type === 'number' && value !== null ? Math.abs(Number(value)) : Number.NaN;
  switch (names(name)?.at(-1)) {
    case '*':
      return lexpr !== undefined && isSame(lexpr, rexpr, scope) ? atLeast(0) : {};
    case '^':
      return number % 2 === 0 ? atLeast(0) : {};
    case '%': {
      // What is left is smaller than what was divided by.
      const max = number * (1 - Number.EPSILON);
      return Number.isNaN(number) ? {} : { bounds: { min: -max, max } };
    }
    default:
      return {};
  }
}
