const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  k: 1000,
  M: 1000 ** 2,
  G: 1000 ** 3,
};

/** `1h30m`, `10s` → milliseconds; undefined: not a duration. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!,
    0,
  );
}

/** `64Mi`, `1Gi` → bytes; undefined: not a quantity. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(Ki|Mi|Gi|Ti|k|M|G)?$/.exec(text);
  return match === null ? undefined : Number(match[1]) * SIZES[match[2] ?? '']!;
}
