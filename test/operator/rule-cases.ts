import { gatewayYaml, maskYaml, policyYaml, requestYaml } from './manifests.ts';

type Object = Record<string, unknown>;

const rule = (parts: object) =>
  policyYaml('p', {
    rules: [{ name: 'r', action: 'Allow', statements: ['Select'], relations: ['public.*'], ...parts }],
  });
const column = (mask: object, more: object = {}) =>
  maskYaml('m', { columns: [{ schema: 's', table: 't', column: 'c', mask }], ...more });
const detector = (parts: object) =>
  maskYaml('m', { detectors: [{ type: 'Email', mask: { type: 'Redact' }, ...parts }] });
const upstream = (parts: object) =>
  gatewayYaml({
    upstream: { host: 'db', roles: [{ name: 'ro', secretRef: { name: 'x' } }], catalogRole: 'ro', ...parts },
  });
const issuers = (...list: object[]) => gatewayYaml({ identity: { issuers: list } });
const TOKEN = { name: 'token', port: 5432, authentication: 'Token' };
const MTLS = { name: 'mtls', port: 5434, authentication: 'Certificate' };
const CORP = { name: 'corp', url: 'https://login.example.com', audiences: ['postern'], claims: { username: 'sub' } };
const KUBERNETES = { name: 'cluster', kubernetes: { audience: 'postern' } };
const LOG = { name: 'log', stdout: {} };
const COLLECTOR = { name: 'collector', otlp: { endpoint: 'http://c:4318' } };
const DBA = [{ group: 'dba' }];
const statement = { normalized: 'SELECT $1', digest: `hmac-sha256:${'0'.repeat(64)}`, role: 'ro' };
const requester = { issuer: 'corp', user: 'ann' };
const decision = { issuer: 'corp', approver: 'ann', as: { group: 'dba' }, verdict: 'Approve', channel: 'Cli' };

const ca = { caSecretRef: { name: 'ca' } };
const access = { type: 'Access', access: { duration: '1h' } };

