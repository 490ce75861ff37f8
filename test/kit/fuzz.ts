/** How often a property is tried: `usual` in `make test`, FUZZ_RUNS times in `make fuzz`. */
export function fuzzRuns(usual: number): number {
  const wanted = Number(process.env.FUZZ_RUNS ?? '');
  return wanted > 0 ? wanted : usual;
}
