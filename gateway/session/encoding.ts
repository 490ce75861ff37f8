import { isAscii, isUtf8 } from 'node:buffer';
import type { Need } from './judged.ts';
import type { SessionState } from './state.ts';

/**
 * Client encodings whose bytes below 0x80 are always ASCII: the parser sees what the server will see. Names as
 * PostgreSQL reports them. SJIS, BIG5, GBK, UHC, GB18030, JOHAB and SHIFT_JIS_2004 are left out on purpose: their trail
 * bytes can look like a quote or a backslash (test: "client_encoding whose trail bytes look like ASCII is refused").
 */
const DECODERS: Readonly<Record<string, string>> = {
  LATIN1: 'latin1',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'windows-1254',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gb18030',
};

/** A text as UTF-8, with the way back from UTF-8 offsets to the client's. */
export interface DecodedText {
  readonly utf8: Buffer;
  /** Byte offset in the client's text of a UTF-8 offset that stands on a character boundary. */
  readonly original: (offset: number) => number;
}

const same = (offset: number): number => offset;

/**
 * The text of a statement as UTF-8. Where an encoding may have been set that the server has not reported yet, what is
 * beyond ASCII waits for the report (test: "a text in a pipeline behind a change of client_encoding").
 */
export function readText(s: SessionState, text: Buffer): DecodedText | undefined | Need {
  if (s.settings.reportsDue && !isAscii(text) && !s.env.policies(s.now).effective.unrestricted) {
    return s.replies.length > 0 ? { kind: 'Answers' } : undefined;
  }
  return decodeText(text, s.settings.clientEncoding);
}

/** undefined: an encoding that cannot be judged, or bytes that are not valid in it, or a NUL. */
function decodeText(text: Buffer, clientEncoding: string): DecodedText | undefined {
  if (text.includes(0)) return undefined;
  if (clientEncoding === 'UTF8' || clientEncoding === 'SQL_ASCII') {
    return isUtf8(text) ? { utf8: text, original: same } : undefined;
  }
  const label = DECODERS[clientEncoding];
  if (label === undefined) return undefined;
  if (isAscii(text)) return { utf8: text, original: same };
  return transcode(text, label);
}

function transcode(text: Buffer, label: string): DecodedText | undefined {
  try {
    const utf8 = Buffer.from(
      label === 'latin1'
        ? text.toString('latin1')
        : new TextDecoder(label, { fatal: true, ignoreBOM: true }).decode(text),
    );
    return { utf8, original: (offset) => originalOffset(text, label, offset) };
  } catch {
    return undefined; // invalid bytes: TextDecoder in fatal mode throws a TypeError
  }
}

function originalOffset(text: Buffer, label: string, offset: number): number {
  if (label === 'latin1') return walk(text, offset, (byte) => Buffer.byteLength(String.fromCharCode(byte)));
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  return walk(text, offset, (byte) => Buffer.byteLength(decoder.decode(Uint8Array.of(byte), { stream: true })));
}

/** Counts the client's bytes until they have produced `offset` bytes of UTF-8. */
function walk(text: Buffer, offset: number, produced: (byte: number) => number): number {
  let at = 0;
  for (let made = 0; made < offset && at < text.length; at++) made += produced(text[at]!);
  return at;
}
