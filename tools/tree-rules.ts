/** Rooms that may be imported by each room; `types` only as types. What is not listed may not be imported. */
interface Rule {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

const RULES: Readonly<Record<string, Rule>> = {
  'gateway/wire': { values: [], types: [] },
  'gateway/config': { values: [], types: [] },
  // Pure: facts know of the configuration's vocabulary (Reach) only as types.
  'gateway/sql': { values: [], types: ['gateway/config'] },
  'gateway/catalog': { values: ['gateway/sql'], types: [] },
  'gateway/policy': { values: ['gateway/sql'], types: ['gateway/config', 'gateway/identity'] },
  'gateway/identity': { values: [], types: ['gateway/config'] },
  'gateway/audit': { values: [], types: ['gateway/config', 'gateway/identity', 'gateway/policy', 'gateway/sql'] },
  'gateway/telemetry': {
    values: [],
    types: ['gateway/audit', 'gateway/identity', 'gateway/policy', 'gateway/sql', 'gateway/config'],
  },
  // The questions it asks are the catalogue's texts; all that decides is injected.
  'gateway/session': {
    values: ['gateway/wire', 'gateway/catalog'],
    types: ['gateway/policy', 'gateway/audit', 'gateway/identity', 'gateway/sql'],
  },
  'gateway/analysis': { values: ['gateway/sql'], types: [] },
  'gateway/net': {
    values: ['gateway/wire', 'gateway/session', 'gateway/identity'],
    types: ['gateway/config', 'gateway/audit'],
  },
  'operator/api': { values: [], types: [] },
  'operator/plan': { values: ['operator/api', 'gateway/config'], types: [] },
};

function room(file: string): string {
  return file.split('/').slice(0, 2).join('/');
}

/** Why `from` may not import `to`; null: it may. Wiring (gateway/main.ts, cli/) may import any room of its side. */
export function checkImport(from: string, to: string, typeOnly: boolean): string | null {
  const [here, there] = [room(from), room(to)];
  if (here === there) return null;
  const rule = RULES[here];
  if (rule === undefined)
    return from.startsWith('gateway/') && to.startsWith('operator/')
      ? `${from} imports ${to}: the gateway never imports the operator`
      : null;
  if (rule.values.includes(there) || (typeOnly && rule.types.includes(there))) return null;
  return `${from} imports ${to}${typeOnly ? ' (type)' : ''}: ${here} may import ${[...rule.values, ...rule.types.map((t) => `${t} (types)`)].join(', ') || 'nothing of ours'}`;
}

const MAX_LINES = 400;

/** Why a file is too long; null: it is not. Generated files are exempt. */
export function checkLength(file: string, lines: number): string | null {
  if (file.endsWith('.generated.ts') || lines <= MAX_LINES) return null;
  return `${file} has ${lines} lines; ${MAX_LINES} are the limit`;
}