/** For every CEL rule that a new object can break: what breaks it, and the nearest that does not. */
export const RULE_CASES: readonly [name: string, refused: Object, neighbour: Object][] = [
  [
    'a listener at a port of the gateway’s own',
    gatewayYaml({ listeners: [{ name: 'token', port: 9090, authentication: 'Token' }] }),
    gatewayYaml({ listeners: [{ name: 'token', port: 9091, authentication: 'Token' }] }),
  ],
  [
    'a listener with the name of a port of the gateway’s own',
    gatewayYaml({ listeners: [{ name: 'peers', port: 5432, authentication: 'Token' }] }),
    gatewayYaml({ listeners: [{ name: 'peer', port: 5432, authentication: 'Token' }] }),
  ],
  ['a granting policy without role', policyYaml('p', { role: null }), policyYaml('p')],
  [
    'a subject of two kinds',
    policyYaml('p', { subjects: [{ user: 'a', group: 'b' }] }),
    policyYaml('p', { subjects: [{ user: 'a' }, { group: 'b' }] }),
  ],
  [
    'Any beside others',
    rule({ statements: ['Any', 'Select'], relations: ['*.*'] }),
    rule({ statements: ['Any'], relations: ['*.*'] }),
  ],
  ['Unknown allowed', rule({ statements: ['Unknown'] }), rule({ action: 'Deny', statements: ['Unknown'] })],
  ['reach of a read', rule({ reach: ['Keyed'] }), rule({ statements: ['Update'], reach: ['Keyed'] })],
  ['maxRows of a read', rule({ maxRows: 1 }), rule({ statements: ['Update'], maxRows: 1 })],
  [
    'approval without its terms',
    rule({ action: 'RequireApproval' }),
    rule({ action: 'RequireApproval', approval: { approvers: DBA } }),
  ],
  ['a pattern without schema', rule({ relations: ['orders'] }), rule({ relations: ['public.orders'] })],
  ['a function without arguments', rule({ functions: ['app.add_tax'] }), rule({ functions: ['app.add_tax(numeric)'] })],
  [
    'an approver of two kinds',
    rule({ action: 'RequireApproval', approval: { approvers: [{ user: 'a', group: 'b' }] } }),
    rule({ action: 'RequireApproval', approval: { approvers: [{ user: 'a' }] } }),
  ],
  [
    'an empty window',
    policyYaml('p', { window: { from: '07:00', to: '07:00', timeZone: 'UTC' } }),
    policyYaml('p', { window: { from: '07:00', to: '07:01', timeZone: 'UTC' } }),
  ],
  [
    'a statement in a request for access',
    requestYaml('r', { statement }),
    requestYaml('r', { type: 'Statement', access: null, statement }),
  ],
  ['no access in a request for access', requestYaml('r', { access: null }), requestYaml('r', access)],
  [
    'breaking glass without a reason',
    requestYaml('r', { type: 'BreakGlass' }),
    requestYaml('r', { type: 'BreakGlass', reason: 'fire' }),
  ],
  [
    'deciding for oneself',
    requestYaml('r', { decisions: [decision] }),
    requestYaml('r', { decisions: [{ ...decision, issuer: 'other' }] }),
  ],
  [
    'a decision as two',
    requestYaml('r', { decisions: [{ ...decision, approver: 'ben', as: { group: 'a', user: 'b' } }] }),
    requestYaml('r', { decisions: [{ ...decision, approver: 'ben', as: { user: 'b' } }] }),
  ],
  ['nothing to hide', maskYaml('m', { columns: null }), maskYaml('m')],
  ['Hash without key', column({ type: 'Hash' }), column({ type: 'Hash' }, { hashKeySecretRef: { name: 'k' } })],
  ['Partial without length', column({ type: 'Partial' }), column({ type: 'Partial', prefix: 1 })],
  [
    'a domain of a Redact',
    column({ type: 'Redact', domain: 'd' }),
    column({ type: 'Hash', domain: 'd' }, { hashKeySecretRef: { name: 'k' } }),
  ],
  ['a unit of a Redact', column({ type: 'Redact', unit: 'Year' }), column({ type: 'Truncate', unit: 'Year' })],
  ['a step of a Redact', column({ type: 'Redact', step: 10 }), column({ type: 'Range', step: 10 })],
  ['Truncate without unit or step', column({ type: 'Truncate' }), column({ type: 'Truncate', step: 10 })],
  ['Range without step', column({ type: 'Range' }), column({ type: 'Range', step: 1 })],
  ['a Constant without value', column({ type: 'Constant' }), column({ type: 'Constant', value: 'x' })],
  ['Custom without pattern', detector({ type: 'Custom' }), detector({ type: 'Custom', pattern: 'A' })],
  ['a detector that nulls', detector({ mask: { type: 'Null' } }), detector({ mask: { type: 'Partial', suffix: 4 } })],
  ...(
    [
      ['Partial without length', { type: 'Partial' }, { type: 'Partial', prefix: 0 }],
      ['a domain', { type: 'Redact', domain: 'd' }, { type: 'Redact' }],
      ['a unit', { type: 'Redact', unit: 'Year' }, { type: 'Redact' }],
      ['a step', { type: 'Redact', step: 1 }, { type: 'Redact' }],
      ['a Constant without value', { type: 'Constant' }, { type: 'Constant', value: '' }],
    ] as const
  ).map(([name, bad, good]): [string, Object, Object] => [
    `${name} in a detector`,
    detector({ mask: bad }),
    detector({ mask: good }),
  ]),
  [
    'a masked subject of two kinds',
    maskYaml('m', { subjects: [{ user: 'a', group: 'b' }] }),
    maskYaml('m', { subjects: [{ group: 'b' }] }),
  ],
  [
    'an exception of two kinds',
    maskYaml('m', { except: [{ user: 'a', group: 'b' }] }),
    maskYaml('m', { except: [{ serviceAccount: { namespace: 'n', name: 's' } }] }),
  ],
  [
    'a name that no Service can have',
    { ...gatewayYaml(), metadata: { name: 'orders.v1', namespace: 'shop' } },
    { ...gatewayYaml(), metadata: { name: 'orders-v1', namespace: 'shop' } },
  ],
  [
    'a name too long for a Service',
    { ...gatewayYaml(), metadata: { name: 'o'.repeat(64), namespace: 'shop' } },
    { ...gatewayYaml(), metadata: { name: 'o'.repeat(63), namespace: 'shop' } },
  ],
  [
    'a port twice',
    gatewayYaml({ listeners: [TOKEN, { ...TOKEN, name: 'other' }] }),
    gatewayYaml({ listeners: [TOKEN, { ...TOKEN, name: 'other', port: 5433 }] }),
  ],
  [
    'certificates of nobody',
    gatewayYaml({ listeners: [TOKEN, MTLS] }),
    gatewayYaml({ listeners: [TOKEN, MTLS], identity: { issuers: [CORP], certificates: ca } }),
  ],
  ['tokens of nobody', gatewayYaml({ identity: {} }), gatewayYaml({ identity: { issuers: [CORP] } })],
  [
    'certificates without TLS',
    gatewayYaml({ listeners: [MTLS], tls: { mode: 'Optional' }, identity: { certificates: ca } }),
    gatewayYaml({
      listeners: [MTLS],
      tls: { mode: 'Optional', secretRef: { name: 'tls' } },
      identity: { certificates: ca },
    }),
  ],
  ['host and hosts', upstream({ hosts: [{ host: 'a' }] }), upstream({ host: null, hosts: [{ host: 'a' }] })],
  [
    'a port beside hosts',
    upstream({ host: null, hosts: [{ host: 'a' }], port: 5432 }),
    upstream({ host: null, hosts: [{ host: 'a', port: 5432 }] }),
  ],
  ['a catalogue role that is none', upstream({ catalogRole: 'root' }), upstream({ catalogRole: 'ro' })],
  [
    'a clear password',
    upstream({ tls: { mode: 'Disable' }, authentication: ['Password'] }),
    upstream({ tls: { mode: 'Require' }, authentication: ['Password'] }),
  ],
  ['VerifyCA without a CA', upstream({ tls: { mode: 'VerifyCA' } }), upstream({ tls: { mode: 'VerifyCA', ...ca } })],
  [
    'a CA that nobody looks at',
    upstream({ tls: { mode: 'Require', ...ca } }),
    upstream({ tls: { mode: 'VerifyFull', ...ca } }),
  ],
  ['TLS without a certificate', gatewayYaml({ tls: {} }), gatewayYaml({ tls: { mode: 'Optional' } })],
  ['two clusters', issuers(KUBERNETES, { ...KUBERNETES, name: 'other' }), issuers(KUBERNETES, CORP)],
  ['an issuer of two kinds', issuers({ ...CORP, ...KUBERNETES }), issuers(KUBERNETES)],
  ['an issuer for any audience', issuers({ name: 'corp', url: CORP.url }), issuers(CORP)],
  ['claims of the cluster', issuers({ ...KUBERNETES, claims: { username: 'sub' } }), issuers(KUBERNETES)],
  [
    'an issuer over http',
    issuers({ ...CORP, url: 'http://login.example.com' }),
    issuers({ ...CORP, url: 'http://127.0.0.1:9400' }),
  ],
  ['a reserved name', issuers({ ...CORP, name: 'certificate' }), issuers({ ...CORP, name: 'certificates' })],
  [
    'Acknowledged by nobody',
    gatewayYaml({ audit: { durability: 'Acknowledged', sinks: [LOG] } }),
    gatewayYaml({ audit: { durability: 'Acknowledged', sinks: [LOG, COLLECTOR] } }),
  ],
  [
    'a spool twice',
    gatewayYaml({ audit: { spool: { emptyDir: {}, volumeClaimTemplate: {} } } }),
    gatewayYaml({ audit: { spool: { volumeClaimTemplate: {} } } }),
  ],
  [
    'a sink of two kinds',
    gatewayYaml({ audit: { sinks: [{ ...LOG, ...COLLECTOR }] } }),
    gatewayYaml({ audit: { sinks: [COLLECTOR] } }),
  ],
  [
    'a floor above the ceiling',
    gatewayYaml({ autoscaling: { minReplicas: 3, maxReplicas: 2 } }),
    gatewayYaml({ autoscaling: { minReplicas: 2, maxReplicas: 2 } }),
  ],
  [
    'ingress from nowhere',
    gatewayYaml({ network: { from: [{}] } }),
    gatewayYaml({ network: { from: [{ podSelector: {} }] } }),
  ],
];

