import { BUILTIN_KINDS, type BuiltinKind } from '../gateway/sql/builtin-kinds.ts';
import type { PostgresMajor } from '../test/kit/postgres-install.ts';
import type { ServerFunction, ServerObjects } from './builtin-machine.ts';
import { kindOf } from './builtin-rules.ts';

/** A function of any version: what servers say, and what people say it does. */
export interface TableFunction extends Omit<ServerFunction, 'kind'> {
  readonly prokind: ServerFunction['kind'];
  /** `name(types)`. */
  readonly signature: string;
  readonly kind: BuiltinKind;
  readonly letter: string;
  readonly majors: readonly PostgresMajor[];
}

const ORDER = 'isv';

/** The functions of all versions, each once, of which the least that any version promises counts. */
export function joinFunctions(servers: ReadonlyMap<PostgresMajor, ServerObjects>): TableFunction[] {
  const found = new Map<string, ServerFunction & { majors: PostgresMajor[] }>();
  for (const [major, { functions }] of servers) {
    for (const fn of functions) {
      const key = `${fn.schema}.${signatureOf(fn)}`;
      const before = found.get(key);
      const weaker = before !== undefined && ORDER.indexOf(before.volatility) > ORDER.indexOf(fn.volatility);
      const volatility = weaker ? before.volatility : fn.volatility;
      found.set(key, { ...fn, volatility, majors: [...(before?.majors ?? []), major] });
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { kind: prokind, ...fn }]) => {
      const { name, volatility } = fn;
      const signature = signatureOf(fn);
      const kind = kindOf({ name, volatility, uncallable: fn.args.includes('internal') }, signature);
      return { ...fn, prokind, signature, kind, letter: BUILTIN_KINDS[kind].letter };
    });
}

export function signatureOf({ name, args }: { readonly name: string; readonly args: readonly string[] }): string {
  return `${name}(${args.join(',')})`;
}

/** Every object in a line of its own: what it is, which versions have it, what it does. */
export function tableLines(
  functions: readonly TableFunction[],
  servers: ReadonlyMap<PostgresMajor, ServerObjects>,
): string[] {
  const kinds = new Map(functions.map((fn) => [fn.signature, fn.kind]));
  return [
    ...functions.map((fn) => {
      const machine = `${fn.prokind}${fn.volatility}${fn.leakproof ? 'l' : ''}`;
      return ['function', `${fn.schema}.${fn.signature}`, span(fn.majors), fn.kind, machine, oneLine(fn.source)].join(
        '\t',
      );
    }),
    ...others(servers, (of) => objectLines(of, kinds)),
  ];
}

/** Operators, types and casts of one server, each with the functions that it is, and what those do. */
export function objectLines(of: ServerObjects, kinds: ReadonlyMap<string, BuiltinKind>): string[] {
  const kind = (calls: string) => kinds.get(calls) ?? '-';
  return [
    ...of.operators.map(
      ({ name, left, right, calls }) => `operator\t${name}(${left},${right})\t${kind(calls)}\t${calls}`,
    ),
    ...of.types.map(({ name, calls }) => `type\t${name}\t${calls.map(kind).join(' ')}\t${calls.join(' ')}`),
    ...of.casts.map(
      ({ source, target, context, calls }) => `cast\t${source} ${target}\t${kind(calls)}\t${context} ${calls}`,
    ),
  ];
}

function others(
  servers: ReadonlyMap<PostgresMajor, ServerObjects>,
  linesOf: (of: ServerObjects) => readonly string[],
): string[] {
  const found = new Map<string, PostgresMajor[]>();
  for (const [major, objects] of servers)
    for (const line of linesOf(objects)) found.set(line, [...(found.get(line) ?? []), major]);
  return [...found].map(([line, majors]) => `${line}\t${span(majors)}`).sort();
}

function span(majors: readonly PostgresMajor[]): string {
  return majors.length === majors.at(-1)! - majors[0]! + 1 ? `${majors[0]}-${majors.at(-1)}` : majors.join(',');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
