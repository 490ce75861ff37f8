import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CONTROL_BEAT } from '../../gateway/config/control.ts';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { issueAll } from '../../operator/control/certificate.ts';
import { type GatewayProcess, groupPolicy, rule, startGatewayProcess } from '../kit/gateway-process.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { FakeCluster, type FakePod, published, type Replica, Stage } from './kit.ts';

const WAIT = { timeout: 15_000, interval: 20 };
const POD: FakePod = { namespace: 'test', name: 'gate-1', uid: 'uid-7', serviceAccount: 'gate', gateway: 'gate' };
const GATE = { namespace: 'test', gateway: 'gate' };

describe('a gateway in a process of its own', () => {
  let stage: Stage;
  let server: Postgres;
  let replica: Replica;
  let gateway: GatewayProcess;
  let mounted: ConfigDocument;

  beforeAll(async () => {
    stage = await new Stage(new FakeCluster(POD)).open();
    stage.certificate = await issueAll(['localhost'], Date.now());
    await stage.writeCa(stage.certificate.ca);
    await stage.writeToken(stage.cluster.mint(POD));
    replica = await stage.replica({ beat: CONTROL_BEAT });
    server = await startPostgres({ initSql: "CREATE ROLE reader LOGIN PASSWORD 'r'" });
    gateway = await startGatewayProcess({
      upstream: server,
      roles: [{ name: 'reader', password: 'r' }],
      policies: [
        groupPolicy('readers', {
          group: 'readers',
          databases: ['postgres'],
          role: 'reader',
          rules: [rule('read', { statements: ['Select'] })],
        }),
      ],
      args: [
        ...['--control', `localhost:${replica.server.port}`],
        ...['--control-ca', path.join(stage.directory, 'ca.crt')],
        ...['--control-token', path.join(stage.directory, 'token')],
      ],
    });
    mounted = JSON.parse(await readFile(gateway.configFile, 'utf8')) as ConfigDocument;
  });

  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
    await stage?.close();
  });

  const report = () => replica.server.reports.of(GATE.namespace, GATE.gateway).get(POD.uid)?.report;
  const change = (n: number): ConfigDocument => ({ ...mounted, limits: { ...mounted.limits, connections: n } });

  it('takes the newest of what is streamed and what is mounted', async () => {
    await vi.waitFor(() => expect(report()).toMatchObject({ sequence: 0 }), WAIT);
    const streamed = published(change(20), 20);
    replica.documents.publish(streamed, GATE);
    await vi.waitFor(() => expect(report()).toMatchObject({ revision: streamed.revision, sequence: 20 }), WAIT);
    const mount = async (n: number) => {
      // In this order, as two plain files change one after the other.
      await writeFile(gateway.configFile, JSON.stringify(change(n)));
      await writeFile(path.join(path.dirname(gateway.configFile), 'sequence'), String(n));
    };
    // The kubelet lags behind.
    await mount(19);
    await sleep(2500);
    expect(report()).toMatchObject({ revision: streamed.revision, sequence: 20, refused: null });
    // The operator is away, or slower than the kubelet.
    await mount(21);
    await vi.waitFor(() => expect(report()).toMatchObject({ revision: published(change(21), 21).revision }), WAIT);
    expect(report()?.sequence).toBe(21);
  });

  it('says farewell when it is ended, and ends well', async () => {
    const told: (boolean | null)[] = [];
    replica.server.reports.subscribe(() => told.push(report()?.draining ?? null));
    expect(await gateway.end('SIGTERM')).toBe(0);
    await vi.waitFor(() => expect(told).toEqual([true, null]), WAIT);
    expect(replica.metrics.counts).toMatchObject({ opened: 1, Closed: 1 });
  });

  it.each([
    ['one of three', ['--control', 'x:1']],
    ['no port', ['--control', 'x', '--control-ca', 'a', '--control-token', 'b']],
  ])('a call with %s is wrong', (_name, args) => {
    const program = path.join(import.meta.dirname, '../../gateway/main.ts');
    const call = [program, '--config', 'x', '--secrets', 'x', '--data', 'x', ...args];
    const { status, stderr } = spawnSync(process.execPath, call, { encoding: 'utf8' });
    expect([status, stderr]).toEqual([2, expect.stringContaining('--control')]);
  });
});
