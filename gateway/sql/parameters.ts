import { as, type Fields, isFixed, names } from './ast.ts';
import type { Findings } from './findings.ts';

/** A parameter that stands somewhere, or (`times` -1) where it counts as if it did not. */
export function addParameter(found: Findings, number: number, compared: boolean, times = 1): void {
  const known = found.parameters.get(number) ?? { places: 0, compared: 0 };
  if (compared) known.compared += times;
  else known.places += times;
  found.parameters.set(number, known);
}

/** Where a parameter stands beside something that says what it is, or that it gets its type from as a key would. */
export function noteParameter(type: string, fields: Fields, found: Findings): void {
  if (type === 'TypeCast') {
    // A cast says what it is, to whoever meets it first.
    if (isFixed({ TypeCast: fields })) forget(fields.arg, found);
    return;
  }
  // `id = $1`, of whatever relation the column is.
  const { kind, name, lexpr, rexpr } = fields;
  if (kind !== 'AEXPR_OP' || names(name)?.join() !== '=') return;
  for (const [one, other] of [
    [lexpr, rexpr],
    [rexpr, lexpr],
  ]) {
    if (as(other, 'ColumnRef') !== undefined && forget(one, found)) addParameter(found, numberOf(one), true);
  }
}

function forget(node: unknown, found: Findings): boolean {
  if (as(node, 'ParamRef') === undefined) return false;
  addParameter(found, numberOf(node), false, -1);
  return true;
}

function numberOf(node: unknown): number {
  return Number(as(node, 'ParamRef')?.number ?? 0);
}
