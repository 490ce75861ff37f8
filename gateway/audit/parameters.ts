import { isUtf8 } from 'node:buffer';
import { decodeBinary } from './binary.ts';
import type { BoundParameter } from './record.ts';

/** Bytes kept of one value. */
export const VALUE_BYTES = 4096;
/** Parameters rendered of one statement. */
export const PARAMETERS = 1000;
/** Characters of rendered parameters after which the rest is only counted. */
const TOTAL_CHARACTERS = 262_144;

/** Cuts UTF-8 at a character's boundary. */
function cut(value: Buffer): string {
  let end = VALUE_BYTES;
  while (end > 0 && ((value[end] ?? 0) & 0xc0) === 0x80) {
    end--;
  }
  return value.toString('utf8', 0, end);
}

function bytesOf(parameter: BoundParameter, value: Buffer): string {
  const kept = value.subarray(0, VALUE_BYTES).toString('base64');
  return `{"base64":"${kept}","bytes":${value.length},"type":${parameter.type}}`;
}

/** Longest value that is looked through byte by byte: most are numbers and short words. */
const SHORT_BYTES = 32;

/** Nothing in it but printable ASCII that JSON does not escape. */
function isPlain(value: Buffer): boolean {
  for (const byte of value) {
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
}

function renderText(parameter: BoundParameter, value: Buffer): string {
  if (value.length <= SHORT_BYTES && isPlain(value)) {
    return `"${value.toString('latin1')}"`;
  }
  if (!isUtf8(value)) {
    return bytesOf(parameter, value);
  }
  return value.length <= VALUE_BYTES
    ? JSON.stringify(value.toString('utf8'))
    : `{"bytes":${value.length},"text":${JSON.stringify(cut(value))}}`;
}

/** Types whose binary form is their text: cut like text where they are long. */
const TEXTUAL: ReadonlySet<number> = new Set([18, 19, 25, 114, 705, 1042, 1043]);

function renderOne(parameter: BoundParameter): string {
  const value = parameter.value;
  if (value === null) {
    return 'null';
  }
  if (parameter.format === 'text' || TEXTUAL.has(parameter.type)) {
    return renderText(parameter, value);
  }
  if (parameter.type === 3802 && value[0] === 1) {
    return renderText(parameter, value.subarray(1));
  }
  if (value.length > VALUE_BYTES) {
    return bytesOf(parameter, value);
  }
  const decoded = decodeBinary(parameter.type, value);
  return decoded === undefined ? bytesOf(parameter, value) : JSON.stringify(decoded);
}

/**
 * The parameters as a canonical JSON array, rendered from views that die with the call. A value is a string as
 * PostgreSQL would show it, an array of such, null, `{"bytes","text"}` (text cut) or `{"base64","bytes","type"}` (not
 * UTF-8, or a type that is not known here). Shorter than `parameters` where the bounds were reached.
 */
export function renderParameters(parameters: readonly BoundParameter[]): string {
  let rendered = '';
  const count = Math.min(parameters.length, PARAMETERS);
  for (let i = 0; i < count && rendered.length < TOTAL_CHARACTERS; i++) {
    rendered += `${i === 0 ? '' : ','}${renderOne(parameters[i] as BoundParameter)}`;
  }
  return `[${rendered}]`;
}
