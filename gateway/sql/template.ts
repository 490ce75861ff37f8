import type { Place } from './facts.ts';

/**
 * A text without its literals. Texts with the same key have the same tokens but for the values of plain numbers and
 * plain strings, so they have the same tree but for the values of constants.
 */
export interface Template {
  /** The text, with a fixed literal of the same kind in the place of each. */
  readonly key: string;
  /** Where each literal starts and ends, in bytes: start, end, start, end, … */
  readonly cuts: readonly number[];
}

/** Longer texts seldom come twice. */
export const MAX_BYTES = 4096;

// What a byte may begin. Whatever is not listed is refused: control characters, backslashes, everything beyond ASCII.
const COPIED = 1;
const WORD = 2;
const DIGIT = 3;
const STRING = 4;
const NAME = 5;
const DOLLAR = 6;
const CAREFUL = 7;

const KINDS = new Uint8Array(256);
const mark = (characters: string, kind: number) => {
  for (const character of characters) KINDS[character.charCodeAt(0)] = kind;
};
mark(' \t\n\r()[],;:<>=+*%^|!~@#?', COPIED);
mark('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_', WORD);
mark('0123456789', DIGIT);
mark("'", STRING);
mark('"', NAME);
mark('$', DOLLAR);
mark('-/.&', CAREFUL);

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const SPACE = 0x20;
const $ = 0x24;

/** Bytes of the key that is being made: one text at a time. */
const scratch = Buffer.alloc(4 * MAX_BYTES);
let made = 0;

/** No text is below the empty one. */
const EMPTY_STRING = Buffer.from("''");
const STRING_OF_SOME = Buffer.from("'x'");
/** An int4, an int8 and a numeric: the server tells their types by their size. */
const INTEGER = Buffer.from('0');
const LONG = Buffer.from('3000000000');
const DECIMAL = Buffer.from('0.5');
const MAX_INTEGER = 2_147_483_647;
/** -2147483648 is an int4, 2147483648 is not. */
const NEITHER = 2_147_483_648;

/** null: the text holds something that is not surely read as the server reads it; it goes the slow way. */
export function templateOf(text: Buffer): Template | null {
  if (text.length > MAX_BYTES) return null;
  const cuts: number[] = [];
  made = 0;
  for (let at = 0; at < text.length; ) {
    at = token(text, at, cuts);
    if (at < 0) return null;
  }
  return { key: scratch.toString('latin1', 0, made), cuts };
}

/** Copies or cuts what starts here and returns where it ends; -1: refused. */
function token(text: Buffer, at: number, cuts: number[]): number {
  const byte = text[at]!;
  switch (KINDS[byte]) {
    case COPIED:
      scratch[made++] = byte;
      return at + 1;
    case WORD:
      return copyWord(text, at);
    case DIGIT:
      return cutNumber(text, at, cuts);
    case STRING:
      return cutString(text, at, cuts);
    case NAME:
      return copyName(text, at);
    case DOLLAR:
      return copyParameter(text, at);
    case CAREFUL:
      return copyCareful(text, at, byte);
    default:
      return -1;
  }
}

/** An identifier or keyword; E'…', B'…', X'…', N'…' and U&'…' are no plain strings, U&"…" is no plain name. */
function copyWord(text: Buffer, start: number): number {
  let at = start;
  for (; at < text.length; at++) {
    const byte = text[at]!;
    if (!isWordByte(byte)) break;
    scratch[made++] = byte;
  }
  const next = text[at];
  return next === QUOTE || (next === 0x26 && (text[at - 1]! | 0x20) === 0x75) ? -1 : at;
}

function isWordByte(byte: number): boolean {
  const kind = KINDS[byte];
  return kind === WORD || kind === DIGIT || kind === DOLLAR;
}

/** Digits, with a fraction or without; what touches them must be no part of a number, now or in an older server. */
function cutNumber(text: Buffer, start: number, cuts: number[]): number {
  let at = digits(text, start);
  const long = at - start > 18;
  let kind = INTEGER;
  if (text[at] === DOT) {
    const fraction = at + 1;
    at = digits(text, fraction);
    if (at === fraction) return -1;
    kind = DECIMAL;
  } else if (at - start > 9) {
    const value = Number(text.toString('latin1', start, at));
    if (long || value === NEITHER) return -1;
    if (value > MAX_INTEGER) kind = LONG;
  }
  const next = text[at];
  if (next !== undefined && (isWordByte(next) || next === DOT || next === QUOTE || next === DOUBLE_QUOTE)) return -1;
  return cut(cuts, start, at, kind);
}

function digits(text: Buffer, start: number): number {
  let at = start;
  while (at < text.length && KINDS[text[at]!] === DIGIT) at++;
  return at;
}

/** `'…'` with `''` in it; two strings next to each other may be one, and are refused. */
function cutString(text: Buffer, start: number, cuts: number[]): number {
  if (cuts.length > 0 && onlySpace(text, cuts.at(-1)!, start)) return -1;
  let at = start + 1;
  for (; ; at++) {
    if (at >= text.length) return -1;
    const byte = text[at];
    if (byte === BACKSLASH) return -1;
    if (byte !== QUOTE) continue;
    if (text[at + 1] !== QUOTE) break;
    at++;
  }
  return cut(cuts, start, at + 1, at === start + 1 ? EMPTY_STRING : STRING_OF_SOME);
}

function onlySpace(text: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (text[at]! > SPACE) return false;
  return true;
}

function cut(cuts: number[], start: number, end: number, instead: Buffer): number {
  cuts.push(start, end);
  for (let i = 0; i < instead.length; i++) scratch[made++] = instead[i]!;
  return end;
}

/** A quoted name stays as it is. */
function copyName(text: Buffer, start: number): number {
  let at = start;
  do {
    if (at >= text.length || text[at]! >= 0x80) return -1;
    scratch[made++] = text[at++]!;
  } while (text[at] !== DOUBLE_QUOTE);
  scratch[made++] = DOUBLE_QUOTE;
  const next = text[at + 1];
  return next === QUOTE || next === 0x26 ? -1 : at + 1;
}

/** `$1`; not `$tag$`, and not `$1abc`. */
function copyParameter(text: Buffer, start: number): number {
  const end = digits(text, start + 1);
  const next = text[end];
  if (end === start + 1 || (next !== undefined && (isWordByte(next) || next === QUOTE))) return -1;
  for (let at = start; at < end; at++) scratch[made++] = text[at]!;
  return end;
}

/** Comments, `.5`, and what `U&` could be part of. */
function copyCareful(text: Buffer, at: number, byte: number): number {
  const next = text[at + 1];
  if (byte === 0x2d && next === 0x2d) return -1;
  if (byte === 0x2f && next === 0x2a) return -1;
  if (byte === DOT && (next === undefined || KINDS[next] === DIGIT || next === $)) return -1;
  scratch[made++] = byte;
  return at + 1;
}

/** Where the statements of a text stand, from where they stand in another text of the same template. */
export function movePlaces(places: readonly Place[], from: readonly number[], to: readonly number[]): Place[] {
  return places.map(({ offset, length }) => {
    const start = moved(offset, from, to);
    return { offset: start, length: moved(offset + length, from, to) - start };
  });
}

/** The cut literals in front of a place are as long as those of the other text. */
function moved(place: number, from: readonly number[], to: readonly number[]): number {
  let at = place;
  for (let i = 1; i < from.length && from[i]! <= place; i += 2) at += to[i]! - to[i - 1]! - (from[i]! - from[i - 1]!);
  return at;
}
