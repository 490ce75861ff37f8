/** The Grafana dashboards as lists of panels; tools/generate-chart.ts writes them into the chart. */

interface Panel {
  readonly title: string;
  /** Legend and expression of each series. */
  readonly series: Readonly<Record<string, string>>;
  /** Grafana's name of the unit. */
  readonly unit: string;
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  /** A template variable that the expressions use, and the metric whose label gives its values. */
  readonly variables: Readonly<Record<string, string>>;
  readonly panels: readonly Panel[];
}

const GATEWAY = '{namespace=~"$namespace",postern_dev_gateway=~"$gateway"}';
const rate = (metric: string): string => `rate(${metric}${GATEWAY}[$__rate_interval])`;
const sum = (by: string, metric: string): string => `sum by (${by}) (${rate(metric)})`;
const quantile = (share: number, metric: string): string =>
  `histogram_quantile(${share}, sum by (le) (${rate(`${metric}_bucket`)}))`;
const quantiles = (metric: string): Record<string, string> => ({
  p50: quantile(0.5, metric),
  p99: quantile(0.99, metric),
});

const OPERATOR = '{job="postern-operator-metrics"}';
const byOperator = (labels: string, metric: string): string =>
  `sum by (${labels}) (rate(${metric}${OPERATOR}[$__rate_interval]))`;

