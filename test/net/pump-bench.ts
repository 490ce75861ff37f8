import { once } from 'node:events';
import net from 'node:net';
import type { AuditLog } from '../../gateway/audit/record.ts';
import { Pump } from '../../gateway/net/pump.ts';
import type { SessionEnvironment } from '../../gateway/session/environment.ts';

const sockets: net.Socket[] = [];

export function closeAll(): void {
  for (const socket of sockets.splice(0)) socket.destroy();
}

/** Both ends of a TCP connection. */
async function pair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outer = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' });
  const [inner] = (await once(server, 'connection')) as [net.Socket];
  server.close();
  sockets.push(outer, inner);
  return [outer, inner];
}

interface Parts {
  readonly environment: SessionEnvironment;
  readonly settle: AuditLog['settle'];
  readonly faults?: unknown[];
  readonly ends?: string[];
  readonly cancelUpstream?: () => Promise<void>;
}

export interface Bench {
  readonly pump: Pump;
  readonly client: net.Socket;
  readonly clientSide: net.Socket;
  readonly server: net.Socket;
  readonly forwarded: Buffer[];
}

/** A pump between two connections: the outer ends of both, and its own end of the client's. */
export async function startPump(parts: Parts): Promise<Bench> {
  const { environment, settle, faults = [], ends = [], cancelUpstream = () => Promise.resolve() } = parts;
  const [client, clientSide] = await pair();
  const [server, serverSide] = await pair();
  const pump = new Pump({
    client: clientSide,
    server: serverSide,
    clientRest: Buffer.alloc(0),
    serverRest: Buffer.alloc(0),
    environment: () => environment,
    reported: new Map(),
    audit: { settle } as AuditLog,
    recorder: { record() {}, end: (reason) => ends.push(reason) },
    statementBytes: 200_000,
    now: Date.now,
    cancelUpstream,
    refreshCatalog() {},
    onRecord() {},
    onForwarded() {},
    onFault: (error) => faults.push(error),
    onEnd() {},
  });
  pump.start();
  const forwarded: Buffer[] = [];
  server.on('data', (chunk) => forwarded.push(chunk));
  return { pump, client, clientSide, server, forwarded };
}

/** Everything is allowed and nothing understood. */
export function permissive(): SessionEnvironment {
  const effective = { unrestricted: true, session: { rows: null, readOnly: false, statementTimeout: null } };
  return {
    statementBytes: 200_000,
    policies: () => ({ effective, revision: '', timed: false }),
    analyze: () => ({ kind: 'NotUnderstood', reason: 'not here', hint: '' }),
    decide: () => ({ verdict: 'Allow', by: null, shadow: [] }),
    over: () => null,
    auditUnavailable: () => null,
    catalog: () => undefined,
    functionFacts: () => undefined,
    pinned: { readOnly: false, statementTimeout: null },
    usage: { exhausted: () => null, addStatement() {}, allowance: () => null, addResult() {} },
  } as unknown as SessionEnvironment;
}
