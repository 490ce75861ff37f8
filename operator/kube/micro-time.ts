/**
 * A time as Lease and Event want it: with exactly six digits after the point (three, as of a Date, are refused by the
 * API server). `micros`: the last three digits.
 */
export function microTime(wall: number, micros = 0): string {
  return new Date(wall).toISOString().replace('Z', `${String(micros % 1000).padStart(3, '0')}Z`);
}
