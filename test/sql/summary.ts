import { loadParser } from '../../gateway/analysis/parser.ts';
import { analyzeTree } from '../../gateway/sql/analyze.ts';
import { isBuiltinOperator, isBuiltinType } from '../../gateway/sql/builtin.ts';
import type { RawReach, RawRelation, RawStatement, SessionEffect, SettingChange } from '../../gateway/sql/facts.ts';

const parser = await loadParser();

/** Facts of each statement of a text. */
export function factsOf(sql: string): RawStatement[] {
  return analyzeTree(parser.parse(sql), Buffer.from(sql));
}

/** Everything that is known of a text, in one line that reads like a sentence; statements are separated by `;`. */
export function summaryOf(sql: string): string {
  return factsOf(sql).map(summary).join('; ');
}

function summary(s: RawStatement): string {
  const parts = [
    `${s.primary} {${s.classes.toSorted().join(' ')}}`,
    ...s.relations.map(relation).toSorted(),
    ...[
      ...s.functions.map((f) => `${name(f)}/${f.args}`),
      ...new Set(s.operators.filter(isOwn(isBuiltinOperator)).map((o) => `${name(o)} (operator)`)),
    ].toSorted(),
    ...s.types.filter((type) => type.ifAny !== true && isOwn(isBuiltinType)(type)).map((type) => `type ${name(type)}`),
    ...s.settings.map(setting),
    ...s.effects.map(effect),
    ...(s.asks ? ['asks'] : []),
    ...(s.makes?.unforeseen == null ? [] : [`unforeseen ${s.makes.unforeseen}`]),
    ...(s.makes?.cascades ?? []).map((name) => `cascades from ${name}`),
    ...(s.makes?.temporary ?? []).map((name) => `temporary ${name}`),
    ...(s.makes?.functions ?? []).map((name) => `makes ${name}`),
    ...(s.makes?.callsLater === true ? ['calls later'] : []),
    ...(s.minMajor > 14 ? [`since ${s.minMajor}`] : []),
    ...s.unknown.map((what) => `unknown: ${what}`),
    ...(s.nesting > 1 ? [`nested ${s.nesting}`] : []),
    `${s.readOnly ? 'reads' : 'writes'}${s.returnsRows ? ', rows' : ''}`,
  ];
  return parts.join(' | ');
}

/** Not the server's own, or written as if it were not. */
function isOwn(isBuiltin: (name: string) => boolean) {
  return ({ schema, name }: { readonly schema: string | null; readonly name: string }) =>
    !(schema === null ? isBuiltin(name) : /^(?:pg_catalog|information_schema)$/.test(schema));
}

function name(of: { readonly schema: string | null; readonly name: string }): string {
  return of.schema === null ? of.name : `${of.schema}.${of.name}`;
}

function relation(r: RawRelation): string {
  const verb = r.creates ? `${r.verb} new` : r.verb;
  const marks = `${r.only === true ? ' only' : ''}${r.cascade === true ? ' cascade' : ''}`;
  const writes = r.writes.length === 0 ? '' : ` sets ${r.writes.toSorted().join(' ')}`;
  const reads = r.reads.length === 0 ? '' : ` reads ${r.reads.toSorted().join(' ')}`;
  const rest = `${marks}${writes}${reads}${r.door === 'Statement' ? '' : ` (${r.door})`}`;
  if (r.reach === null) return `${verb} ${name(r)}${rest}`;
  const equated = given(r.reach);
  const open = (r.reach.openIfNotNull ?? []).map((columns) => ` unless null ${columns.join(' ')}`).join(' or');
  const own = (r.reach.ifOwn ?? []).map((one) => ` bound if own ${one.column}${given(one)}`);
  return `${r.reach.values ? 'Values' : r.reach.floor} ${verb} ${name(r)}${equated}${open}${own.join()}${rest}`;
}

/** Columns that constants and parameters are equated with. */
function given({ equated, bound = [] }: Pick<RawReach, 'equated' | 'bound'>): string {
  const all = [...equated, ...bound.map(({ column }) => column)];
  return all.length === 0 ? '' : ` by ${all.toSorted().join(' ')}`;
}

function setting(s: SettingChange): string {
  switch (s.kind) {
    case 'Set':
      return `${s.local ? 'set local' : 'set'} ${s.name} = ${s.value ?? '?'}`;
    case 'Reset':
      return `reset ${s.name}`;
    case 'ResetAll':
      return 'reset all';
    case 'Show':
      return `show ${s.name}`;
  }
}

function effect(e: SessionEffect): string {
  switch (e.kind) {
    case 'Prepare':
    case 'Declare':
      return `${e.kind} ${e.name}${e.kind === 'Declare' && e.hold ? ' held' : ''}: (${summary(e.inner)})`;
    case 'Transaction':
      return e.op;
    case 'Discard':
      return `Discard ${e.what}`;
    default:
      return `${e.kind} ${e.name ?? 'all'}`;
  }
}
