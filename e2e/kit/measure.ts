import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where a run leaves what it saw: kubeconfig, measurements, evidence of failures. */
export const RESULTS = join(import.meta.dirname, '..', 'results');
/** For each failed test what the cluster looked like. */
export const EVIDENCE = join(RESULTS, 'evidence');
const FILE = join(RESULTS, 'measured.ndjson');

interface Measured {
  readonly what: string;
  readonly value: string;
}

/** Notes a number for the closing table. */
export function measure(what: string, milliseconds: number): void {
  note(what, milliseconds < 10_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`);
}

/** Notes anything else for the closing table. */
export function note(what: string, value: string): void {
  mkdirSync(RESULTS, { recursive: true });
  appendFileSync(FILE, `${JSON.stringify({ what, value } satisfies Measured)}\n`);
}

/** Begins anew: what earlier runs saw is gone. */
export function forgetResults(): void {
  rmSync(FILE, { force: true });
  rmSync(EVIDENCE, { recursive: true, force: true });
}

/** The closing table; empty when nothing was measured. */
export function measuredTable(): string {
  if (!existsSync(FILE)) return '';
  const rows = readFileSync(FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Measured);
  const width = Math.max(...rows.map(({ what }) => what.length));
  return ['Measured:', '', ...rows.map(({ what, value }) => `  ${what.padEnd(width)}  ${value}`), ''].join('\n');
}
