import type { Program } from '../command.ts';

const HELP = `kubectl postern: the gateways of a cluster ("postern kube" is the same)

Usage: kubectl postern COMMAND [OPTIONS]

Commands:
  status     What gateways, policies and masks are in force, what is not, and what to do
  explain    Say what a gateway would decide about SQL, and why
  sessions   List the open sessions of a gateway
  terminate  End a session
  drain      Drain a pod, or the pods of a gateway one after another

It uses your kubectl, and with it your contexts, credentials and rights. "kubectl postern COMMAND --help" says more.
`;

export const KUBE: Program = {
  name: 'kubectl postern',
  help: HELP,
  commands: {
    status: async () => (await import('./kube-status.ts')).STATUS,
    explain: async () => (await import('./kube-explain.ts')).EXPLAIN,
    sessions: async () => (await import('./kube-sessions.ts')).SESSIONS,
    terminate: async () => (await import('./kube-terminate.ts')).TERMINATE,
    drain: async () => (await import('./kube-drain.ts')).DRAIN,
  },
};
