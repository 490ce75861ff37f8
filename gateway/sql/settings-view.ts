import { as, constant, type Fields, list, names, text, unwrap } from './ast.ts';
import type { Findings } from './findings.ts';

/**
 * `SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'x'`, as pg_dump has it: sets x and nothing else,
 * if that view is the server's own (see `resolve.ts`). The setting's name by the call; null: there is no such call.
 */
export function settingsNamed(query: Fields): ReadonlyMap<Fields, string> | null {
  const [item, ...others] = list(query.fromClause);
  const view = as(item, 'RangeVar');
  if (view?.relname !== 'pg_settings' || others.length > 0 || query.withClause !== undefined) return null;
  const alias = text((view.alias as Fields | undefined)?.aliasname) || 'pg_settings';
  const name = givenName(query.whereClause, alias);
  if (name === null) return null;
  const calls = list(query.targetList)
    .map((target) => as(as(target, 'ResTarget')?.val, 'FuncCall'))
    .filter((call) => call !== undefined && isSetConfig(call) && isName(list(call.args)[0], alias));
  return calls.length === 0 ? null : new Map(calls.map((call) => [call!, name]));
}

export function noteSettings(query: Fields, hides: (name: string) => boolean, found: Findings): void {
  const named = settingsNamed(query);
  if (named === null) return;
  const view = as(list(query.fromClause)[0], 'RangeVar')!;
  const schema = typeof view.schemaname === 'string' ? view.schemaname : null;
  if (schema === null && hides('pg_settings')) return;
  for (const [call, name] of named) found.settingsNamed.set(call, name);
  found.settingsViews.push({ schema, name: 'pg_settings' });
}

function isSetConfig({ funcname, agg_filter, over }: Fields): boolean {
  const name = names(funcname)?.join('.');
  return (name === 'set_config' || name === 'pg_catalog.set_config') && agg_filter === undefined && over === undefined;
}

/** The column `name` of the view. */
function isName(node: unknown, alias: string): boolean {
  const [column, qualifier = alias, ...more] = (names(as(node, 'ColumnRef')?.fields) ?? []).toReversed();
  return column === 'name' && qualifier === alias && more.length === 0;
}

/** What a conjunct says that `name` is. */
function givenName(where: unknown, alias: string): string | null {
  const typed = unwrap(where);
  const all = typed?.type === 'BoolExpr' && typed.fields.boolop === 'AND_EXPR' ? list(typed.fields.args) : [where];
  for (const one of all) {
    const comparison = as(one, 'A_Expr');
    const plain =
      comparison?.kind === 'AEXPR_OP' && /^(?:pg_catalog\.)?=$/.test(names(comparison.name)?.join('.') ?? '');
    if (!plain || !isName(comparison?.lexpr, alias) || as(comparison?.rexpr, 'A_Const') === undefined) continue;
    const name = constant(comparison?.rexpr);
    if (typeof name === 'string') return name;
  }
  return null;
}
