import { parseArgs } from 'node:util';

export const USAGE = `usage: main.ts --namespace NS [--watch-namespace NS]… --image IMAGE [--image-pull-policy P] [--image-pull-secret NAME]…
               [--control-service NAME] [--control-port PORT] [--admin-port PORT] [--lease NAME]
               [--log-level debug|info|warn|error]
`;

const OPTIONS = {
  namespace: { type: 'string' },
  'watch-namespace': { type: 'string', multiple: true, default: [] as string[] },
  image: { type: 'string' },
  'image-pull-policy': { type: 'string', default: 'IfNotPresent' },
  'image-pull-secret': { type: 'string', multiple: true, default: [] as string[] },
  'control-service': { type: 'string', default: 'postern-control' },
  'control-port': { type: 'string', default: '8443' },
  'admin-port': { type: 'string', default: '8080' },
  lease: { type: 'string', default: 'postern-operator' },
  'log-level': { type: 'string', default: 'info' },
} as const;

/** How the operator was called. */
export interface Call {
  readonly namespace: string;
  /** Empty: all. */
  readonly watched: readonly string[];
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly imagePullSecrets: readonly string[];
  readonly controlService: string;
  readonly controlPort: number;
  readonly adminPort: number;
  readonly lease: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
}

/** Reads the arguments; throws with a sentence about what is wrong. */
export function readCall(args: readonly string[]): Call {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { namespace, image, lease } = values;
  if (!namespace || !image) throw new Error('--namespace and --image are needed');
  return {
    namespace,
    watched: [...new Set(values['watch-namespace'])],
    image,
    imagePullPolicy: oneOf('--image-pull-policy', values['image-pull-policy'], ['Always', 'IfNotPresent', 'Never']),
    imagePullSecrets: values['image-pull-secret'],
    controlService: values['control-service'],
    controlPort: readPort('--control-port', values['control-port']),
    adminPort: readPort('--admin-port', values['admin-port']),
    lease,
    level: oneOf('--log-level', values['log-level'], ['debug', 'info', 'warn', 'error']),
  };
}

function oneOf<T extends string>(option: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw new Error(`${option} ${value}: ${words.join(', ')}`);
  return found;
}

function readPort(option: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Error(`${option} ${text}: a number from 1 to 65535`);
  return port;
}
