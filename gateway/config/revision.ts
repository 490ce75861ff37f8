import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import type { ConfigDocument, Revision } from './document.ts';

/** Names a document by its content: SHA-256 over the canonical bytes, lower-case hex. */
export function makeRevision(document: ConfigDocument): Revision {
  return { revision: createHash('sha256').update(canonicalJson(document), 'utf8').digest('hex'), document };
}
