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

test.each([
  [
    'an unknown field',
    ['role: analyst_ro', 'role: analyst_ro\n  rolle: x'],
    /policies\.yaml:\d+: AccessPolicy\/analysts: spec\.rolle: there is no such field/,
  ],
  [
    'a wrong word',
    ['action: Deny', 'action: Forbid'],
    /policies\.yaml:14: AccessPolicy\/analysts: spec\.rules\[1\]\.action: must be one of Allow, Deny, RequireApproval/,
  ],
  [
    'a role that the gateway has not',
    ['role: app_rw', 'role: root'],
    /AccessPolicy\/dbas: spec\.role: "root" is not a role of the gateway/,
  ],
  [
    'approval, by name',
    ['action: Deny', 'action: RequireApproval'],
    /RequireApproval is not available in this version: nobody can approve yet/,
  ],
  ['YAML that is none', ['rules:', 'rules: ['], /policies\.yaml:\d+: /],
] as const)('%s is said with file, line and field', (_name, [from, to], expected) => {
  expect(errors(example('gateway.yaml'), example('policies.yaml').replace(from, to))).toMatch(expected);
});

test('a Secret that is missing, and an object that is there twice', () => {
  expect(errors(example('gateway.yaml').replace('password: only-the-gateway-knows-1', 'other: x'), '')).toContain(
    'key password is not among the manifests',
  );
  expect(errors(example('gateway.yaml'), `${example('policies.yaml')}---\n${example('policies.yaml')}`)).toContain(
    'is there twice',
  );
});

test('a path that does not exist', () => {
  expect(loadProject([join(directory, 'nothing')], null)).toMatchObject({
    ok: false,
    errors: [expect.stringContaining('there is no such file')],
  });
});
