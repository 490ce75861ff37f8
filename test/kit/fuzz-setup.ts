import fc from 'fast-check';
import { fuzzRuns } from './fuzz.ts';

// Properties that say nothing of their own run as often as fast-check would have them, or FUZZ_RUNS times.
fc.configureGlobal({ numRuns: fuzzRuns(100) });
