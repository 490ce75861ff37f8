import { expect, test } from 'vitest';
import { SCHEMAS, type Schema } from '../../operator/api/schemas.ts';
import { checkManifest } from '../../operator/api/validate.ts';
import { gatewayYaml, maskYaml, policyYaml, requestYaml } from './manifests.ts';

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
const DBA = [{ group: 'dba' }];
const statement = { normalized: 'SELECT $1', digest: `hmac-sha256:${'0'.repeat(64)}`, role: 'ro' };
const requester = { issuer: 'corp', user: 'ann' };
const decision = { issuer: 'corp', approver: 'ann', as: { group: 'dba' }, verdict: 'Approve', channel: 'Cli' };

/** One object for every CEL rule that a new object can break. */
const BROKEN: readonly [string, Record<string, unknown>][] = [
  ['a granting policy without role', policyYaml('p', { role: null })],
  ['a subject of two kinds', policyYaml('p', { subjects: [{ user: 'a', group: 'b' }] })],
  ['Any beside others', rule({ statements: ['Any', 'Select'] })],
  ['Unknown allowed', rule({ statements: ['Unknown'] })],
  ['reach of a read', rule({ reach: ['Keyed'] })],
  ['maxRows of a read', rule({ maxRows: 1 })],
  ['approval without its terms', rule({ action: 'RequireApproval' })],
  ['a pattern without schema', rule({ relations: ['orders'] })],
  ['a function without arguments', rule({ functions: ['app.add_tax'] })],
  [
    'an approver of two kinds',
    rule({ action: 'RequireApproval', approval: { approvers: [{ user: 'a', group: 'b' }] } }),
  ],
  ['an empty window', policyYaml('p', { window: { from: '07:00', to: '07:00', timeZone: 'UTC' } })],
  ['a statement in a request for access', requestYaml('r', { statement })],
  ['no access in a request for access', requestYaml('r', { access: null })],
  ['breaking glass without a reason', requestYaml('r', { type: 'BreakGlass' })],
  ['deciding for oneself', requestYaml('r', { decisions: [decision] })],
  [
    'a decision as two',
    requestYaml('r', { decisions: [{ ...decision, approver: 'ben', as: { group: 'a', user: 'b' } }] }),
  ],
  ['nothing to hide', maskYaml('m', { columns: null })],
  ['Hash without key', column({ type: 'Hash' })],
  ['Partial without length', column({ type: 'Partial' })],
  ['a domain of a Redact', column({ type: 'Redact', domain: 'd' })],
  ['a unit of a Redact', column({ type: 'Redact', unit: 'Year' })],
  ['a step of a Redact', column({ type: 'Redact', step: 10 })],
  ['Truncate without unit or step', column({ type: 'Truncate' })],
  ['Range without step', column({ type: 'Range' })],
  ['a Constant without value', column({ type: 'Constant' })],
  ['Custom without pattern', detector({ type: 'Custom' })],
  ['a detector that nulls', detector({ mask: { type: 'Null' } })],
  ['a masked subject of two kinds', maskYaml('m', { subjects: [{ user: 'a', group: 'b' }] })],
  ['an exception of two kinds', maskYaml('m', { except: [{ user: 'a', group: 'b' }] })],
  ['a name that no Service can have', { ...gatewayYaml(), metadata: { name: 'orders.v1', namespace: 'shop' } }],
  ['a port twice', gatewayYaml({ listeners: [TOKEN, { ...TOKEN, name: 'other' }] })],
  ['certificates of nobody', gatewayYaml({ listeners: [TOKEN, MTLS] })],
  ['tokens of nobody', gatewayYaml({ identity: {} })],
  [
    'certificates without TLS',
    gatewayYaml({
      listeners: [MTLS],
      tls: { mode: 'Optional' },
      identity: { certificates: { caSecretRef: { name: 'ca' } } },
    }),
  ],
  ['host and hosts', upstream({ hosts: [{ host: 'a' }] })],
  ['a port beside hosts', upstream({ host: null, hosts: [{ host: 'a' }], port: 5432 })],
  ['a catalogue role that is none', upstream({ catalogRole: 'root' })],
  ['a clear password', upstream({ tls: { mode: 'Disable' }, authentication: ['Password'] })],
  ['VerifyCA without a CA', upstream({ tls: { mode: 'VerifyCA' } })],
  ['a CA that nobody looks at', upstream({ tls: { mode: 'Require', caSecretRef: { name: 'ca' } } })],
  ['TLS without a certificate', gatewayYaml({ tls: {} })],
  ['two clusters', issuers(KUBERNETES, { ...KUBERNETES, name: 'other' })],
  ['an issuer of two kinds', issuers({ ...CORP, ...KUBERNETES })],
  ['an issuer for any audience', issuers({ name: 'corp', url: 'https://login.example.com' })],
  ['claims of the cluster', issuers({ ...KUBERNETES, claims: { username: 'sub' } })],
  ['an issuer over http', issuers({ ...CORP, url: 'http://login.example.com' })],
  ['a reserved name', issuers({ ...CORP, name: 'certificate' })],
  [
    'Acknowledged by nobody',
    gatewayYaml({ audit: { durability: 'Acknowledged', sinks: [{ name: 'log', stdout: {} }] } }),
  ],
  ['a spool twice', gatewayYaml({ audit: { spool: { emptyDir: {}, volumeClaimTemplate: {} } } })],
  [
    'a sink of two kinds',
    gatewayYaml({ audit: { sinks: [{ name: 'a', stdout: {}, otlp: { endpoint: 'http://c:4318' } }] } }),
  ],
  ['a floor above the ceiling', gatewayYaml({ autoscaling: { minReplicas: 3, maxReplicas: 2 } })],
  ['ingress from nowhere', gatewayYaml({ network: { from: [{}] } })],
];

function messagesOf(schema: Schema): string[] {
  const rules = (schema['x-kubernetes-validations'] ?? []).filter(({ rule: text }) => !/\boldSelf\b/.test(text));
  const below = [...Object.values(schema.properties ?? {}), ...(schema.items === undefined ? [] : [schema.items])];
  return [...rules.map(({ message }) => message!), ...below.flatMap(messagesOf)];
}

function errorsOf(object: Record<string, unknown>): string[] {
  const checked = checkManifest(object);
  return checked.ok ? [] : checked.errors.map(({ message }) => message);
}

const known = new Set([...SCHEMAS.values()].flatMap(messagesOf));

test.each(BROKEN)('%s is refused by a rule', (_name, object) => {
  const errors = errorsOf(object);
  expect(errors.filter((message) => known.has(message))).not.toEqual([]);
  expect(errors.filter((message) => !known.has(message))).toEqual([]);
});

test('every rule of every resource has an object that it refuses', () => {
  const met = new Set(BROKEN.flatMap(([, object]) => errorsOf(object)));
  expect([...known].filter((message) => !met.has(message))).toEqual([]);
});

test.each([
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
])('%s passes', (_name, object) => {
  expect(checkManifest(object)).toMatchObject({ ok: true });
});
