/** A named check; it passes when it returns. */
export type Check = readonly [name: string, run: () => Promise<void> | void];

/** Runs checks one after another, printing `ok NAME` or `not ok NAME` with the reason as comment lines. */
export async function runChecks(checks: readonly Check[]): Promise<void> {
  for (const [name, run] of checks) {
    try {
      await run();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`not ok ${name}`);
      console.log(String((error as Error).message).replace(/^/gm, '# '));
      process.exitCode = 1;
    }
  }
}
