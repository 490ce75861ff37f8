import { type ControlDown, type ControlUp, type GatewayReport, MAX_UP_LINE } from './control.ts';

/** The other end does not keep to the contract: its stream ends. */
export class ControlError extends Error {
  readonly code = 'POSTERN_CONTROL';

  constructor(message: string) {
    super(message);
    this.name = 'ControlError';
  }
}

const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines; holds at most one line that is not complete, and that within the limit. */
export class LineReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that these bytes complete. Throws a ControlError for a line over the limit, or one that is not UTF-8. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(decode(Buffer.concat(this.#parts)));
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
    }
    // What is kept is copied: the chunk is the reader's own only for now.
    if (start < chunk.length) this.#keep(Buffer.from(chunk.subarray(start)));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limit) throw new ControlError(`a line is longer than ${this.#limit} bytes`);
    this.#parts.push(part);
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ControlError('a line is not UTF-8');
  }
}

export function encodeLine(message: ControlDown | ControlUp): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`);
}

/** The message of a line; null: one of a type that this version does not know. Throws a ControlError for all else. */
export function readDown(line: string): ControlDown | null {
  const message = readMessage(line);
  if (message.type === 'Beat') return { type: 'Beat' };
  if (message.type !== 'Configuration') return null;
  const { revision, sequence, document } = message;
  if (typeof revision !== 'string' || !/^[0-9a-f]{64}$/.test(revision))
    throw new ControlError('a Configuration names no revision');
  if (typeof document !== 'string' || !isCount(sequence))
    throw new ControlError('a Configuration lacks its document or its sequence');
  return { type: 'Configuration', revision, sequence, document };
}

/** As `readDown`. What a report says is copied field by field, so that nothing that is not looked at goes any further. */
export function readUp(line: string): ControlUp | null {
  const message = readMessage(line);
  if (message.type !== 'Report') return null;
  const { revision, sequence, refused, sessions, draining } = message;
  if (!isCount(sequence) || !isCount(sessions)) throw new ControlError('a Report lacks a number');
  if (typeof draining !== 'boolean') throw new ControlError('a Report lacks draining');
  return {
    type: 'Report',
    revision: text(revision, 'revision'),
    sequence,
    refused: refused === null ? null : readRefused(record(refused, 'refused')),
    sessions,
    draining,
    unenforced: list(message.unenforced, 'unenforced').map((item) => ({
      ...readObject(item),
      reason: text(item.reason, 'reason'),
    })),
    findings: list(message.findings, 'findings').map((item) => ({
      ...readObject(item),
      path: text(item.path, 'path'),
      message: text(item.message, 'message'),
    })),
  };
}

/** The most that a report says of anything; `boundReport` keeps to it. */
const MAX_ITEMS = 100;
const MAX_TEXT = 500;

/** A report that the other end takes, whatever the database and the document are like. */
export function boundReport(report: GatewayReport, most = MAX_ITEMS): GatewayReport {
  const { refused, unenforced, findings } = report;
  const bounded = {
    ...report,
    refused: refused === null ? null : { ...refused, errors: refused.errors.slice(0, most).map(cut) },
    unenforced: unenforced.slice(0, most).map((item) => ({ ...item, reason: cut(item.reason) })),
    findings: findings.slice(0, most).map((item) => ({ ...item, path: cut(item.path), message: cut(item.message) })),
  };
  // Letters of several bytes, and what JSON escapes.
  return encodeLine(bounded).length <= MAX_UP_LINE ? bounded : boundReport(report, most >> 1);
}

function cut(value: string): string {
  return value.length <= MAX_TEXT ? value : `${value.slice(0, MAX_TEXT - 1).toWellFormed()}…`;
}

type Fields = Readonly<Record<string, unknown>>;

function readMessage(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // The parser's own message quotes the text: it stays out.
    throw new ControlError('a line is not JSON');
  }
  const message = record(value, 'message');
  if (typeof message.type !== 'string') throw new ControlError('a message has no type');
  return message;
}

function readRefused({ revision, errors }: Fields): NonNullable<GatewayReport['refused']> {
  if (!Array.isArray(errors) || errors.length > MAX_ITEMS) throw new ControlError('refused.errors is no short list');
  return {
    revision: revision === null ? null : text(revision, 'refused.revision'),
    errors: errors.map((error) => text(error, 'refused.errors')),
  };
}

function readObject({ kind, namespace, name }: Fields) {
  return { kind: text(kind, 'kind'), namespace: text(namespace, 'namespace'), name: text(name, 'name') };
}

function record(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ControlError(`${what} is no object`);
  return value as Fields;
}

function list(value: unknown, what: string): readonly Fields[] {
  if (!Array.isArray(value) || value.length > MAX_ITEMS) throw new ControlError(`${what} is no list of ${MAX_ITEMS}`);
  return value.map((item) => record(item, what));
}

function text(value: unknown, what: string): string {
  if (typeof value !== 'string' || value.length > MAX_TEXT) throw new ControlError(`${what} is no short text`);
  return value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
