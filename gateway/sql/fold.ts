import { constant, type Fields, list, names, unwrap } from './ast.ts';

/** Expressions nested deeper than this are not taken apart. */
const MAX_DEPTH = 16;

/** A constant with what may be said of it. */
export interface Folded {
  /** null: NULL. */
  readonly text: string | null;
  /** As what it is surely compared; null: not known, it is cast to a type with an equality of its own. */
  readonly type: 'number' | 'text' | 'boolean' | null;
}

const NUMBERS = /^(?:int[248]|numeric)$/;

/** What an expression of constants comes to; undefined: that is not known. */
export function fold(node: unknown, depth = 0): Folded | undefined {
  const typed = unwrap(node);
  if (typed === undefined || depth > MAX_DEPTH) return undefined;
  const { type, fields } = typed;
  switch (type) {
    case 'A_Const': {
      const kind = fields.sval !== undefined ? 'text' : fields.boolval !== undefined ? 'boolean' : 'number';
      return { text: constant(node) ?? null, type: kind };
    }
    case 'TypeCast':
      return foldCast(fields, depth);
    case 'A_Expr':
      return fields.kind === 'AEXPR_OP' ? foldOperator(fields, depth) : undefined;
    case 'FuncCall':
      return foldCall(fields, depth);
    default:
      return undefined;
  }
}

function foldCast({ arg, typeName }: Fields, depth: number): Folded | undefined {
  const inner = fold(arg, depth + 1);
  if (inner === undefined) return undefined;
  const { names: parts, typmods, arrayBounds } = typeName as Fields;
  const name = names(parts)?.at(-1) ?? '';
  const plain = typmods === undefined && arrayBounds === undefined;
  if (plain && NUMBERS.test(name) && inner.type === 'number') return inner;
  return { text: inner.text, type: plain && name === 'text' && inner.type === 'text' ? 'text' : null };
}

function foldOperator({ name, lexpr, rexpr }: Fields, depth: number): Folded | undefined {
  const operator = names(name)?.at(-1);
  const right = fold(rexpr, depth + 1);
  const left = lexpr === undefined ? NOTHING : fold(lexpr, depth + 1);
  if (left === undefined || right === undefined || left.text === null || right.text === null) return undefined;
  if (operator === '||' && left.type === 'text' && right.type === 'text') {
    return { text: left.text + right.text, type: 'text' };
  }
  if (left.type !== 'number' || right.type !== 'number') return undefined;
  const [a, b] = [Number(left.text), Number(right.text)];
  const result = operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : Number.NaN;
  // Whole numbers only: what fractions come to is a matter of types.
  return [a, b, result].every(Number.isSafeInteger) ? { text: String(result), type: 'number' } : undefined;
}

const NOTHING: Folded = { text: '0', type: 'number' };

function foldCall({ funcname, args }: Fields, depth: number): Folded | undefined {
  if (names(funcname)?.at(-1) !== 'concat') return undefined;
  const parts = list(args).map((arg) => fold(arg, depth + 1));
  if (!parts.every((part) => part?.type === 'text')) return undefined;
  return { text: parts.map((part) => part!.text ?? '').join(''), type: 'text' };
}

export function asNumber(value: string): number | undefined {
  const number = Number(value);
  return value.trim() === '' || Number.isNaN(number) ? undefined : number;
}
