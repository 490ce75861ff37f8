import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecretSource } from '../gateway/config/document.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import { ConfigSource } from '../gateway/config/source.ts';
import { startGateway } from '../gateway/gateway.ts';
import { createLogger } from '../gateway/telemetry/logs.ts';
import { loadProject, type Project } from './project.ts';
import { CommandError, report } from './usage.ts';
import { watchFiles } from './watch.ts';

export interface DevOptions {
  readonly files: readonly string[];
  readonly gateway: string | null;
  /** Where the audit log is kept; null: a temporary directory. */
  readonly data: string | null;
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
}

/** Runs a gateway from manifest files on 127.0.0.1 until SIGTERM or SIGINT; resolves with the exit code. */
export async function dev(options: DevOptions): Promise<number> {
  const first = loadWhole(options);
  if (!first.ok) return report(first.errors);
  const names = first.document.listeners.map(({ name }) => name);
  for (const name of options.ports.keys()) {
    if (!names.includes(name)) throw new CommandError(`--port: there is no listener ${name}, but ${names.join(', ')}`);
  }
  const config = new ConfigSource(makeRevision(first.document));
  let secrets: SecretSource = first.secrets;
  const log = createLogger({ level: 'warn' });
  const directory = options.data ?? mkdtempSync(join(tmpdir(), 'postern-'));
  const gateway = await startGateway({
    config,
    secrets: { read: (secret, key) => secrets.read(secret, key) },
    directory,
    host: '127.0.0.1',
    ports: options.ports,
    adminPort: options.adminPort,
    adminSocket: null,
    peersPort: null,
    peers: [],
    control: null,
    log,
  });
  for (const { name, authentication } of first.document.listeners) {
    console.log(`listener ${name} (${authentication}) on 127.0.0.1:${gateway.ports.get(name)}`);
  }
  for (const notice of first.unenforced) console.error(notice);
  console.log(`metrics and health on http://127.0.0.1:${gateway.adminPort}; audit log in ${directory}`);
  const reload = (): void => {
    const next = loadWhole(options);
    if (!next.ok) {
      console.error('the changed manifests are not good; the configuration before them stays in force:');
      report(next.errors);
      config.refuse(next.errors);
      return;
    }
    secrets = next.secrets;
    const before = config.current.revision;
    const { revision } = config.offer(next.document);
    if (revision === before) return;
    console.log(`revision ${revision.slice(0, 12)} is in force`);
    for (const notice of next.unenforced) console.error(notice);
  };
  const watcher = watchFiles(options.files, reload);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  watcher.close();
  console.log('draining');
  await gateway.drain();
  return 0;
}

/** The project with all Secrets that it names. */
function loadWhole({ files, gateway }: DevOptions): Project {
  const project = loadProject(files, gateway);
  return project.ok && project.missing.length > 0 ? { ok: false, errors: project.missing } : project;
}
