import { spawn } from 'node:child_process';
import { CommandError, type Options, one, type Values } from '../usage.ts';
import { explainFailure } from './failures.ts';

/** Flags of kubectl that are handed on, so that contexts, credentials and impersonation are what they always are. */
export const KUBE_OPTIONS = {
  namespace: { type: 'string', short: 'n' },
  context: { type: 'string' },
  cluster: { type: 'string' },
  kubeconfig: { type: 'string' },
  as: { type: 'string' },
  'as-group': { type: 'string', multiple: true },
  'request-timeout': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies Options;

export const KUBE_FLAGS = `  -n, --namespace NS    The namespace; that of the context unless given
      --context, --cluster, --kubeconfig, --as, --as-group, --request-timeout: as kubectl has them
`;

interface Result {
  /** null: ended by a signal. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The user's own kubectl. */
export interface Kubectl {
  /** Items of a kind; of the namespace that was asked for, unless another is named, or `all`. */
  list<T>(resource: string, where: { readonly all: boolean; readonly labels?: string }): Promise<readonly T[]>;
  /** undefined: there is none of that name. */
  get<T>(resource: string, name: string): Promise<T | undefined>;
  /** Runs a command in the gateway's container of a pod; `line` is called for each line that it prints. */
  exec(
    pod: { readonly namespace: string; readonly name: string },
    command: readonly string[],
    line?: (text: string) => void,
  ): Promise<Result>;
}

export const CONTAINER = 'gateway';
/** A process that is still there after so long waits for somebody: what it says is shown then (a sign-in, for one). */
const QUIET = 1000;

export function kubectlFor(values: Values): Kubectl {
  const handed = ['context', 'cluster', 'kubeconfig', 'as', 'as-group'].flatMap((name) =>
    (values.get(name) ?? []).map((value) => `--${name}=${value}`),
  );
  const [namespace, timeout] = [one(values, 'namespace'), one(values, 'request-timeout')];
  const own = namespace === null ? [] : [`--namespace=${namespace}`];
  const limit = timeout === null ? [] : [`--request-timeout=${timeout}`];
  const read = (...args: readonly string[]): Promise<Result> =>
    run(['get', ...args, ...handed, ...limit, '--output=json']);
  return {
    async list(resource, { all, labels }) {
      const selector = labels === undefined ? [] : [`--selector=${labels}`];
      const result = await read(resource, ...(all ? ['--all-namespaces'] : own), ...selector);
      if (result.code !== 0) throw new CommandError(explainFailure(result.err));
      return parse<{ items: never[] }>(result.out).items;
    },
    async get(resource, name) {
      const result = await read(resource, name, ...own);
      if (result.code !== 0 && /\(NotFound\)/.test(result.err)) return undefined;
      if (result.code !== 0) throw new CommandError(explainFailure(result.err));
      return parse(result.out);
    },
    exec({ namespace: of, name }, command, line) {
      return run(['exec', name, `--namespace=${of}`, `--container=${CONTAINER}`, ...handed, '--', ...command], line);
    },
  };
}

function parse<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new CommandError('kubectl answered something that is not JSON; try "kubectl version"');
  }
}

function run(args: readonly string[], line?: (text: string) => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    // A plugin for credentials may have to ask its user; nothing else here reads the standard input.
    const stdin = process.stdin.isTTY ? 'inherit' : 'ignore';
    const child = spawn('kubectl', args, { stdio: [stdin, 'pipe', 'pipe'] });
    let [out, err, shown, rest] = ['', '', 0, ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (line === undefined) {
        out += chunk;
        return;
      }
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop()!;
      lines.forEach(line);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk;
    });
    const show = setInterval(() => {
      process.stderr.write(err.slice(shown));
      shown = err.length;
    }, QUIET);
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearInterval(show);
      reject(new CommandError(notThere(error)));
    });
    child.once('close', (code) => {
      clearInterval(show);
      resolve({ code, out, err });
    });
  });
}

function notThere({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT')
    return 'kubectl is not on the PATH: install it, or add it (https://kubernetes.io/docs/tasks/tools/)';
  return `kubectl cannot be started: ${message}`;
}
