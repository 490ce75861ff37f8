/**
 * The gateway of a pod: runs the mounted configuration document, follows its changes, drains on SIGTERM.
 * Exit codes: 0 drained, 1 it could not start, 2 the call is wrong.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { AuditError } from './audit/errors.ts';
import type { HostPort } from './config/document.ts';
import { parseDocument } from './config/load.ts';
import { mountedSecrets } from './config/secrets.ts';
import { ConfigSource } from './config/source.ts';
import { readMounted, watchDocument } from './config/watch.ts';
import type { ControlAddress } from './control/client.ts';
import { startGateway } from './gateway.ts';
import { ListenError } from './net/listener.ts';
import { createLogger } from './telemetry/logs.ts';

const USAGE = `usage: main.ts --config FILE --secrets DIR --data DIR [--host ADDRESS] [--admin-port PORT]
               [--admin-socket PATH] [--peers-port PORT] [--peer HOST:PORT …] [--log-level debug|info|warn|error]
               [--control HOST:PORT --control-ca FILE --control-token FILE]
`;

const OPTIONS = {
  config: { type: 'string' },
  secrets: { type: 'string' },
  data: { type: 'string' },
  host: { type: 'string', default: '::' },
  'admin-port': { type: 'string', default: '9090' },
  'admin-socket': { type: 'string' },
  'peers-port': { type: 'string' },
  peer: { type: 'string', multiple: true, default: [] as string[] },
  control: { type: 'string' },
  'control-ca': { type: 'string' },
  'control-token': { type: 'string' },
  'log-level': { type: 'string', default: 'info' },
} as const;

function readPort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new Error(`"${text}" is not a port`);
  return Number(text);
}

function readHostPort(option: string, text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  if (match === null) throw new Error(`--${option} ${text}: write HOST:PORT`);
  return { host: (match[1] ?? match[2])!, port: readPort(match[3]!) };
}

function readControl(address?: string, ca?: string, token?: string): ControlAddress | null {
  if (address === undefined && ca === undefined && token === undefined) return null;
  if (address === undefined || ca === undefined || token === undefined)
    throw new Error('--control, --control-ca and --control-token go together');
  return { ...readHostPort('control', address), ca, token };
}

function readCall(args: readonly string[]) {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { config, secrets, data } = values;
  if (config === undefined || secrets === undefined || data === undefined)
    throw new Error('--config, --secrets and --data are needed');
  const level = (['debug', 'info', 'warn', 'error'] as const).find((name) => name === values['log-level']);
  if (level === undefined) throw new Error(`--log-level ${values['log-level']}: debug, info, warn or error`);
  const peersPort = values['peers-port'] === undefined ? null : readPort(values['peers-port']);
  const adminPort = readPort(values['admin-port']);
  const adminSocket = values['admin-socket'] ?? null;
  const peers = values.peer.map((peer) => readHostPort('peer', peer));
  const control = readControl(values.control, values['control-ca'], values['control-token']);
  return { config, secrets, data, level, host: values.host, adminPort, adminSocket, peersPort, peers, control };
}

async function main(call: ReturnType<typeof readCall>): Promise<void> {
  const log = createLogger({ level: call.level });
  const mounted = await readMounted(call.config);
  const loaded = parseDocument(mounted.bytes);
  if (!loaded.ok) {
    log.fatal({ errors: loaded.errors }, `the configuration ${call.config} is not good`);
    process.exitCode = 1;
    return;
  }
  const stop = new AbortController();
  const asked = Promise.withResolvers<number>();
  const config = new ConfigSource(loaded.revision, mounted.sequence);
  const gateway = await startGateway({
    config,
    secrets: mountedSecrets(call.secrets),
    directory: call.data,
    host: call.host,
    ports: new Map(),
    adminPort: call.adminPort,
    adminSocket: call.adminSocket === null ? null : { path: call.adminSocket, onDrain: asked.resolve },
    peersPort: call.peersPort,
    peers: call.peers,
    control: call.control,
    log,
  });
  watchDocument(call.config, config, { signal: stop.signal });
  const { ports, adminPort, peersPort } = gateway;
  const listeners = [...ports].map(([name, port]) => ({ name, port }));
  log.info({ listeners, adminPort, peersPort, revision: config.current.revision }, 'ready');
  const signal = new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve);
  });
  const administrator = asked.promise.then(async (grace) => {
    gateway.retire();
    await sleep(grace);
    return 'administrator';
  });
  log.info({ by: await Promise.race([signal, administrator]) }, 'draining');
  stop.abort();
  await gateway.drain();
  log.info({}, 'drained');
}

let call: ReturnType<typeof readCall>;
try {
  call = readCall(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${USAGE}`);
  process.exit(2);
}
try {
  await main(call);
} catch (error) {
  const said = error instanceof ListenError || error instanceof AuditError;
  createLogger().fatal(said ? {} : { err: error }, `the gateway could not start: ${(error as Error).message}`);
  process.exitCode = 1;
}
process.exit();
