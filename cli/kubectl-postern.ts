#!/usr/bin/env node
import { runProgram } from './command.ts';
import { KUBE } from './commands/kube.ts';

// kubectl runs what is called kubectl-postern on the PATH as "kubectl postern".
await runProgram(KUBE);
