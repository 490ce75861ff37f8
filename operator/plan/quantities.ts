const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** `1h30m`, `10s` → milliseconds. Throws a RangeError for what the schema does not let through. */
export function parseDuration(text: string): number {
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(text)) throw new RangeError(`"${text}" is not a duration`);
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!, 0);
}

/** `64Mi`, `1Gi` → bytes. Throws a RangeError for what the schema does not let through. */
export function parseSize(text: string): number {
  const match = /^(\d+)(Ki|Mi|Gi|Ti)?$/.exec(text);
  if (match === null) throw new RangeError(`"${text}" is not a size`);
  return Number(match[1]) * SIZES[match[2] ?? '']!;
}