/** Objects that use what the neighbours do not. */
export const GOOD_CASES: readonly [name: string, object: Object][] = [
  ['a gateway', gatewayYaml()],
  ['an issuer on loopback', issuers({ ...CORP, url: 'http://127.0.0.1:9400' })],
  ['several servers', upstream({ host: null, hosts: [{ host: 'a', port: 5433 }] })],
  ['certificates', gatewayYaml({ listeners: [MTLS], identity: { certificates: { caSecretRef: { name: 'ca' } } } })],
  ['a policy', policyYaml('p')],
  [
    'a policy that only denies',
    policyYaml('p', { role: null, rules: [{ name: 'r', action: 'Deny', statements: ['Ddl', 'Unknown'] }] }),
  ],
  ['everything', rule({ statements: ['Any'], relations: ['*.*'] })],
  ['a write by key', rule({ statements: ['Update', 'Delete'], reach: ['Keyed'], maxRows: 5 })],
  ['quoted names', rule({ relations: ['"My Schema"."T""x"'], functions: ['app.f(integer, text)'] })],
  ['approval', rule({ action: 'RequireApproval', statements: ['Update'], approval: { approvers: DBA } })],
  [
    'masks of every kind',
    maskYaml('m', {
      hashKeySecretRef: { name: 'k' },
      columns: [
        { type: 'Hash', domain: 'd' },
        { type: 'Partial', suffix: 4 },
        { type: 'Truncate', unit: 'Year' },
        { type: 'Truncate', step: 100 },
        { type: 'Range', step: 10 },
        { type: 'Constant', value: 'x' },
        { type: 'Null' },
      ].map((mask, i) => ({ schema: 's', table: 't', column: `c${i}`, mask })),
      detectors: [{ type: 'Custom', pattern: '[0-9]{4}', mask: { type: 'Redact' } }],
    }),
  ],
  ['requests', requestYaml('r', { decisions: [{ ...decision, approver: 'ben' }] })],
  ['a request for a statement', requestYaml('r', { type: 'Statement', access: null, statement, requester })],
];

