import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { Ajv, type ErrorObject } from 'ajv';
import type { ConfigDocument, Revision } from './document.ts';
import { referenceErrors } from './references.ts';
import { makeRevision } from './revision.ts';
import schema from './schema.json' with { type: 'json' };

/** The document as a revision, or every reason why it cannot be run; each reason begins with the path it concerns. */
export type LoadResult =
  | { readonly ok: true; readonly revision: Revision }
  | { readonly ok: false; readonly errors: readonly string[] };

/** The schema version that this gateway runs. */
const SCHEMA_VERSION = 1;
/** Far above what a ConfigMap of 1 MiB holds compressed; a bound against decompression bombs. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;
const MAX_ERRORS = 20;

const ajv = new Ajv({ allErrors: true, strict: true, discriminator: true, allowUnionTypes: true });
ajv.addKeyword('tsType');
const isDocument = ajv.compile<ConfigDocument>(schema);

/** Reads the bytes of a document, plain or gzip (told apart by their first bytes). Never throws. */
export function parseDocument(bytes: Buffer): LoadResult {
  const text = plainText(bytes);
  if (!text.ok) return text;
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    // The parser's own message quotes the text: it stays out.
    return { ok: false, errors: ['document: is not JSON'] };
  }
  return checkDocument(value);
}

/** Checks a value that came as an object, as `parseDocument` does for bytes. Never throws. */
export function checkDocument(value: unknown): LoadResult {
  const errors = documentErrors(value);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, revision: makeRevision(value as ConfigDocument) };
}

/** Why a value is no document that can be run; empty: it is one. */
export function documentErrors(value: unknown): readonly string[] {
  const version = unknownVersion(value);
  if (version !== null) return [version];
  if (isDocument(value)) return referenceErrors(value);
  const errors = schemaErrors(isDocument.errors ?? []);
  return errors.length > 0 ? errors : ['document: is none by its schema'];
}

/** The revision that the bytes of a document name by themselves, good or bad; null: they are no text. */
export function contentHash(bytes: Buffer): string | null {
  const text = plainText(bytes);
  return text.ok ? createHash('sha256').update(text.value, 'utf8').digest('hex') : null;
}

function plainText(bytes: Buffer): { ok: true; value: string } | { ok: false; errors: readonly string[] } {
  if (bytes.length === 0) return { ok: false, errors: ['document: is empty'] };
  const gzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (bytes.length > MAX_DOCUMENT_BYTES) return { ok: false, errors: [tooLarge()] };
  try {
    const plain = gzip ? gunzipSync(bytes, { maxOutputLength: MAX_DOCUMENT_BYTES }) : bytes;
    return { ok: true, value: new TextDecoder('utf-8', { fatal: true }).decode(plain) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ERR_BUFFER_TOO_LARGE') return { ok: false, errors: [tooLarge()] };
    const what = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not UTF-8' : 'is not valid gzip data';
    return { ok: false, errors: [`document: ${what}`] };
  }
}

function tooLarge(): string {
  return `document: is larger than ${MAX_DOCUMENT_BYTES} bytes`;
}

/** A document of another version would fail at many paths; one sentence says it instead. */
function unknownVersion(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || !('schemaVersion' in value)) return null;
  const found = value.schemaVersion;
  if (found === SCHEMA_VERSION) return null;
  return `schemaVersion: ${JSON.stringify(found)} is not known; this gateway runs version ${SCHEMA_VERSION}`;
}

function schemaErrors(errors: readonly ErrorObject[]): readonly string[] {
  const texts = errors.filter((error) => !isWrapper(error)).map(schemaError);
  return [...new Set(texts)].slice(0, MAX_ERRORS);
}

/** `anyOf` and `if` only repeat that one of the errors beside them occurred. */
function isWrapper(error: ErrorObject): boolean {
  return error.keyword === 'anyOf' || error.keyword === 'oneOf';
}

function schemaError(error: ErrorObject): string {
  const path = error.instancePath === '' ? 'document' : dotted(error.instancePath);
  const params = error.params as Record<string, unknown>;
  if (error.keyword === 'additionalProperties') return `${path}: unknown field "${params.additionalProperty}"`;
  if (error.keyword === 'required') return `${path}: field "${params.missingProperty}" is missing`;
  if (error.keyword === 'enum') return `${path}: must be one of ${(params.allowedValues as unknown[]).join(', ')}`;
  return `${path}: ${error.message ?? error.keyword}`;
}

function dotted(pointer: string): string {
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '');
}
