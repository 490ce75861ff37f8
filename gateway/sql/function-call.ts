import { reviewedFunction } from './builtin.ts';
import { BUILTIN_KINDS } from './builtin-kinds.ts';
import type { RawStatement, SettingChange } from './facts.ts';
import type { KnownFunction } from './resolve-environment.ts';

/** A FunctionCall message: the function is named by its OID, its arguments are in a form that only the server reads. */
export function analyzeFunctionCall(fn: KnownFunction, parameters: number): RawStatement {
  const kind = fn.builtin ? reviewedFunction(fn)?.kind : undefined;
  const meaning = kind === undefined ? null : BUILTIN_KINDS[kind];
  const classes = ['Function', ...fn.classes, ...(meaning?.cls == null ? [] : [meaning.cls])] as const;
  const unknown = kind === 'Settings' ? ['set_config of a setting whose name is not in the statement'] : [];
  const settings: SettingChange[] = fn.builtin && fn.name === 'current_setting' ? [{ kind: 'Show', name: 'all' }] : [];
  return {
    primary: 'Function',
    classes: unknown.length === 0 ? classes : [...classes, 'Unknown'],
    relations: [],
    functions: [{ schema: fn.schema, name: fn.name, args: parameters, literals: [], oid: fn.oid }],
    attributes: [],
    operators: [],
    types: [],
    settings,
    effects: [],
    asks: true,
    readOnly: meaning !== null && !meaning.writes && kind !== 'Settings',
    returnsRows: true,
    minMajor: 14,
    nesting: 0,
    countsRows: false,
    folds: false,
    unknown,
  };
}
