import fc from 'fast-check';

/** A piece of a statement that is written in more than one way without meaning anything else. */
export type Token =
  | { readonly kind: 'word' | 'name'; readonly text: string }
  /** Literals, operators, punctuation: as they are. */
  | { readonly kind: 'plain'; readonly text: string };

type Tokens = readonly Token[];
type Gen = fc.Arbitrary<Tokens>;

const words = (text: string): Tokens => text.split(' ').map((word) => ({ kind: 'word', text: word }) as const);
const plain = (text: string): Tokens => [{ kind: 'plain', text }];
const name = (text: string): Tokens => [{ kind: 'name', text }];

/** Tokens one after the other; strings of lower-case letters and spaces are keywords. */
function seq(...parts: readonly (string | Gen)[]): Gen {
  const gens = parts.map((part) =>
    typeof part === 'string' ? fc.constant(/^[a-z ]+$/.test(part) ? words(part) : plain(part)) : part,
  );
  return fc.tuple(...gens).map((lists) => lists.flat());
}

function separated(item: Gen, by: string, max: number): Gen {
  return fc
    .array(item, { minLength: 1, maxLength: max })
    .map((items) => items.flatMap((tokens, i) => (i === 0 ? tokens : [...plain(by), ...tokens])));
}

const optional = (gen: Gen): Gen => fc.option(gen, { nil: [] });

const TABLES = ['t', 's', 'u', 'orders'];
const COLUMNS = ['id', 'x', 'name', 'total'];
const FUNCTIONS = ['lower', 'abs', 'my_function', 'now', 'pg_sleep', 'nextval', 'coalesce_all'];

const table: Gen = fc.oneof(
  fc.constantFrom(...TABLES).map(name),
  fc.constantFrom(...TABLES).map((of) => [...name('app'), ...plain('.'), ...name(of)]),
);
const column: Gen = fc.oneof(
  fc.constantFrom(...COLUMNS).map(name),
  fc
    .tuple(fc.constantFrom(...TABLES), fc.constantFrom(...COLUMNS))
    .map(([of, own]) => [...name(of), ...plain('.'), ...name(own)]),
);
const literal: Gen = fc.oneof(
  fc.constantFrom('1', '5', '2.5', "'a'", "'%'", "''", '$1', "'it''s; drop table t'", "'/* -- */'").map(plain),
  fc.constantFrom('true', 'false', 'null').map(words),
);
const comparison = fc.constantFrom('=', '<>', '<', '>=', '||', '+').map(plain);

const { query, condition } = fc.letrec<{ query: Tokens; condition: Tokens; value: Tokens; item: Tokens }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    column,
    literal,
    seq(fc.constantFrom(...FUNCTIONS).map(name), '(', tie('value'), ')'),
    seq('case when', tie('condition'), 'then', tie('value'), 'else', tie('value'), 'end'),
    seq('(', tie('query'), ')'),
    seq('(', tie('value'), comparison, tie('value'), ')'),
    seq('cast', '(', tie('value'), 'as', fc.constantFrom('int', 'text').map(name), ')'),
  ),
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    seq(column, '=', literal),
    seq(tie('value'), fc.constantFrom('=', '<>', '<', '>=').map(plain), tie('value')),
    seq(column, 'is not null'),
    seq(column, 'in', '(', separated(literal, ',', 3), ')'),
    seq(column, 'between', literal, 'and', literal),
    seq('exists', '(', tie('query'), ')'),
    seq(column, 'in', '(', tie('query'), ')'),
    seq('(', tie('condition'), 'and', tie('condition'), ')'),
    seq('(', tie('condition'), 'or', tie('condition'), ')'),
    seq('not', '(', tie('condition'), ')'),
    fc.constant(words('true')),
  ),
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    table,
    seq(table, 'as', name_('a')),
    seq('(', tie('query'), ')', 'as', name_('q')),
    seq(table, 'join', table, 'as', name_('j'), 'on', tie('condition')),
    seq('only', table),
  ),
  query: seq(
    optional(seq('with', name_('w'), 'as', '(', tie('query'), ')')),
    'select',
    separated(fc.oneof(column, tie('value'), fc.constant(plain('*'))), ',', 3),
    optional(
      seq(
        'from',
        separated(tie('item'), ',', 2),
        optional(seq('where', tie('condition'))),
        optional(fc.constant(words('for update'))),
      ),
    ),
  ),
}));

function name_(text: string): Gen {
  return fc.constant(name(text));
}

const where = optional(seq('where', condition));
const returning = optional(seq('returning', fc.constant(plain('*'))));

const insert = seq(
  'insert into',
  table,
  '(',
  name_('id'),
  ')',
  fc.oneof(seq('values', '(', literal, ')'), query),
  returning,
);
const update = seq(
  'update',
  table,
  'set',
  name_('x'),
  '=',
  literal,
  optional(seq('from', table, 'as', name_('f'))),
  where,
  returning,
);
const remove = seq('delete from', table, optional(seq('using', table, 'as', name_('f'))), where, returning);

/** SELECT. */
export const queries: Gen = query;
/** SELECT, INSERT, UPDATE, DELETE. */
export const statements: Gen = fc.oneof(query, insert, update, remove);

/** In one line. */
export function plainText(tokens: Tokens): string {
  return tokens.map(({ text }) => text).join(' ');
}

/** How tokens are written: what stands between them, how keywords look, whether names are quoted. */
export interface Style {
  readonly between: readonly string[];
  readonly upper: readonly boolean[];
  readonly quoted: readonly boolean[];
}

export const styles: fc.Arbitrary<Style> = fc.record({
  between: fc.array(
    fc.constantFrom(
      ' ',
      '\n',
      '\t',
      '  ',
      '\r\n',
      '/**/',
      '/* delete from t; */',
      ' -- select\n',
      '/* /* nested */ */',
      '\f',
    ),
    { minLength: 1, maxLength: 7 },
  ),
  upper: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
  quoted: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
});

export function styledText(tokens: Tokens, style: Style): string {
  return tokens.map((token, i) => `${at(style.between, i)}${styled(token, i, style)}`).join('');
}

function styled({ kind, text }: Token, i: number, { upper, quoted }: Style): string {
  if (kind === 'plain') return text;
  // Names of types are special words when they are not quoted.
  if (kind === 'name' && at(quoted, i) && text !== 'int' && text !== 'text') return `"${text}"`;
  return at(upper, i) ? text.toUpperCase() : text;
}

function at<T>(items: readonly T[], i: number): T {
  return items[i % items.length]!;
}
