/** What a room may import besides itself: rooms whose values it may use, and rooms of which it may use only types. */
interface Rule {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

/** The "Dependency direction" of docs/architecture.md as data; what is not listed may not be imported. */
const RULES: Readonly<Record<string, Rule>> = {
  // The codec stands alone, so that it can be fuzzed, measured and replaced alone.
  'gateway/wire': { values: [], types: [] },
  // The contract between operator and gateway: both sides read it, it reads neither.
  'gateway/config': { values: [], types: [] },
  // Pure: facts know of the configuration's vocabulary (Reach) only as types.
  'gateway/sql': { values: [], types: ['gateway/config'] },
  // Builds the environment in which names resolve; asks nobody itself.
  'gateway/catalog': { values: ['gateway/sql'], types: [] },
  // Pure: identity, facts and rules go in, a decision comes out; no session, no socket.
  'gateway/policy': { values: ['gateway/sql'], types: ['gateway/config', 'gateway/identity', 'gateway/wire'] },
  // Pure as well: statement, catalogue and rules go in, rewritten text comes out.
  'gateway/mask': {
    values: ['gateway/sql'],
    types: ['gateway/config', 'gateway/identity', 'gateway/wire', 'gateway/catalog'],
  },
  // Who somebody is depends on configuration only, never on what they ask for.
  'gateway/identity': { values: [], types: ['gateway/config'] },
  // Records what others decided: it needs their vocabulary, never their code; of config only the canonical JSON.
  'gateway/audit': { values: ['gateway/config'], types: ['gateway/identity', 'gateway/policy', 'gateway/sql'] },
  // Tells outside what the record tells inside: in the record's words, and no more than its redaction lets out.
  'gateway/alerts': {
    values: ['gateway/audit'],
    types: ['gateway/config', 'gateway/identity', 'gateway/policy', 'gateway/sql'],
  },
  'gateway/telemetry': {
    values: [],
    types: ['gateway/alerts', 'gateway/audit', 'gateway/identity', 'gateway/policy', 'gateway/sql', 'gateway/config'],
  },
  // A pure state machine: the catalogue gives the texts of its questions; all that decides is injected.
  'gateway/session': {
    values: ['gateway/wire', 'gateway/catalog'],
    types: ['gateway/policy', 'gateway/mask', 'gateway/audit', 'gateway/identity', 'gateway/sql'],
  },
  // The worker threads that hold the grammar: trees stay in there.
  'gateway/analysis': { values: ['gateway/sql', 'gateway/mask'], types: ['gateway/config', 'gateway/catalog'] },
  // The gateway's end of the control stream.
  'gateway/control': { values: ['gateway/config'], types: [] },
  // Sockets around sessions; what a session needs beyond wire and identity is handed in by main.
  'gateway/net': {
    values: ['gateway/wire', 'gateway/session', 'gateway/identity'],
    types: ['gateway/config', 'gateway/audit', 'gateway/telemetry'],
  },
  // The API's vocabulary stands alone.
  'operator/api': { values: [], types: [] },
  // Pure and usable without a cluster: the API and the contract, nothing that talks to anybody.
  'operator/plan': { values: ['operator/api', 'gateway/config'], types: [] },
  // Knows no domain.
  'operator/kube': { values: [], types: [] },
  // The operator's end of the control stream: the contract's messages, the API server for TokenReviews.
  'operator/control': { values: ['operator/kube', 'gateway/config'], types: [] },
  // Plumbing around the pure plan: caches in, API calls out.
  'operator/reconcile': {
    values: ['operator/api', 'operator/plan', 'operator/kube', 'gateway/config'],
    types: ['operator/control'],
  },
  // Counts what the others tell it, in the operator's names; event loop and log are measured as the gateway's are.
  'operator/telemetry': {
    values: ['gateway/telemetry', 'operator/kube'],
    types: ['operator/control', 'operator/plan', 'operator/reconcile'],
  },
  operator: {
    values: [
      'operator/api',
      'operator/plan',
      'operator/kube',
      'operator/control',
      'operator/reconcile',
      'operator/telemetry',
      // Health, metrics and log are served as the gateway serves them.
      'gateway/telemetry',
    ],
    types: ['gateway/config'],
  },
  // Wiring. The gateway never imports the operator; the operator sees of the gateway only the contract.
  gateway: {
    values: [
      'gateway/wire',
      'gateway/config',
      'gateway/sql',
      'gateway/catalog',
      'gateway/policy',
      'gateway/identity',
      'gateway/audit',
      'gateway/alerts',
      'gateway/telemetry',
      'gateway/session',
      'gateway/analysis',
      'gateway/control',
      'gateway/net',
    ],
    types: [],
  },
};

/** One import of a file: where it leads, and whether it vanishes when types are stripped. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Test, tool and measuring code may import the product, never the other way round. */
const PRODUCT = /^(gateway|operator|cli)\//;

/** The first two folders; files directly under a side's folder belong to its wiring. */
function room(file: string): string {
  const [side, name] = file.split('/');
  return name === undefined || name.endsWith('.ts') ? side! : `${side}/${name}`;
}

/** Why this import may not be (the paths seen from the top of the checkout); null: it may. */
export function checkImport({ from, to, typeOnly }: Import): string | null {
  const [here, there] = [room(from), room(to)];
  const what = `${from} imports ${to}${typeOnly ? ' (type)' : ''}`;
  if (!PRODUCT.test(from) || here === there) return null;
  if (!PRODUCT.test(to)) return to.endsWith('.json') ? null : `${what}: the product imports nothing outside itself`;
  if (from.startsWith('cli/')) return null;
  const rule = RULES[here];
  if (rule === undefined) return `${what}: ${here} has no rule in tools/tree-rules.ts yet`;
  if (rule.values.includes(there) || (typeOnly && rule.types.includes(there))) return null;
  const allowed = [...rule.values, ...rule.types.map((name) => `${name} (types)`)].join(', ');
  return `${what}: ${here} may import ${allowed || 'nothing of ours'}`;
}

const MAX_LINES = 400;

/** Why a file is too long; null: it is not. Tests and generated files are exempt. */
export function checkLength(file: string, lines: number): string | null {
  if (/\.generated\.ts$|\.test\.ts$/.test(file) || lines <= MAX_LINES) return null;
  return `${file} has ${lines} lines; ${MAX_LINES} are the limit`;
}