export const DASHBOARDS: readonly Dashboard[] = [
  {
    uid: 'postern-gateways',
    title: 'Postern / Gateways',
    variables: {
      namespace: 'label_values(postern_connections_open, namespace)',
      gateway: 'label_values(postern_connections_open{namespace=~"$namespace"}, postern_dev_gateway)',
    },
    panels: [
      {
        title: 'Statements by verdict',
        unit: 'ops',
        series: { '{{verdict}}': sum('verdict', 'postern_statements_total') },
      },
      { title: 'Statements by class', unit: 'ops', series: { '{{class}}': sum('class', 'postern_statements_total') } },
      {
        title: 'Sign-ins by outcome',
        unit: 'ops',
        series: { '{{outcome}}': sum('outcome', 'postern_authentication_total') },
      },
      {
        title: 'Connections and sessions',
        unit: 'short',
        series: {
          connections: `sum(postern_connections_open${GATEWAY})`,
          sessions: `sum(postern_sessions_open${GATEWAY})`,
        },
      },
      {
        title: 'What the gateway adds to a statement',
        unit: 's',
        series: quantiles('postern_gateway_latency_seconds'),
      },
      { title: 'Duration of statements', unit: 's', series: quantiles('postern_statement_duration_seconds') },
      {
        title: 'Connections refused',
        unit: 'ops',
        series: { '{{reason}}': sum('reason', 'postern_connections_refused_total') },
      },
      { title: 'Bytes', unit: 'Bps', series: { '{{direction}}': sum('direction', 'postern_relayed_bytes_total') } },
      {
        title: 'The record: written, refused, unrecorded, lost',
        unit: 'ops',
        series: Object.fromEntries(
          ['records', 'refused', 'unrecorded', 'lost'].map((what) => [
            what,
            `sum(${rate(`postern_audit_${what}_total`)})`,
          ]),
        ),
      },
      {
        title: 'Lag of sinks',
        unit: 's',
        series: { '{{sink}}': `max by (sink) (postern_audit_lag_seconds${GATEWAY})` },
      },
      { title: 'Alerts', unit: 'ops', series: { '{{reason}}': sum('reason', 'postern_alerts_total') } },
      {
        title: 'Pods by revision',
        unit: 'short',
        series: { '{{revision}}': `count by (revision) (postern_config_revision_info${GATEWAY})` },
      },
      { title: 'Parser cache', unit: 'ops', series: { '{{result}}': sum('result', 'postern_parser_cache_total') } },
      {
        title: 'Delay of the event loop (p99)',
        unit: 's',
        series: {
          '{{pod}}': `max by (pod) (postern_event_loop_delay_seconds{quantile="0.99",namespace=~"$namespace",postern_dev_gateway=~"$gateway"})`,
        },
      },
      {
        title: 'Memory',
        unit: 'bytes',
        series: { '{{pod}}': `max by (pod) (process_resident_memory_bytes${GATEWAY})` },
      },
    ],
  },
  {
    uid: 'postern-operator',
    title: 'Postern / Operator',
    variables: {},
    panels: [
      { title: 'Leader', unit: 'short', series: { '{{pod}}': `leader_election_master_status${OPERATOR}` } },
      {
        title: 'Gateways by the reason of Ready',
        unit: 'short',
        series: {
          '{{reason}}': `count by (reason) (postern_gateway_condition{job="postern-operator-metrics",condition="Ready"})`,
        },
      },
      {
        title: 'From an edit that is published to all pods that confirm it',
        unit: 's',
        series: {
          p50: `histogram_quantile(0.5, ${byOperator('le', 'postern_config_propagation_seconds_bucket')})`,
          p99: `histogram_quantile(0.99, ${byOperator('le', 'postern_config_propagation_seconds_bucket')})`,
        },
      },
      {
        title: 'Control streams',
        unit: 'short',
        series: { '{{pod}}': `postern_control_streams${OPERATOR}` },
      },
      {
        title: 'Reconciliations',
        unit: 'ops',
        series: { '{{controller}} {{result}}': byOperator('controller, result', 'controller_runtime_reconcile_total') },
      },
      {
        title: 'Length of a reconciliation (p99)',
        unit: 's',
        series: {
          '{{controller}}': `histogram_quantile(0.99, ${byOperator('controller, le', 'controller_runtime_reconcile_time_seconds_bucket')})`,
        },
      },
      { title: 'Keys that wait', unit: 'short', series: { '{{name}}': `max by (name) (workqueue_depth${OPERATOR})` } },
      {
        title: 'Requests to the API server',
        unit: 'ops',
        series: { '{{method}} {{code}}': byOperator('method, code', 'rest_client_requests_total') },
      },
      {
        title: 'Lists and watches that failed',
        unit: 'ops',
        series: { '{{resource}} {{reason}}': byOperator('resource, reason', 'postern_reflector_failures_total') },
      },
      {
        title: 'Changes that a watch had missed',
        unit: 'short',
        series: { '{{resource}}': `sum by (resource) (postern_reflector_missed_changes_total${OPERATOR})` },
      },
      {
        title: 'Caches that are not the whole truth',
        unit: 'short',
        series: { '{{resource}}': `max by (resource) (postern_cache_incomplete${OPERATOR})` },
      },
      {
        title: 'Delay of the event loop (p99)',
        unit: 's',
        series: { '{{pod}}': 'postern_event_loop_delay_seconds{quantile="0.99",job="postern-operator-metrics"}' },
      },
      { title: 'Memory', unit: 'bytes', series: { '{{pod}}': `process_resident_memory_bytes${OPERATOR}` } },
    ],
  },
];

const HEIGHT = 8;
const WIDTH = 12;

/** The dashboard as Grafana imports it, two panels a row. */
export function render({ uid, title, variables, panels }: Dashboard): unknown {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own variable
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  return {
    uid,
    title,
    tags: ['postern'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    time: { from: 'now-3h', to: 'now' },
    refresh: '1m',
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus' },
        ...Object.entries(variables).map(([name, query]) => ({
          name,
          type: 'query',
          datasource,
          query,
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        })),
      ],
    },
    panels: panels.map((panel, index) => ({
      id: index + 1,
      type: 'timeseries',
      title: panel.title,
      datasource,
      gridPos: { x: (index % 2) * WIDTH, y: Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
      fieldConfig: { defaults: { unit: panel.unit, min: 0 }, overrides: [] },
      targets: Object.entries(panel.series).map(([legend, expr], at) => ({
        refId: String.fromCharCode(65 + at),
        datasource,
        expr,
        legendFormat: legend,
      })),
    })),
  };
}
