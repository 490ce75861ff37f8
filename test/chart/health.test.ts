import { Environment } from '@marcbachmann/cel-js';
import { lauxlib, lua, lualib, to_jsstring, to_luastring } from 'fengari';
import { expect, test } from 'vitest';
import type { Condition } from '../../operator/api/conditions.ts';
import { manifests } from './kit.ts';

const [{ data }] = manifests('examples/gitops/argocd-cm.yaml');
const KINDS = ['PostgresGateway', 'AccessPolicy', 'MaskingRule'];
const script: string = data['resource.customizations.health.postern.dev_PostgresGateway'];

/** A value as a Lua expression. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(', ')}}`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, one]) => `[${JSON.stringify(key)}] = ${literal(one)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}

/** Runs the script as Argo CD does: `obj` in, a table with status and message out. */
function health(object: unknown): { status: string; message: string } {
  const state = lauxlib.luaL_newstate();
  lualib.luaL_openlibs(state);
  const program = `local obj = ${literal(object)}
    local result = (function() ${script} end)()
    return result.status .. "|" .. result.message`;
  const failed = lauxlib.luaL_loadstring(state, to_luastring(program)) || lua.lua_pcall(state, 0, 1, 0);
  const text = to_jsstring(lua.lua_tostring(state, -1));
  if (failed !== lua.LUA_OK) throw new Error(text);
  const [status, message] = text.split('|') as [string, string];
  return { status, message };
}

const [{ spec: flux }] = manifests('examples/gitops/flux.yaml');
const cel = new Environment({ unlistedVariablesAreDyn: true });
const [first] = flux.healthCheckExprs;

/** What Flux makes of an object: a field that is not there means that it waits. */
function kustomized(given: object): string {
  const holds = (expression: string): boolean => {
    try {
      return cel.evaluate(expression, { ...given }) === true;
    } catch {
      return false;
    }
  };
  if (holds(first.current)) return 'Healthy';
  return holds(first.failed) ? 'Degraded' : 'Progressing';
}

type Known = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;
const condition = (type: string, status: Known['status'], reason: Known['reason'], message = ''): Known => ({
  type,
  status,
  reason,
  message,
});
const object = (conditions: readonly Known[] | null, observedGeneration = 2) => ({
  metadata: { generation: 2 },
  ...(conditions === null ? {} : { status: { observedGeneration, conditions } }),
});

test('there is one script, for each kind that people write', () => {
  expect(Object.keys(data)).toEqual(KINDS.map((kind) => `resource.customizations.health.postern.dev_${kind}`));
  expect(new Set(Object.values(data)).size).toBe(1);
  const { current, failed } = first;
  expect(flux.healthCheckExprs).toEqual(
    KINDS.map((kind) => ({ apiVersion: 'postern.dev/v1alpha1', kind, current, failed })),
  );
});

test.each<[string, object, string, string]>([
  ['new: no status', object(null), 'Progressing', 'The operator has not seen this generation yet'],
  [
    'edited: the status is of the generation before',
    object([condition('Ready', 'True', 'Programmed')], 1),
    'Progressing',
    'The operator has not seen this generation yet',
  ],
  ['seen, and not judged', object([]), 'Progressing', 'The operator has not judged it yet'],
  [
    'unknown',
    object([condition('Ready', 'Unknown', 'Progressing', 'Waiting for pods')]),
    'Progressing',
    'Waiting for pods',
  ],
  [
    'ready',
    object([condition('Accepted', 'True', 'Accepted'), condition('Ready', 'True', 'Programmed', 'All pods run it')]),
    'Healthy',
    'All pods run it',
  ],
  ['a policy that only records', object([condition('Ready', 'True', 'Shadow')]), 'Healthy', ''],
  [
    'pods have not confirmed',
    object([condition('Ready', 'False', 'ConfigNotConfirmed', 'orders-1 has not')]),
    'Progressing',
    'orders-1 has not',
  ],
  ['a certificate that is on its way', object([condition('Ready', 'False', 'CertificateNotReady')]), 'Progressing', ''],
  [
    'a gateway that comes later in the same sync',
    object([condition('Ready', 'False', 'TargetNotFound')]),
    'Progressing',
    '',
  ],
  [
    'invalid',
    object([
      condition('Accepted', 'False', 'Invalid'),
      condition('Ready', 'False', 'Invalid', 'spec.role: no such role'),
    ]),
    'Degraded',
    'spec.role: no such role',
  ],
  ['stuck', object([condition('Ready', 'False', 'RolloutStuck')]), 'Degraded', ''],
  [
    'a rule that this gateway cannot enforce',
    object([condition('Ready', 'False', 'PartiallyProgrammed')]),
    'Degraded',
    '',
  ],
  [
    'paused while ready',
    object([condition('Ready', 'True', 'Programmed'), condition('Accepted', 'True', 'Paused', 'postern.dev/paused')]),
    'Suspended',
    'postern.dev/paused',
  ],
])('%s', (_, given, status, message) => {
  expect(health(given)).toEqual({ status, message });
  // Flux knows nothing of pausing.
  if (status !== 'Suspended') expect(kustomized(given)).toBe(status);
});
