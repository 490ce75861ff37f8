import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../gateway/telemetry/metrics.ts';
import { createOperatorMetrics } from '../../operator/telemetry/metrics.ts';
import { list, manifests, read } from './kit.ts';

const metrics = createMetrics();
metrics.parser(() => ({ hits: 0, misses: 0, restarts: 0, timeouts: 0 }));
metrics.alerts.waiting(() => 0);
const operator = createOperatorMetrics();
operator.kube.controller('any');
operator.watch([]);
afterAll(() => {
  metrics.close();
  operator.close();
});

/** Every series name that gateway and operator expose: a histogram has three. */
async function exposed(): Promise<ReadonlySet<string>> {
  const types = [...`${await metrics.expose()}\n${await operator.expose()}`.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  return new Set(
    types.flatMap(([, name, type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name! + end) : [name!],
    ),
  );
}

const namesIn = (expression: string): readonly string[] =>
  [...expression.replace(/\{[^}]*\}|by \([^)]*\)|"[^"]*"|\[[^\]]*\]/g, ' ').matchAll(/[a-z][a-z0-9_]*_[a-z0-9_]+/g)]
    .map(([name]) => name)
    .filter((name) => !['histogram_quantile', 'label_values'].includes(name));

const alerts = parse(read('charts/postern/files/alerts.yaml'));
const dashboards = list('charts/postern/files/dashboards').map((file) =>
  JSON.parse(read(`charts/postern/files/dashboards/${file}`)),
);
const expressions: readonly (readonly [string, string])[] = [
  ...alerts.groups.flatMap(({ rules }: { rules: { alert: string; expr: string }[] }) =>
    rules.map(({ alert, expr }) => [alert, expr] as const),
  ),
  ...dashboards.flatMap(({ panels }) =>
    panels.flatMap((panel: { title: string; targets: { expr: string }[] }) =>
      panel.targets.map(({ expr }) => [panel.title, expr] as const),
    ),
  ),
];

describe('expressions', () => {
  test('speak of metrics that there are', async () => {
    const known = await exposed();
    expect(expressions.length).toBeGreaterThan(20);
    for (const [where, expression] of expressions) {
      const names = namesIn(expression);
      expect(names.length, where).toBeGreaterThan(0);
      for (const name of names) expect(known, `${where}: ${expression}`).toContain(name);
    }
  });

  test('a metric that is not there would be found', async () => {
    expect(await exposed()).not.toContain(namesIn('rate(postern_statements_count{a="b"}[5m])')[0]);
  });
});

test('every alert says what is the matter and what to do, and has a severity', () => {
  for (const { rules } of alerts.groups)
    for (const { alert, labels, annotations } of rules) {
      expect(alert).toMatch(/^Postern[A-Z]/);
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(Object.keys(annotations)).toEqual(['summary', 'description']);
    }
});

test('alerts and dashboards reach the cluster as they are in the files', () => {
  const objects = manifests('test/chart/golden/everything.yaml');
  expect(objects.find(({ kind }) => kind === 'PrometheusRule').spec).toEqual(alerts);
  const { data } = objects.find(({ metadata }) => metadata.name === 'postern-dashboards');
  expect(Object.values(data as Record<string, string>).map((text) => JSON.parse(text))).toEqual(dashboards);
});

test('monitors find the ports by the names that Services and gateway pods give them', () => {
  const objects = manifests('test/chart/golden/everything.yaml');
  const find = (kind: string) => objects.find((one) => one.kind === kind);
  const service = objects.find(
    ({ kind, metadata }) => kind === 'Service' && metadata.name === 'postern-operator-metrics',
  );
  expect(service.metadata.labels).toMatchObject(find('ServiceMonitor').spec.selector.matchLabels);
  expect(service.spec.ports.map(({ name }: { name: string }) => name)).toContain(
    find('ServiceMonitor').spec.endpoints[0].port,
  );
  expect(find('PodMonitor').spec.podMetricsEndpoints[0].port).toBe('admin');
});
