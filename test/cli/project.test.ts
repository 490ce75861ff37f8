import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadProject } from '../../cli/project.ts';

const example = (name: string): string =>
  readFileSync(new URL(`../../examples/quickstart/${name}`, import.meta.url), 'utf8');
const TLS = `---
apiVersion: v1
kind: Secret
metadata: {name: orders-gateway-tls, namespace: shop}
stringData: {tls.crt: c, tls.key: k}
`;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-cli-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function load(gateway: string, policies: string) {
  writeFileSync(join(directory, 'gateway.yaml'), gateway + TLS);
  writeFileSync(join(directory, 'policies.yaml'), policies);
  return loadProject([directory], null);
}

function errors(gateway: string, policies: string): string {
  const project = load(gateway, policies);
  return project.ok ? '' : project.errors.map((error) => error.slice(directory.length + 1)).join('\n');
}

test('the quick start is good', () => {
  const project = load(example('gateway.yaml'), example('policies.yaml'));
  expect(project).toMatchObject({ ok: true, document: { policies: [{ name: 'analysts' }, { name: 'dbas' }] } });
  expect(project.ok && project.secrets.read('orders-app-rw', 'password')?.toString()).toBe('only-the-gateway-knows-2');
});

test('a MaskingRule is good, and what it does to sessions is said', () => {
  const rule = `---
apiVersion: postern.dev/v1alpha1
kind: MaskingRule
metadata: {name: emails, namespace: shop}
spec:
  targetRefs: [{group: postern.dev, kind: PostgresGateway, name: orders}]
  columns: [{schema: public, table: customers, column: email, mask: {type: Redact}}]
---
`;
  const project = load(example('gateway.yaml'), example('policies.yaml').replace('---\n', rule));
  expect(project).toMatchObject({ ok: true, document: { masks: [{ namespace: 'shop', name: 'emails' }] } });
  expect(project.ok && project.unenforced.join('\n')).toMatch(
    /policies\.yaml:\d+: MaskingRule\/emails: this version cannot mask: sessions .* are refused$/,
  );
});

test.each([
  [
    'an unknown field',
    ['role: analyst_ro', 'role: analyst_ro\n  rolle: x'],
    /policies\.yaml:\d+: AccessPolicy\/analysts: spec\.rolle: there is no such field; did you mean role\?/,
  ],
  [
    'a wrong word',
    ['action: Deny', 'action: Denny'],
    /policies\.yaml:14: AccessPolicy\/analysts: spec\.rules\[1\]\.action: "Denny" is not one of Allow, Deny, RequireApproval; did you mean Deny\?/,
  ],
  [
    'a role that the gateway has not',
    ['role: app_rw', 'role: root'],
    /AccessPolicy\/dbas: spec\.role: "root" is not a role of the gateway/,
  ],
  [
    'approval, by name',
    ['action: Deny', 'action: RequireApproval\n      approval: {approvers: [{group: dba}]}'],
    /RequireApproval is not available in this version: nobody can approve yet/,
  ],
  [
    'an AccessRequest',
    [
      '---\n',
      `---
apiVersion: postern.dev/v1alpha1
kind: AccessRequest
metadata: {name: please}
spec:
  type: Access
  gateway: orders
  requester: {issuer: corp, user: ann}
  access: {duration: 1h}
---
`,
    ],
    /policies\.yaml:\d+: AccessRequest\/please: kind: AccessRequest is not available in this version/,
  ],
  [
    'a rule of the schema that spans fields',
    ['relations: ["public.*"]', 'relations: ["public.*"]\n      reach: [Keyed]'],
    /spec\.rules\[0\]: rules\.reach speaks of Insert, Update, Delete, Merge and Truncate only/,
  ],
  [
    'a pattern without schema',
    ['relations: ["public.*"]', 'relations: ["orders"]'],
    /policies\.yaml:\d+: AccessPolicy\/analysts: spec\.rules\[0\]\.relations\[0\]: relations: each must be schema\.name/,
  ],
  ['two rules of one name', ['name: no-ddl', 'name: read'], /spec\.rules\[2\]: name read is there twice/],
  [
    'a kind that nobody knows',
    ['kind: AccessPolicy', 'kind: AccesPolicy'],
    /kind: AccesPolicy is not a kind of postern.dev.v1alpha1; did you mean AccessPolicy\?/,
  ],
  ['another version', ['postern.dev/v1alpha1', 'postern.dev/v1'], /apiVersion: must be postern.dev.v1alpha1/],
  [
    'an object without a name',
    ['metadata: {name: analysts, namespace: shop}', 'metadata: {namespace: shop}'],
    /metadata\.name: is needed/,
  ],
  ['YAML that is none', ['rules:', 'rules: ['], /policies\.yaml:\d+: /],
] as const)('%s is said with file, line and field', (_name, [from, to], expected) => {
  expect(errors(example('gateway.yaml'), example('policies.yaml').replace(from, to))).toMatch(expected);
});

test('an unknown field of an object that has none at all', () => {
  const gateway = example('gateway.yaml').replace(
    /^spec:$/m,
    'spec:\n  audit: {sinks: [{name: log, stdout: {stream: 2}}]}',
  );
  expect(errors(gateway, '')).toMatch(/spec\.audit\.sinks\[0\]\.stdout\.stream: there is no such field/);
});

test('a Secret without its key, and an object that is there twice', () => {
  expect(errors(example('gateway.yaml').replace('password: only-the-gateway-knows-1', 'other: x'), '')).toContain(
    'spec.upstream.roles[0].secretRef: Secret orders-analyst-ro has no key password',
  );
  expect(errors(example('gateway.yaml'), `${example('policies.yaml')}---\n${example('policies.yaml')}`)).toContain(
    'is there twice',
  );
});

test('Secrets that are not there are told where they are named, and are no problem of the manifests', () => {
  writeFileSync(join(directory, 'gateway.yaml'), example('gateway.yaml'));
  expect(loadProject([directory], null)).toMatchObject({
    ok: true,
    missing: [
      expect.stringMatching(
        /gateway\.yaml:\d+: PostgresGateway\/orders: spec\.tls\.secretRef: Secret orders-gateway-tls is not among the manifests$/,
      ),
    ],
  });
});

test('a Secret for alerts that cannot be used', () => {
  const alerts = (url: string) =>
    example('gateway.yaml').replace('  upstream:', '  audit: {alerts: {webhookSecretRef: {name: hook}}}\n  upstream:') +
    `---\napiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: shop}\nstringData: {url: '${url}', key: whsec_${Buffer.alloc(24).toString('base64')}}\n`;
  expect(errors(alerts('http://example.com/'), '')).toContain('begin with https://');
  expect(errors(alerts('https://example.com/'), '')).toBe('');
});

test('a path that does not exist', () => {
  expect(loadProject([join(directory, 'nothing')], null)).toMatchObject({
    ok: false,
    errors: [expect.stringContaining('there is no such file')],
  });
});
