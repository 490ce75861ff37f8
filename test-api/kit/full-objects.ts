type Object = Record<string, unknown>;

const labels = {
  matchLabels: { team: 'shop' },
  matchExpressions: [{ key: 'tier', operator: 'In', values: ['web', 'batch'] }],
};
const TARGETS = [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'orders' }];
const SUBJECTS = [
  { user: 'ann@example.com' },
  { group: 'analysts' },
  { serviceAccount: { namespace: 'jobs', name: 'nightly' } },
];
const header = (kind: string, spec: Object): Object => ({
  apiVersion: 'postern.dev/v1alpha1',
  kind,
  metadata: { name: 'orders', namespace: 'full' },
  spec,
});

const MASKS = [
  { type: 'Partial', prefix: 1, suffix: 4 },
  { type: 'Hash', domain: 'person' },
  { type: 'Truncate', unit: 'Year' },
  { type: 'Range', step: 10 },
  { type: 'Constant', value: 'x' },
];

const GATEWAY = {
  replicas: 3,
  upstream: {
    host: 'db.shop.svc',
    port: 5432,
    tls: { mode: 'VerifyFull', caSecretRef: { name: 'db-ca', key: 'ca.crt' } },
    authentication: ['ScramSha256', 'Md5'],
    connectTimeout: '3s',
    roles: [
      { name: 'ro', secretRef: { name: 'ro-login' } },
      { name: 'rw', secretRef: { name: 'rw-login' } },
    ],
    catalogRole: 'ro',
  },
  listeners: [
    { name: 'token', port: 5432, authentication: 'Token' },
    { name: 'oauth', port: 5433, authentication: 'OAuthBearer' },
    { name: 'mtls', port: 5434, authentication: 'Certificate' },
  ],
  tls: { mode: 'Required', minVersion: '1.3', secretRef: { name: 'orders-tls' } },
  identity: {
    issuers: [
      {
        name: 'corp',
        url: 'https://login.example.com',
        audiences: ['postern'],
        algorithms: ['RS256'],
        claims: { username: 'email', groups: 'groups' },
        caSecretRef: { name: 'login-ca', key: 'ca.crt' },
      },
      { name: 'cluster', kubernetes: { audience: 'postern' } },
    ],
    certificates: { caSecretRef: { name: 'people-ca', key: 'ca.crt' } },
    clockSkew: '30s',
  },
  limits: {
    connections: 100,
    connectionsPerIdentity: 10,
    connectionsPerSource: 50,
    statementBytes: 65536,
    handshake: '5s',
    idle: '10m',
    sessionAge: '8h',
    drain: '1m',
  },
  audit: {
    durability: 'Synced',
    onFailure: 'Allow',
    spool: { size: '2Gi', volumeClaimTemplate: { storageClassName: 'fast' } },
    recording: { mode: 'None', sessionBytes: '1Mi' },
    redaction: { parameters: 'Omit', literals: 'Omit' },
    sinks: [
      { name: 'log', stdout: {} },
      { name: 'collector', otlp: { endpoint: 'http://collector:4318' } },
      {
        name: 'archive',
        s3: {
          bucket: 'audit',
          prefix: 'postern/',
          region: 'eu-central-1',
          endpoint: 'https://s3.example.com',
          secretRef: { name: 'audit-s3' },
          objectLock: { mode: 'Compliance', days: 400 },
        },
      },
    ],
    alerts: { webhookSecretRef: { name: 'alerts' }, statements: 'Keep' },
  },
  pod: {
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    nodeSelector: { pool: 'db' },
    tolerations: [
      { key: 'db', operator: 'Equal', value: 'yes', effect: 'NoExecute', tolerationSeconds: 60 },
      { operator: 'Exists' },
    ],
    topologySpread: 'Node',
    labels: { team: 'shop' },
    annotations: { note: 'kept' },
  },
  autoscaling: { minReplicas: 2, maxReplicas: 4, targetCPU: 60 },
  network: { from: [{ namespaceSelector: labels, podSelector: labels }] },
  telemetry: { traces: { endpoint: 'http://collector:4318' } },
};

