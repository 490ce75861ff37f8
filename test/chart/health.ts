/** Health as GitOps engines judge it, by what examples/gitops gives them. */
import { Environment } from '@marcbachmann/cel-js';
import { lauxlib, lua, lualib, to_jsstring, to_luastring } from 'fengari';
import { manifests } from './kit.ts';

export const [{ data: scripts }] = manifests('examples/gitops/argocd-cm.yaml');
const script: string = scripts['resource.customizations.health.postern.dev_PostgresGateway'];

/** A value as a Lua expression. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(', ')}}`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, one]) => `[${JSON.stringify(key)}] = ${literal(one)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}

/** What Argo CD makes of an object: runs our script as it does: `obj` in, a table with status and message out. */
export function health(object: unknown): { status: string; message: string } {
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

export const [{ spec: flux }] = manifests('examples/gitops/flux.yaml');
const cel = new Environment({ unlistedVariablesAreDyn: true });
const [first] = flux.healthCheckExprs;

/** What Flux makes of an object: a field that is not there means that it waits. */
export function kustomized(given: object): string {
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
