/** How often a property is tried: `usual` in `make test`, FUZZ_RUNS times in `make fuzz`. */
export function fuzzRuns(usual: number): number {
  const wanted = Number(process.env.FUZZ_RUNS ?? '');
  return wanted > 0 ? wanted : usual;
}

/** The same tries every time in `make test`, so that what they are to reach is reached; others in every `make fuzz`. */
export function sameRuns(usual: number): { readonly numRuns: number; readonly seed?: number } {
  const numRuns = fuzzRuns(usual);
  return process.env.FUZZ_RUNS === undefined ? { numRuns, seed: 20_261 } : { numRuns };
}