/** All that this version of the gateway can do, and quantities in forms that the API server writes in another. */
export const FULL_GATEWAY: Object = {
  ...GATEWAY,
  audit: {
    ...GATEWAY.audit,
    spool: { size: '1Gi', emptyDir: {} },
    sinks: [{ name: 'log', stdout: {} }],
  },
  pod: {
    ...GATEWAY.pod,
    resources: { requests: { cpu: '0.5', memory: '1024Mi' }, limits: { cpu: '1000m', memory: '1.5Gi' } },
  },
};

const POLICY = {
  targetRefs: TARGETS,
  subjects: SUBJECTS,
  databases: ['orders'],
  role: 'ro',
  rules: [
    {
      name: 'fix',
      action: 'RequireApproval',
      statements: ['Update', 'Delete'],
      relations: ['public.orders'],
      functions: ['app.add_tax(numeric)'],
      reach: ['Keyed', 'Filtered'],
      maxRows: 10,
      approval: { approvers: SUBJECTS, quorum: 2, timeout: '5m', validFor: '1m' },
      message: 'Ask the DBAs.',
      alert: true,
    },
  ],
  session: {
    maxAge: '1h',
    idle: '5m',
    statementTimeout: '30s',
    rows: 1000,
    readOnly: true,
    settings: ['work_mem'],
  },
  limits: { sessions: 3, statementsPerMinute: 60, rowsPerDay: 100000, bytesPerDay: '1Gi' },
  window: { days: ['Mon', 'Fri'], from: '07:00', to: '20:00', timeZone: 'Europe/Berlin' },
  mode: 'Audit',
  expiresAt: '2026-12-31T00:00:00Z',
};

const MASK = {
  targetRefs: TARGETS,
  hashKeySecretRef: { name: 'mask-key', key: 'k' },
  columns: MASKS.map((mask, i) => ({ schema: 'public', table: 'customers', column: `c${i}`, mask })),
  detectors: [
    { type: 'Custom', pattern: 'ACME-[0-9]{6}', mask: { type: 'Partial', prefix: 1, suffix: 4 } },
    { type: 'Email', mask: { type: 'Constant', value: 'x' } },
  ],
  subjects: SUBJECTS,
  except: SUBJECTS,
  trustedFunctions: ['public.order_total(bigint)'],
  trustedRelations: ['public.remote'],
  trustedChannels: ['events'],
};

const REQUEST = {
  type: 'Statement',
  gateway: 'orders',
  requester: {
    issuer: 'corp',
    user: 'ann',
    actor: 'agent',
    groups: ['analysts'],
    session: 's-1',
    clientAddress: '10.0.0.1',
  },
  policy: { name: 'fix', rule: 'fix', revision: '0'.repeat(64) },
  statement: {
    normalized: 'SELECT $1',
    text: 'SELECT 1',
    digest: `hmac-sha256:${'0'.repeat(64)}`,
    fingerprint: 'ab12',
    relations: ['public.orders'],
    verbs: ['Update'],
    role: 'ro',
    estimatedRows: 5,
  },
  reason: 'a ticket',
  expiresAt: '2026-12-31T00:00:00Z',
  decisions: ['group', 'user'].map((capacity) => ({
    issuer: 'corp',
    approver: `ben-${capacity}`,
    as: { [capacity]: 'dba' },
    verdict: 'Approve',
    comment: 'fine',
    channel: 'Kubectl',
    authTime: '2026-11-01T00:00:00Z',
  })),
  withdrawn: true,
};

/** Objects that, taken together, set every field that there is; the API server takes each of them. */
export const FULL_OBJECTS: readonly Object[] = [
  header('PostgresGateway', GATEWAY),
  header('PostgresGateway', {
    ...GATEWAY,
    upstream: { ...GATEWAY.upstream, host: undefined, port: undefined, hosts: [{ host: 'a', port: 5432 }] },
    audit: { ...GATEWAY.audit, spool: { size: '1Gi', emptyDir: {} } },
  }),
  header('AccessPolicy', POLICY),
  header('MaskingRule', MASK),
  header('AccessRequest', REQUEST),
  header('AccessRequest', { ...REQUEST, type: 'Access', statement: undefined, access: { duration: '1h' } }),
];

/** Fields that no object can have, because rules forbid them to all types that may stand there; their bounds hold. */
export const FORBIDDEN_FIELDS: readonly Object[] = [
  header('MaskingRule', {
    ...MASK,
    detectors: [{ type: 'Email', mask: { type: 'Redact', domain: 'd', unit: 'Year', step: 1 } }],
  }),
];