const ben = { ...decision, approver: 'ben' };
const held = { type: 'Statement', access: null, statement };

const spool = (size: string, volumeClaimTemplate: object | null) =>
  gatewayYaml({ audit: { spool: { size, volumeClaimTemplate } } });

/** For every rule about a change: the object as it was, a change that is refused, and one that is not. */
export const CHANGE_CASES: readonly [name: string, before: Object, refused: Object, neighbour: Object][] = [
  ...(
    [
      ['decisions', { decisions: [ben] }, {}, { decisions: [ben, { ...ben, approver: 'eve' }] }],
      ['the type', {}, { type: 'BreakGlass', reason: 'fire' }, {}],
      ['the gateway', {}, { gateway: 'other' }, {}],
      ['the requester', {}, { requester: { ...requester, groups: ['dba'] } }, {}],
      ['the policy', { policy: { name: 'p' } }, { policy: { name: 'q' } }, { policy: { name: 'p' } }],
      ['the absent policy', {}, { policy: { name: 'q' } }, {}],
      ['the statement', held, { ...held, statement: { ...statement, role: 'rw' } }, held],
      ['the access', {}, { access: { duration: '2h' } }, access],
      ['the reason', { reason: 'a' }, { reason: 'b' }, { reason: 'a' }],
      ['the absent reason', {}, { reason: 'b' }, {}],
      ['the end', { expiresAt: '2026-12-31T00:00:00Z' }, {}, { expiresAt: '2026-12-31T00:00:00Z' }],
      ['who decided', { decisions: [ben] }, { decisions: [{ ...ben, approver: 'eve' }] }, { decisions: [ben] }],
      ['a verdict', { decisions: [ben] }, { decisions: [{ ...ben, verdict: 'Deny' }] }, { decisions: [ben] }],
      ['a withdrawal', { withdrawn: true }, { withdrawn: false }, { withdrawn: true }],
      ['the absent withdrawal', { withdrawn: false }, { withdrawn: false, gateway: 'x' }, { withdrawn: true }],
    ] as const
  ).map(([name, before, refused, neighbour]): [string, Object, Object, Object] => [
    name,
    requestYaml('r', before),
    requestYaml('r', refused),
    requestYaml('r', neighbour),
  ]),
  [
    'the size of claims',
    spool('1Gi', { storageClassName: 'fast' }),
    spool('2Gi', { storageClassName: 'fast' }),
    spool('2Gi', null),
  ],
  [
    'the class of claims',
    spool('1Gi', { storageClassName: 'fast' }),
    spool('1Gi', {}),
    spool('1Gi', { storageClassName: 'fast' }),
  ],
];
