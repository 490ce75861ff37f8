import { parseArgs } from 'node:util';
import { didYouMean } from '../operator/api/closest.ts';

/** A call that is wrong; the message says how. */
export class UsageError extends Error {}

/** Something that went wrong and that the message explains in full. */
export class CommandError extends Error {}

interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
}

export type Options = Readonly<Record<string, Option>>;
/** Every option as it was given: several times, once, or not at all. */
export type Values = ReadonlyMap<string, readonly string[]>;

export interface Call {
  readonly values: Values;
  readonly positionals: readonly string[];
}

/** Reads a call; throws a UsageError that names what is wrong with it, and what may have been meant. */
export function readCall(args: readonly string[], options: Options): Call {
  const { tokens } = parseArgs({ args: [...args], options: { ...options }, strict: false, tokens: true });
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options[token.name];
    if (option === undefined) throw new UsageError(`unknown option ${token.rawName}${suggestion(token.name, options)}`);
    const given = values.get(token.name) ?? [];
    if (option.type === 'string' && (token.value === undefined || token.value === ''))
      throw new UsageError(`option ${token.rawName} needs a value`);
    if (option.type === 'boolean' && token.value !== undefined)
      throw new UsageError(`option ${token.rawName} takes no value`);
    if (given.length > 0 && option.multiple !== true)
      throw new UsageError(`option ${token.rawName} can be given once only`);
    values.set(token.name, [...given, token.value ?? '']);
  }
  return { values, positionals };
}

function suggestion(name: string, options: Options): string {
  return didYouMean(name, Object.keys(options)).replace('mean ', 'mean --');
}

export function one(values: Values, name: string): string | null {
  return values.get(name)?.[0] ?? null;
}

export function all(values: Values, name: string): readonly string[] {
  return values.get(name) ?? [];
}

export function readPort(text: string, option: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new UsageError(`--${option} ${text}: that is no port`);
  return Number(text);
}

export function readOutput(values: Values): 'text' | 'json' {
  const output = one(values, 'output') ?? 'text';
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output ${output}: text or json`);
  return output;
}

export function noMore(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`unexpected argument "${positionals[0]}"`);
}

/** Prints every problem; the exit code for bad input. */
export function report(errors: readonly string[]): number {
  for (const error of errors) console.error(error);
  console.error(`${errors.length} problem${errors.length === 1 ? '' : 's'}`);
  return 1;
}
