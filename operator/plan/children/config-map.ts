import { gzipSync } from 'node:zlib';
import { SEQUENCE_KEY } from '../../../gateway/config/control.ts';
import type { ConfigDocument } from '../../../gateway/config/document.ts';
import { childNames } from '../names.ts';
import { remember } from '../remember.ts';
import { documentText } from '../text.ts';
import type { Child, GatewayInput, Published } from '../types.ts';
import { child } from './child.ts';

export const DOCUMENT_KEY = 'config.json.gz';
export const CA_KEY = 'control-ca.crt';
/**
 * The API server refuses a ConfigMap whose values have more than 1 MiB together; those of binaryData count as the bytes
 * that they stand for. 16 KiB are left for the other keys, of which an authority that is being replaced may need more.
 */
export const MAX_CONFIG_BYTES = 1024 * 1024 - 16 * 1024;
/** Byte of a gzip header that names the operating system: the same wherever the operator runs. */
const OS_BYTE = 9;
const OS_UNKNOWN = 255;

/** The canonical bytes of a document, gzipped; the same document gives the same bytes. */
export const pack = remember((document: ConfigDocument): Buffer => {
  const bytes = gzipSync(documentText(document), { level: 9 });
  bytes[OS_BYTE] = OS_UNKNOWN;
  return bytes;
});

export function configMap(
  gateway: GatewayInput['gateway'],
  { document, sequence }: Published,
  controlCa: string,
): Child {
  return child(gateway, 'v1', 'ConfigMap', childNames(gateway).config, {
    binaryData: { [DOCUMENT_KEY]: pack(document).toString('base64') },
    data: { [CA_KEY]: controlCa, [SEQUENCE_KEY]: String(sequence) },
  });
}
