import { readSequence, SEQUENCE_KEY } from '../../gateway/config/control.ts';
import { parseDocument } from '../../gateway/config/load.ts';
import type { KubeObject } from '../kube/types.ts';
import { DOCUMENT_KEY } from '../plan/children/config-map.ts';
import type { Published } from '../plan/types.ts';

/** The gzipped document of a ConfigMap in base64; null: there is none in it. */
export function packedDocument(configMap: KubeObject): string | null {
  const { [DOCUMENT_KEY]: packed } = (configMap.binaryData ?? {}) as Readonly<Record<string, unknown>>;
  return typeof packed === 'string' ? packed : null;
}

const known = new WeakMap<KubeObject, Published | null>();

/** What a ConfigMap publishes; null: nothing that can be read. Reads each version of an object once. */
export function publishedBy(configMap: KubeObject): Published | null {
  const before = known.get(configMap);
  if (before !== undefined) return before;
  const published = read(configMap);
  known.set(configMap, published);
  return published;
}

function read(configMap: KubeObject): Published | null {
  const packed = packedDocument(configMap);
  if (packed === null) return null;
  const loaded = parseDocument(Buffer.from(packed, 'base64'));
  if (!loaded.ok) return null;
  const { [SEQUENCE_KEY]: sequence } = (configMap.data ?? {}) as Readonly<Record<string, unknown>>;
  return { ...loaded.revision, sequence: typeof sequence === 'string' ? readSequence(sequence) : 0 };
}
