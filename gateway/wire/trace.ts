/**
 * Renders the bytes of one direction as text, one line a message, in the style of libpq's PQtrace: who (F or B), the
 * length field, the message's name, its fields. Made for transcripts: secrets (passwords, SASL data, cancel keys)
 * appear as a byte count only. The field layouts here are a second writing of those in the decoders; a test holds the
 * two against each other.
 */
import { Cursor } from './cursor.ts';
import { ProtocolError } from './errors.ts';
import { MessageReader } from './reader.ts';
import { BACKEND, type Direction, FRONTEND, messageName } from './types.ts';

type Render = (cursor: Cursor) => string;

function printable(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const text: Render = (cursor) => ` "${printable(cursor.text())}"`;
const uint16: Render = (cursor) => ` ${cursor.uint16()}`;
const int16: Render = (cursor) => ` ${cursor.int16()}`;
const int32: Render = (cursor) => ` ${cursor.int32()}`;
const uint32: Render = (cursor) => ` ${cursor.uint32()}`;
const data: Render = (cursor) => ` '${printable(cursor.rest())}'`;
const secret: Render = (cursor) => ` <${cursor.rest().length} bytes>`;

const byte: Render = (cursor) => {
  const bytes = Buffer.of(cursor.uint8());
  return ` ${printable(bytes)}`;
};

const value: Render = (cursor) => {
  const bytes = cursor.value();
  return bytes === null ? ' -1' : ` ${bytes.length} '${printable(bytes)}'`;
};

function all(...renders: readonly Render[]): Render {
  return (cursor) => renders.map((render) => render(cursor)).join('');
}

function list(item: Render): Render {
  return (cursor) => {
    const items = cursor.list(item);
    return ` ${items.length}${items.join('')}`;
  };
}

const nothing: Render = () => '';
const copyResponse = all(byte, list(uint16));
const field = all(text, uint32, int16, uint32, int16, int32, uint16);

const report: Render = (cursor) => {
  let out = '';
  for (let letter = cursor.uint8(); letter !== 0; letter = cursor.uint8()) {
    out += ` ${printable(Buffer.of(letter))}${text(cursor)}`;
  }
  return `${out} \\x00`;
};

const authentication: Render = (cursor) => {
  const code = cursor.int32();
  if (code !== 10) return ` ${code}${cursor.left > 0 ? secret(cursor) : ''}`;
  let out = ` ${code}`;
  for (let mechanism = text(cursor); mechanism !== ' ""'; mechanism = text(cursor)) out += mechanism;
  return out;
};

const negotiate: Render = (cursor) => {
  let out = ` ${cursor.uint16()}.${cursor.uint16()}`;
  for (let count = cursor.uint32(); count > 0; count -= 1) out += text(cursor);
  return out;
};

const FIELDS: Readonly<Record<Direction, ReadonlyMap<number, Render>>> = {
  frontend: new Map([
    [FRONTEND.Bind, all(text, text, list(uint16), list(value), list(uint16))],
    [FRONTEND.Close, all(byte, text)],
    [FRONTEND.CopyData, data],
    [FRONTEND.CopyFail, text],
    [FRONTEND.Describe, all(byte, text)],
    [FRONTEND.Execute, all(text, int32)],
    [FRONTEND.FunctionCall, all(uint32, list(uint16), list(value), uint16)],
    [FRONTEND.Parse, all(text, text, list(uint32))],
    [FRONTEND.PasswordMessage, secret],
    [FRONTEND.Query, text],
  ]),
  backend: new Map([
    [BACKEND.Authentication, authentication],
    [BACKEND.BackendKeyData, all(int32, secret)],
    [BACKEND.CommandComplete, text],
    [BACKEND.CopyBothResponse, copyResponse],
    [BACKEND.CopyData, data],
    [BACKEND.CopyInResponse, copyResponse],
    [BACKEND.CopyOutResponse, copyResponse],
    [BACKEND.DataRow, list(value)],
    [BACKEND.ErrorResponse, report],
    [BACKEND.FunctionCallResponse, value],
    [BACKEND.NegotiateProtocolVersion, negotiate],
    [BACKEND.NoticeResponse, report],
    [BACKEND.NotificationResponse, all(int32, text, text)],
    [BACKEND.ParameterDescription, list(uint32)],
    [BACKEND.ParameterStatus, all(text, text)],
    [BACKEND.ReadyForQuery, byte],
    [BACKEND.RowDescription, list(field)],
  ]),
};

/** One line per message of `bytes`, which are whole messages; anything else is a ProtocolError. */
export function trace(direction: Direction, bytes: Buffer): readonly string[] {
  const whole = () => Number.POSITIVE_INFINITY;
  const reader = new MessageReader({ direction, streamed: new Set(), spill: whole, maxLength: whole });
  reader.push(bytes);
  const lines: string[] = [];
  for (let step = reader.next(); step?.kind === 'message'; step = reader.next()) {
    const name = messageName(direction, step.type);
    const cursor = new Cursor(name, step.body);
    const fields = (FIELDS[direction].get(step.type) ?? nothing)(cursor);
    cursor.end();
    const line = `${direction === 'frontend' ? 'F' : 'B'}\t${step.raw.length - 1}\t${name}`;
    lines.push(fields === '' ? line : `${line}\t${fields}`);
  }
  if (reader.buffered > 0) throw new ProtocolError(`${reader.buffered} bytes of an unfinished message`);
  return lines;
}
