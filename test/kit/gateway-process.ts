import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { freePort } from './free-port.ts';
import type { Postgres } from './postgres.ts';
import { createCertificateAuthority } from './tls.ts';
import { startTokenIssuer } from './token-issuer.ts';

/** A database role that the gateway logs in as. */
export interface UpstreamRole {
  readonly name: string;
  readonly password: string;
}

/** What the gateway in front of a server is to look like. */
export interface GatewayOptions {
  readonly upstream: Postgres;
  readonly roles: readonly UpstreamRole[];
  /** Specs of AccessPolicies, without targetRefs; each gets its key as its name. */
  readonly policies: Readonly<Record<string, object>>;
  readonly tlsMode?: 'Required' | 'Optional';
  readonly durability?: 'Written' | 'Synced';
  readonly limits?: object;
}

/** `postern dev` as a process of its own, configured by ordinary manifests, with an issuer that it trusts. */
export interface GatewayProcess {
  readonly host: 'localhost';
  readonly port: number;
  readonly pid: number;
  /** The CA of the gateway's certificate: a file. */
  readonly caFile: string;
  /** Where the gateway keeps its audit log. */
  readonly dataDirectory: string;
  token(username: string, groups?: readonly string[]): Promise<string>;
  /** What the process has printed so far. */
  output(): string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;
const COMMAND = path.resolve(import.meta.dirname, '../../cli/main.ts');

/** Writes the manifests, starts the gateway and waits until its listener accepts connections. */
export async function startGatewayProcess(options: GatewayOptions): Promise<GatewayProcess> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-gateway-'));
  const manifests = path.join(directory, 'manifests');
  const dataDirectory = path.join(directory, 'data');
  const caFile = path.join(directory, 'ca.pem');
  const issuer = await startTokenIssuer();
  const authority = await createCertificateAuthority('Gateway test CA');
  const certificate = await authority.server(['localhost', '127.0.0.1']);
  await fs.mkdir(manifests);
  await fs.mkdir(dataDirectory);
  await fs.writeFile(caFile, authority.caPem);
  const objects = [
    gateway(options, issuer.url),
    ...Object.entries(options.policies).map(([name, spec]) => policy(name, spec)),
    ...options.roles.map(({ name, password }) => secret(secretName(name), { username: name, password })),
    secret('gateway-tls', { 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem }),
    secret('upstream-ca', { 'ca.crt': options.upstream.caPem }),
  ];
  await fs.writeFile(path.join(manifests, 'all.yaml'), objects.map((it) => stringify(it)).join('---\n'));

  const port = await freePort();
  const command = [COMMAND, 'dev', '-f', manifests, '--data', dataDirectory, '--port', `token=${port}`];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  // Whatever ends us ends the gateway too.
  const orphaned = () => child.kill('SIGKILL');
  process.once('exit', orphaned);
  const stop = async () => {
    process.off('exit', orphaned);
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const forced = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await exited;
      clearTimeout(forced);
    }
    await issuer.close();
    await fs.rm(directory, { recursive: true, force: true });
  };

  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`the gateway did not start:\n${output}`);
    }
    await sleep(50);
  }
  const process_ = { host: 'localhost', port, pid: child.pid!, caFile, dataDirectory } as const;
  return { ...process_, token: issuer.token, output: () => output, stop };
}

async function accepts(port: number): Promise<boolean> {
  const socket = net.connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const metadata = (name: string) => ({ name, namespace: 'test' });
const secretName = (role: string) => `role-${role.replaceAll('_', '-')}`;

function secret(name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: metadata(name), stringData };
}

function policy(name: string, spec: object): object {
  const targetRefs = [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'gate' }];
  return {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: metadata(name),
    spec: { targetRefs, ...spec },
  };
}

function gateway(options: GatewayOptions, issuerUrl: string): object {
  const { upstream, roles } = options;
  const tls =
    upstream.caPem === ''
      ? { mode: 'Disable' }
      : { mode: 'VerifyFull', caSecretRef: { name: 'upstream-ca', key: 'ca.crt' } };
  const spec = {
    upstream: {
      host: upstream.host,
      port: upstream.port,
      tls,
      roles: roles.map(({ name }) => ({ name, secretRef: { name: secretName(name) } })),
      catalogRole: roles[0]?.name,
    },
    listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
    tls: { secretRef: { name: 'gateway-tls' }, mode: options.tlsMode ?? 'Required' },
    identity: {
      issuers: [
        { name: 'test', url: issuerUrl, audiences: ['postern'], claims: { username: 'email', groups: 'groups' } },
      ],
    },
    ...(options.limits !== undefined && { limits: options.limits }),
    audit: { durability: options.durability ?? 'Written' },
  };
  return { apiVersion: 'postern.dev/v1alpha1', kind: 'PostgresGateway', metadata: metadata('gate'), spec };
}
