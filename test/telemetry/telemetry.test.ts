import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { SessionContext } from '../../gateway/audit/record.ts';
import { type Admin, type AdminOptions, openAdmin } from '../../gateway/telemetry/admin.ts';
import { createLogger } from '../../gateway/telemetry/logs.ts';
import { createMetrics, type Metrics } from '../../gateway/telemetry/metrics.ts';
import { createTracing } from '../../gateway/telemetry/traces.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) {
    await one.close();
  }
});

function metrics(): Metrics {
  const created = createMetrics();
  open.push(created);
  return created;
}

async function samples(of: Metrics): Promise<Map<string, number>> {
  const lines = (await of.expose()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('metrics', () => {
  it('count by label', async () => {
    const m = metrics();
    m.connectionsOpened('people').inc();
    m.connectionsOpened('people').inc(2);
    m.connectionsRefused('LimitReached').inc();
    m.connectionsOpen.inc();
    m.sessionsOpen.set(5);
    m.sessionsOpen.dec();
    m.authentication('Success').inc();
    m.statements('Deny', 'Ddl', 'Simple').inc();
    m.statements('Allow', 'Select', 'Extended').inc(7);
    m.statementDuration.observe(0.003);
    m.gatewayLatency.observe(0.0002);
    m.gatewayLatency.observe(0.00005);
    m.gatewayLatency.observe(7);
    m.parser(() => ({ hits: 5, misses: 2, restarts: 1, timeouts: 1 }));
    m.revisionsRefused.inc();
    m.cancelRequests('Unknown').inc();
    m.bytes('Downstream').inc(1024);
    m.audit.written.inc(3);
    m.audit.unavailable.set(1);
    m.audit.lag('stdout', () => 2.5);
    const found = await samples(m);
    expect(
      Object.fromEntries([...found].filter(([name]) => name.startsWith('postern_') && !name.includes('bucket'))),
    ).toMatchObject({
      'postern_connections_opened_total{listener="people"}': 3,
      'postern_connections_refused_total{reason="LimitReached"}': 1,
      postern_connections_open: 1,
      postern_sessions_open: 4,
      'postern_authentication_total{outcome="Success"}': 1,
      'postern_statements_total{verdict="Deny",class="Ddl",protocol="Simple"}': 1,
      'postern_statements_total{verdict="Allow",class="Select",protocol="Extended"}': 7,
      postern_statement_duration_seconds_count: 1,
      postern_gateway_latency_seconds_sum: 7.00025,
      postern_gateway_latency_seconds_count: 3,
      'postern_parser_cache_total{result="Hit"}': 5,
      'postern_parser_cache_total{result="Miss"}': 2,
      postern_config_refused_total: 1,
      postern_parser_restarts_total: 1,
      postern_parser_timeouts_total: 1,
      'postern_cancel_requests_total{outcome="Unknown"}': 1,
      'postern_relayed_bytes_total{direction="Downstream"}': 1024,
      postern_audit_records_total: 3,
      postern_audit_unavailable: 1,
      'postern_audit_lag_seconds{sink="stdout"}': 2.5,
    });
    expect(found.get('postern_gateway_latency_seconds_bucket{le="0.00005"}')).toBe(1);
    expect(found.get('postern_gateway_latency_seconds_bucket{le="0.00025"}')).toBe(2);
    expect(found.get('postern_gateway_latency_seconds_bucket{le="1"}')).toBe(2);
    expect(found.get('postern_gateway_latency_seconds_bucket{le="+Inf"}')).toBe(3);
    expect(found.has('process_cpu_seconds_total')).toBe(true);
  });

  it('are the same after a second scrape', async () => {
    const m = metrics();
    m.audit.written.inc(3);
    await m.expose();
    expect((await samples(m)).get('postern_audit_records_total')).toBe(3);
  });

  it('show a counter that has not counted as zero where it has no labels', async () => {
    expect((await samples(metrics())).get('postern_audit_lost_total')).toBe(0);
  });

  it('show one revision, the one in force', async () => {
    const m = metrics();
    m.revision('aaaa');
    m.revision('bbbb');
    const revisions = [...(await samples(m)).keys()].filter((name) => name.startsWith('postern_config_revision_info'));
    expect(revisions).toEqual(['postern_config_revision_info{revision="bbbb"}']);
  });

  it('show the delay of the event loop', async () => {
    const m = metrics();
    const until = performance.now() + 60;
    await new Promise((resolve) => setTimeout(resolve, 15));
    while (performance.now() < until) {
      // Holds the event loop up.
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
    const delay = (await samples(m)).get('postern_event_loop_delay_seconds{quantile="1"}');
    expect(delay).toBeGreaterThan(0.02);
    expect(delay).toBeLessThan(5);
  });

  it('follow the naming conventions', async () => {
    const m = metrics();
    m.bytes('Upstream').inc();
    m.statements('Allow', 'Select', 'Simple').inc();
    const text = await m.expose();
    for (const [, name, type] of text.matchAll(/^# TYPE (postern_\S+) (\S+)$/gm)) {
      expect(name?.endsWith('_total')).toBe(type === 'counter');
      if (type === 'histogram') {
        expect(name).toMatch(/_seconds$/);
      }
    }
  });
});

async function admin(change: Partial<AdminOptions> = {}): Promise<Admin> {
  const opened = await openAdmin({
    port: 0,
    host: '127.0.0.1',
    live: [],
    ready: [],
    metrics: { expose: () => Promise.resolve('x 1\n'), contentType: 'text/plain; version=0.0.4' },
    ...change,
  });
  open.push(opened);
  return opened;
}

describe('the admin server', () => {
  const cases = [
    { name: 'says that it lives', path: '/livez', method: 'GET', status: 200, body: 'ok\n' },
    {
      name: 'lists what keeps it from being ready',
      path: '/readyz',
      method: 'GET',
      status: 503,
      body: 'audit: ENOSPC\n',
    },
    { name: 'serves metrics', path: '/metrics?x=1', method: 'GET', status: 200, body: 'x 1\n' },
    { name: 'answers HEAD without a body', path: '/readyz', method: 'HEAD', status: 503, body: '' },
    { name: 'knows nothing else', path: '/', method: 'GET', status: 404, body: 'not found\n' },
    { name: 'knows no path by prefix', path: '/metrics/x', method: 'GET', status: 404, body: 'not found\n' },
    { name: 'only reads', path: '/livez', method: 'POST', status: 405, body: 'method not allowed\n' },
  ];
  it.each(cases)('$name: $method $path', async ({ path, method, status, body }) => {
    const { port } = await admin({
      ready: [
        { name: 'config', check: () => null },
        { name: 'audit', check: () => 'ENOSPC' },
      ],
    });
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    expect([response.status, await response.text()]).toEqual([status, body]);
  });

  it('turns a failing scrape into an answer without details', async () => {
    const { port } = await admin({
      metrics: { contentType: 'text/plain', expose: () => Promise.reject(new Error('inner detail')) },
    });
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect([response.status, await response.text()]).toEqual([500, 'internal error\n']);
  });

  it('refuses headers beyond its limit', async () => {
    const { port } = await admin();
    const response = await fetch(`http://127.0.0.1:${port}/livez`, { headers: { x: 'y'.repeat(20_000) } });
    expect(response.status).toBe(431);
  });

  it('rejects where the port is taken', async () => {
    const { port } = await admin();
    await expect(admin({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('closes although a client keeps its connection', async () => {
    const opened = await admin();
    const socket = connect(opened.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    await opened.close();
    open.splice(0);
    socket.destroy();
  });
});

describe('the operational log', () => {
  it('keeps the values of secrets out, at every level that is used', () => {
    let text = '';
    const log = createLogger({ base: { pod: 'p' }, destination: { write: (line: string) => (text += line) } });
    const secret = 'hunter2';
    log.info(
      {
        password: secret,
        token: secret,
        upstream: { password: secret, key: secret, user: 'bob' },
        request: { headers: { authorization: secret, cookie: secret } },
        secret,
      },
      'signed in',
    );
    expect(text).not.toContain(secret);
    expect(JSON.parse(text)).toMatchObject({ pod: 'p', msg: 'signed in', upstream: { user: 'bob' } });
  });
});

const SESSION: SessionContext = {
  id: 'session-1',
  identity: {
    username: 'alice@example.com',
    groups: [],
    issuer: 'corp',
    method: 'Token',
    expiresAt: 0,
    subject: 'sub-alice',
    credentialId: null,
  },
  database: 'orders',
  role: 'analyst_ro',
  listener: 'people',
  client: { address: '10.1.2.3', port: 1 },
  tls: null,
  server: { address: 'db', port: 5432, version: '18.4', pid: 1 },
  applicationName: 'psql',
};

describe('traces', () => {
  it('without an endpoint are one object that does nothing', async () => {
    const tracing = await createTracing(null, { namespace: 'shop', name: 'orders' });
    const session = tracing.session(SESSION);
    expect(session).toBe(tracing.session(SESSION));
    expect(session.statement).toBeNull();
    session.end('Drain');
    await tracing.shutdown();
  });

  it('are sent to the collector at shutdown, without text and without who', async () => {
    const bodies: string[] = [];
    const paths: string[] = [];
    const collector = await new Promise<Server>((resolve) => {
      const server = createServer((request, response) => {
        let body = '';
        request.on('data', (chunk) => {
          body += chunk;
        });
        request.on('end', () => {
          bodies.push(body);
          paths.push(request.url ?? '');
          response.setHeader('content-type', 'application/json').end('{}');
        });
      }).listen(0, '127.0.0.1', () => resolve(server));
    });
    open.push({ close: () => collector.close() });
    const address = collector.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const tracing = await createTracing(`http://127.0.0.1:${port}`, { namespace: 'shop', name: 'orders' });
    const session = tracing.session(SESSION);
    session.statement?.({ statement: 7, protocol: 'Extended', operation: 'Update', verdict: 'Allow' }).end({
      status: 'Failed',
      sqlstate: '23505',
      rows: 0,
    });
    session.end('ClientTerminate');
    await tracing.shutdown();
    expect(paths).toEqual(['/v1/traces']);
    const all = bodies.join('');
    const spans = JSON.parse(all).resourceSpans[0].scopeSpans[0].spans;
    interface OtlpSpan {
      readonly attributes: readonly { readonly key: string; readonly value: object }[];
    }
    const attributes = (span: OtlpSpan) =>
      Object.fromEntries(span.attributes.map((a) => [a.key, Object.values(a.value)[0]]));
    expect(spans.map((span: { name: string }) => span.name)).toEqual(['Update orders', 'session orders']);
    expect(attributes(spans[0])).toMatchObject({
      'db.system.name': 'postgresql',
      'db.namespace': 'orders',
      'db.operation.name': 'Update',
      'db.response.status_code': '23505',
      'postern.session.id': 'session-1',
    });
    expect(spans[0].links[0].spanId).toBe(spans[1].spanId);
    expect(spans[0].status.code).toBe(2);
    expect(['alice', '10.1.2.3'].filter((word) => all.includes(word))).toEqual([]);
  });

  it('do not hold a shutdown up when the collector is gone', async () => {
    const tracing = await createTracing('http://127.0.0.1:1', { namespace: 'shop', name: 'orders' });
    tracing.session(SESSION).end('Drain');
    const from = performance.now();
    await tracing.shutdown();
    expect(performance.now() - from).toBeLessThan(6000);
  });
});
