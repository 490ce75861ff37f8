import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** By name: the numbers in front of the suites' names are their order. */
class ByName extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => a.moduleId.localeCompare(b.moduleId));
  }
}

// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['suites/*.test.ts'],
    globalSetup: ['kit/setup.ts'],
    setupFiles: ['kit/around-tests.ts'],
    reporters: ['./kit/reporter.ts'],
    sequence: { sequencer: ByName },
    // One cluster, one thing at a time.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});
