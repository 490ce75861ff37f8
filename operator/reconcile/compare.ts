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

/** Fields whose value is a quantity, which the API server writes in a form of its own. */
const QUANTITIES = new Set(['requests', 'limits', 'sizeLimit']);

/**
 * Whether an object has everything that another says, so that applying it would change nothing. What others have added
 * beside does not count, as it does not for server-side apply.
 */
export function covers(live: unknown, wanted: unknown, field = ''): boolean {
  if (QUANTITIES.has(field)) return coversQuantities(live, wanted);
  if (Array.isArray(wanted)) return Array.isArray(live) && coversList(live, wanted, ITEM_KEYS[field]);
  if (!isObject(wanted)) return live === wanted;
  return isObject(live) && Object.entries(wanted).every(([name, value]) => covers(live[name], value, name));
}

function coversList(
  live: readonly unknown[],
  wanted: readonly unknown[],
  keys: readonly string[] | undefined,
): boolean {
  if (keys === undefined) return live.length === wanted.length && wanted.every((item, i) => covers(live[i], item));
  return wanted.every((item) => live.some((other) => isItem(other, item, keys) && covers(other, item)));
}

function isItem(live: unknown, wanted: unknown, keys: readonly string[]): boolean {
  if (!isObject(live) || !isObject(wanted)) return false;
  return keys.every((key) => wanted[key] === undefined || live[key] === wanted[key]);
}

function coversQuantities(live: unknown, wanted: unknown): boolean {
  if (!isObject(wanted)) return isSameQuantity(live, wanted);
  return isObject(live) && Object.entries(wanted).every(([name, value]) => isSameQuantity(live[name], value));
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
