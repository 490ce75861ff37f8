/**
 * A gateway as a process of its own, from a plain document instead of custom resources: `gateway-main.ts FILE`, where
 * FILE holds a GatewayProcessConfig. Drains on SIGTERM; ends when its standard input does, as its parent then is gone.
 */
import { readFile } from 'node:fs/promises';
import { parseDocument } from '../../gateway/config/load.ts';
import { ConfigSource } from '../../gateway/config/source.ts';
import { startGateway } from '../../gateway/gateway.ts';
import { createLogger } from '../../gateway/telemetry/logs.ts';
import type { GatewayProcessConfig } from './gateway-process.ts';

const config = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as GatewayProcessConfig;
const loaded = parseDocument(Buffer.from(JSON.stringify(config.document)));
if (!loaded.ok) throw new Error(`bad document:\n${loaded.errors.join('\n')}`);

const gateway = await startGateway({
  config: new ConfigSource(loaded.revision),
  secrets: {
    read(secret, key) {
      const value = config.secrets[secret]?.[key];
      return value === undefined ? undefined : Buffer.from(value);
    },
  },
  directory: config.directory,
  host: '127.0.0.1',
  ports: new Map([['token', config.port]]),
  adminPort: 0,
  peersPort: null,
  peers: [],
  log: createLogger({ level: 'warn' }),
});

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await gateway.drain();
  process.exit(0);
}
process.once('SIGTERM', () => void stop());
process.stdin.resume().once('end', () => void stop());
