/** Rows in columns as wide as they need; the last one is not padded. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/**
 * What clients and others have named, as a terminal may show it: control characters could rewrite what stands there
 * (test: "names do not speak to the terminal").
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`);
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** Milliseconds in the greatest unit that counts and the next: `2h5m`. */
export function renderDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const greatest = UNITS.findIndex(([, size]) => seconds >= size);
  if (greatest < 0) return '0s';
  const [[unit, size], next] = [UNITS[greatest]!, UNITS[greatest + 1]];
  const rest = next === undefined ? '' : `${Math.floor((seconds % size) / next[1])}${next[0]}`;
  return `${Math.floor(seconds / size)}${unit}${rest}`;
}

/** `1 session`, `2 policies`. */
export function plural(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun.replace(/y$/, 'ie')}s`}`;
}
