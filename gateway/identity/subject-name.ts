/**
 * Reads the subject of an X.509 certificate (RFC 5280 section 4.1) from its DER bytes. The printed subject cannot
 * be taken apart safely: a value may contain what separates values (CVE-2021-44533 is that mistake).
 */

/** Values in the order of the certificate; null: one of them is not text of a supported kind. */
export interface SubjectName {
  readonly commonNames: readonly (string | null)[];
  readonly organizations: readonly (string | null)[];
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_IDENTIFIER = 0x06;
const EXPLICIT_VERSION = 0xa0;
// Contents of the object identifiers 2.5.4.3 and 2.5.4.10.
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03]);
const ORGANIZATION_NAME = Buffer.from([0x55, 0x04, 0x0a]);
// Attributes of tbsCertificate between version and subject: serialNumber, signature, issuer, validity.
const FIELDS_BEFORE_SUBJECT = 4;

/** Takes the subject out of a DER certificate; null: the bytes are not one. */
export function readSubjectName(certificate: Buffer): SubjectName | null {
  const outer = readAll(certificate)?.[0];
  const tbs = childrenOf(childrenOf(outer, SEQUENCE)?.[0], SEQUENCE);
  if (tbs === null) return null;
  const version = tbs[0]?.tag === EXPLICIT_VERSION ? 1 : 0;
  const names = childrenOf(tbs[version + FIELDS_BEFORE_SUBJECT], SEQUENCE);
  if (names === null) return null;
  const commonNames: (string | null)[] = [];
  const organizations: (string | null)[] = [];
  // One RelativeDistinguishedName may hold several attributes: each counts.
  for (const relative of names) {
    for (const attribute of childrenOf(relative, SET) ?? [undefined]) {
      const [type, value] = childrenOf(attribute, SEQUENCE) ?? [];
      if (type?.tag !== OBJECT_IDENTIFIER || value === undefined) return null;
      if (type.content.equals(COMMON_NAME)) commonNames.push(readText(value));
      if (type.content.equals(ORGANIZATION_NAME)) organizations.push(readText(value));
    }
  }
  return { commonNames, organizations };
}

function childrenOf(element: Element | undefined, tag: number): Element[] | null {
  return element === undefined || element.tag !== tag ? null : readAll(element.content);
}

function readAll(bytes: Buffer): Element[] | null {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const header = readHeader(bytes, at);
    if (header === null || header.end > bytes.length) return null;
    elements.push({ tag: header.tag, content: bytes.subarray(header.start, header.end) });
    at = header.end;
  }
  return elements;
}

/** Tag and extent of the element at `at`; null: truncated, or a length form that DER forbids or nobody needs. */
function readHeader(bytes: Buffer, at: number): { tag: number; start: number; end: number } | null {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return null;
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first };
  const size = first & 0x7f;
  if (size === 0 || size > 4 || at + 2 + size > bytes.length) return null;
  const start = at + 2 + size;
  return { tag, start, end: start + bytes.readUIntBE(at + 2, size) };
}

function readText({ tag, content }: Element): string | null {
  switch (tag) {
    case 0x0c: // UTF8String
      return decodeUtf8(content);
    case 0x13: // PrintableString
    case 0x16: // IA5String
      return content.every((byte) => byte < 0x80) ? content.toString('latin1') : null;
    case 0x1e: // BMPString
      return content.length % 2 === 0 ? Buffer.from(content).swap16().toString('utf16le') : null;
    default:
      return null;
  }
}

function decodeUtf8(content: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    return null;
  }
}
