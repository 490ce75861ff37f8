import { isDeepStrictEqual } from 'node:util';

type Json = Readonly<Record<string, unknown>>;

/** What tells the items of a list apart, where server-side apply merges lists by items. All others are one value each. */
const ITEM_KEYS: Readonly<Record<string, readonly string[]>> = {
  ownerReferences: ['uid'],
  containers: ['name'],
  initContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  imagePullSecrets: ['name'],
  volumeMounts: ['mountPath'],
  topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
  ports: ['containerPort', 'port', 'protocol'],
};

/** One value with all that is in it, whatever that is called: what others add there opens a gateway to somebody. */
const WHOLE = 'ingress';

/** Maps that the API server leaves out where they are empty, as it does with all lists. */
const MAPS = new Set(['annotations', 'labels', 'matchLabels', 'nodeSelector']);

/** Fields whose value is a quantity, which the API server writes in a form of its own. */
const QUANTITIES = new Set(['requests', 'limits', 'sizeLimit']);

/**
 * Where an object lacks what another says, such as `spec.replicas`; null: nowhere, so that applying it would change
 * nothing. What others have added beside does not count, as it does not for server-side apply.
 */
export function difference(live: unknown, wanted: unknown, field = ''): string | null {
  if (field === WHOLE) return isDeepStrictEqual(withoutEmpty(live), withoutEmpty(wanted)) ? null : '';
  if (live === wanted || (live === undefined && isLeftOut(field, wanted))) return null;
  if (QUANTITIES.has(field) && !isObject(wanted)) return isSameQuantity(live, wanted) ? null : '';
  if (Array.isArray(wanted)) return Array.isArray(live) ? differenceInList(live, wanted, ITEM_KEYS[field]) : '';
  if (!isObject(wanted) || !isObject(live)) return '';
  for (const [name, value] of Object.entries(wanted)) {
    const below = difference(live[name], value, QUANTITIES.has(field) ? field : name);
    if (below !== null) return join(name, below);
  }
  return null;
}

/** What the API server leaves out where it means the same as nothing. */
function isLeftOut(field: string, value: unknown): boolean {
  if (value === 0) return true;
  if (Array.isArray(value)) return value.length === 0;
  return MAPS.has(field) && isObject(value) && Object.keys(value).length === 0;
}

/** As the API server would write it. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, below]) => !isLeftOut(name, below));
  return Object.fromEntries(kept.map(([name, below]) => [name, withoutEmpty(below)]));
}

function differenceInList(
  live: readonly unknown[],
  wanted: readonly unknown[],
  keys: readonly string[] | undefined,
): string | null {
  if (keys === undefined && live.length !== wanted.length) return '';
  for (const [i, item] of wanted.entries()) {
    const other = keys === undefined ? live[i] : live.find((candidate) => isItem(candidate, item, keys));
    const below = difference(other, item);
    if (below !== null) return join(String(i), below);
  }
  return null;
}

function join(name: string, below: string): string {
  return below === '' ? name : `${name}.${below}`;
}

function isItem(live: unknown, wanted: unknown, keys: readonly string[]): boolean {
  if (!isObject(live) || !isObject(wanted)) return false;
  return keys.every((key) => wanted[key] === undefined || live[key] === wanted[key]);
}

function isSameQuantity(live: unknown, wanted: unknown): boolean {
  const amount = quantity(wanted);
  return live === wanted || (amount !== null && amount === quantity(live));
}

const UNITS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

function quantity(value: unknown): number | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const [, digits, unit] = /^([0-9]+(?:[.][0-9]+)?)(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(String(value)) ?? [];
  // Twelve digits: factors such as 1e-3 are not exact.
  return digits === undefined ? null : Number((Number(digits) * UNITS[unit ?? '']!).toPrecision(12));
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
