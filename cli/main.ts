#!/usr/bin/env node
import { runProgram } from './command.ts';
import { KUBE } from './commands/kube.ts';
import { LOCAL } from './commands/local.ts';

const HELP = `postern: an identity-aware gateway for PostgreSQL

Usage: postern COMMAND [OPTIONS]

Commands:
  dev       Run a gateway from manifests on 127.0.0.1
  validate  Check manifests
  explain   Say what a gateway would decide about SQL, and why
  try       Replay a recorded log against proposed policies
  kube      Ask about gateways in a cluster; "kubectl postern" is the same
  local     Ask the gateway on this machine: its sessions, its drain

"postern COMMAND --help" says more. "postern --version" prints the version.
Exit codes: 0 done, 1 refused (bad manifests, denied SQL), 2 the call is wrong.
`;

await runProgram({
  name: 'postern',
  help: HELP,
  commands: {
    dev: async () => (await import('./commands/dev.ts')).DEV,
    validate: async () => (await import('./commands/validate.ts')).VALIDATE,
    explain: async () => (await import('./commands/explain.ts')).EXPLAIN,
    kube: KUBE,
    local: LOCAL,
    try: async () => (await import('./commands/try.ts')).TRY,
  },
});
