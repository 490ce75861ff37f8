import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from './clock.ts';

/** What a connection to the API server is made with. */
export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Access {
  /** Base of all paths; may have a path of its own. */
  readonly server: URL;
  /** Through which HTTP proxy; null: none. */
  readonly proxy: string | null;
  readonly tls: TlsMaterial;
  readonly headers: Readonly<Record<string, string>>;
}

/** How the API server is reached, asked for before each request: tokens and certificates change while we run. */
export interface Credentials {
  current(): Promise<Access>;
  /** The API server did not accept what `current` gave: the next call reads everything anew. */
  refused(): void;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** How long what was read is used: kubelets renew tokens long before they expire. */
const FRESH = 10_000;

/**
 * The access that a pod has, or a kubeconfig: KUBECONFIG, else ~/.kube/config, else the pod's service account.
 * The kubeconfig is left to the Kubernetes library, which is loaded for it alone: it costs 80 MiB.
 */
export async function loadCredentials(clock: Clock): Promise<Credentials> {
  const environment = process.env;
  const token = join(SERVICE_ACCOUNT, 'token');
  const kubeconfig = environment.KUBECONFIG || join(environment.HOME ?? homedir(), '.kube', 'config');
  if (!(await exists(kubeconfig)) && (await exists(token))) {
    return createCredentials(() => readServiceAccount(SERVICE_ACCOUNT, environment), clock);
  }
  return kubeconfigCredentials(clock);
}

/** Keeps what `read` gave for ten seconds; where reading fails, what was good before stays good. */
export function createCredentials(read: (again: boolean) => Promise<Access>, clock: Clock): Credentials {
  let last: { readonly access: Access; readonly at: number } | null = null;
  let reading: Promise<Access> | null = null;
  let refused = false;
  const readOnce = async (): Promise<Access> => {
    try {
      const access = await read(refused);
      refused = false;
      last = { access, at: clock.now() };
      return access;
    } catch (error) {
      if (last === null) throw error;
      return last.access;
    } finally {
      reading = null;
    }
  };
  return {
    current: async () => {
      if (last !== null && !refused && clock.now() - last.at < FRESH) return last.access;
      reading ??= readOnce();
      return reading;
    },
    refused: () => {
      refused = true;
    },
  };
}

/** The access of a pod by the files of its service account in `folder`. */
export async function readServiceAccount(folder: string, environment: NodeJS.ProcessEnv): Promise<Access> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (!host || !port) throw new Error('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set');
  const [token, ca] = await Promise.all([
    readFile(join(folder, 'token'), 'utf8'),
    readFile(join(folder, 'ca.crt'), 'utf8'),
  ]);
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    proxy: null,
    tls: { ca },
    headers: { authorization: `Bearer ${token.trim()}` },
  };
}

async function kubeconfigCredentials(clock: Clock): Promise<Credentials> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const load = (): InstanceType<typeof KubeConfig> => {
    const config = new KubeConfig();
    config.loadFromDefault();
    return config;
  };
  let config = load();
  return createCredentials(async (again) => {
    // What a credential plugin said is kept inside: only another object asks it again.
    if (again) config = load();
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig has no current cluster');
    const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
    await config.applyToHTTPSOptions(options);
    return {
      server: new URL(cluster.server),
      proxy: cluster.proxyUrl ?? null,
      tls: tlsOf(options as TlsMaterial),
      headers: headersOf(options),
    };
  }, clock);
}

function tlsOf(options: TlsMaterial): TlsMaterial {
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const entries = Object.entries({ ca, cert, key, servername, rejectUnauthorized });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function headersOf(options: { readonly headers?: unknown; readonly auth?: unknown }): Record<string, string> {
  const given = Object.entries((options.headers ?? {}) as Record<string, unknown>);
  const headers = Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), String(value)]));
  if (typeof options.auth === 'string') headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return headers;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
