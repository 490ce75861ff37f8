import { VerboseReporter } from 'vitest/node';
import { measuredTable } from './measure.ts';

/** A line for each test, and before the closing lines what was measured. */
// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default class Reporter extends VerboseReporter {
  override onTestRunEnd(...args: Parameters<VerboseReporter['onTestRunEnd']>): void {
    console.log(`\n${measuredTable()}`);
    super.onTestRunEnd(...args);
  }
}
