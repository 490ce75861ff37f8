import * as nodeFs from 'node:fs';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { openAuditLog } from '../../gateway/audit/log.ts';
import type { AuditLogOptions, AuditMetrics, SpoolFs } from '../../gateway/audit/options.ts';
import type { AuditLog, IntentRecord, OutcomeRecord, SessionContext } from '../../gateway/audit/record.ts';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { Facts } from '../../gateway/sql/facts.ts';

export const FACTS: Facts = {
  primary: 'Select',
  classes: ['Select', 'Explain'],
  relations: [
    { schema: 'app', name: 'orders', kind: 'table', verb: 'Select', reach: null },
    { schema: 'app', name: 'log', kind: 'table', verb: 'Delete', reach: 'Filtered' },
  ],
  functions: [{ schema: 'app', name: 'add_tax', candidates: ['app.add_tax(numeric)'], called: [] }],
  settings: [{ kind: 'Set', name: 'search_path', value: 'app', list: null, local: false }],
  readOnly: true,
  unknown: [],
};

export const SESSION: SessionContext = {
  id: '0193a0c4-0000-7000-8000-000000000001',
  identity: {
    username: 'alice@example.com',
    groups: ['analysts', 'all "staff"'],
    issuer: 'corp',
    method: 'Token',
    expiresAt: 1_800_000_000_000,
    subject: 'u-1',
    credentialId: 'jti-1',
  },
  database: 'orders',
  role: 'analyst_ro',
  listener: 'people',
  client: { address: '10.1.2.3', port: 40_000 },
  tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
  server: { address: 'db.shop.svc', port: 5432, version: '18.4', pid: 4711 },
  applicationName: 'psql',
};

export function intent(statement: number, change: Partial<IntentRecord> = {}): IntentRecord {
  return {
    kind: 'intent',
    time: Date.now(),
    statement,
    protocol: 'Extended',
    text: 'select * from orders where id = $1',
    parameters: [],
    facts: FACTS,
    decision: { verdict: 'Allow', by: { policy: 'shop/analysts', rule: 'read' }, shadow: [] },
    revision: '9f2c',
    applicationName: 'psql',
    ...change,
  };
}

export function outcome(statement: number, change: Partial<OutcomeRecord> = {}): OutcomeRecord {
  return {
    kind: 'outcome',
    time: Date.now(),
    duration: 1,
    primary: 'Select',
    statement,
    status: 'Completed',
    rows: 1,
    bytes: 20,
    sqlstate: null,
    tag: 'SELECT 1',
    ...change,
  };
}

/** Counts what the log reports. */
export interface Counted {
  readonly metrics: AuditMetrics;
  readonly counts: Record<'written' | 'refused' | 'unrecorded' | 'lost', number>;
  unavailable: number;
  readonly lags: Map<string, () => number>;
}

export function counted(): Counted {
  const counts = { written: 0, refused: 0, unrecorded: 0, lost: 0 };
  const lags = new Map<string, () => number>();
  const count = (name: keyof typeof counts) => ({
    inc(by = 1) {
      counts[name] += by;
    },
  });
  const result: Counted = {
    counts,
    lags,
    unavailable: 0,
    metrics: {
      written: count('written'),
      refused: count('refused'),
      unrecorded: count('unrecorded'),
      lost: count('lost'),
      unavailable: {
        set(value) {
          result.unavailable = value;
        },
      },
      lag: (sink, seconds) => lags.set(sink, seconds),
    },
  };
  return result;
}

export function scratch(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'postern-audit-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** An operational log that keeps what was said. */
export function notebook(): { readonly lines: string[]; readonly log: AuditLogOptions['log'] } {
  const lines: string[] = [];
  const say = (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`);
  return { lines, log: { info: say, warn: say, error: say } };
}

export function options(directory: string, change: Partial<AuditLogOptions> = {}): AuditLogOptions {
  return {
    directory,
    gateway: { namespace: 'shop', name: 'orders' },
    pod: 'orders-0',
    durability: 'Written',
    onFailure: 'Deny',
    spoolBytes: 64 << 20,
    redaction: { parameters: 'Keep', literals: 'Keep' },
    recording: 'Statements',
    now: Date.now,
    monotonic: () => performance.now(),
    sinks: [],
    log: notebook().log,
    metrics: counted().metrics,
    ...change,
  };
}

export function open(directory: string, change: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  return openAuditLog(options(directory, change));
}

export function settled(log: AuditLog): Promise<Error | null> {
  return new Promise((resolve) => log.settle(resolve));
}

/** An event as parsed; tests look into it freely. */
// biome-ignore lint/suspicious/noExplicitAny: the schema says what is in it, and is tested
export type Event = any;

function logPath(directory: string): string {
  const id = readdirSync(directory, { withFileTypes: true }).find((entry) => entry.isDirectory());
  return join(directory, id?.name ?? '');
}

export function segmentsOf(directory: string): string[] {
  const path = logPath(directory);
  return readdirSync(path)
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
    .map((name) => join(path, name));
}

export function linesOf(directory: string): string[] {
  const text = segmentsOf(directory)
    .map((path) => readFileSync(path, 'utf8'))
    .join('');
  return text.split('\n').slice(0, -1);
}

export function eventsOf(directory: string): Event[] {
  return linesOf(directory).map((line) => JSON.parse(line));
}

const schema = JSON.parse(readFileSync(new URL('../../gateway/audit/event.schema.json', import.meta.url), 'utf8'));
const ajv = new Ajv({ allErrors: true, strict: false });
const validate = ajv.compile(schema);

interface Field {
  readonly properties?: Record<string, Field>;
  readonly items?: Field;
  readonly 'x-events'?: readonly string[];
}

function misplaced(code: string, value: unknown, field: Field, path: string): string[] {
  if (Array.isArray(value)) {
    return field.items === undefined ? [] : value.flatMap((item) => misplaced(code, item, field.items as Field, path));
  }
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([name, member]) => {
    const child = field.properties?.[name];
    if (child === undefined) {
      return [];
    }
    const wrong = child['x-events'] !== undefined && !child['x-events'].includes(code);
    return [...(wrong ? [`${path}.${name} in ${code}`] : []), ...misplaced(code, member, child, `${path}.${name}`)];
  });
}

/** What is wrong with a line: against the schema, with the fields' places, with the canonical form. Empty: nothing. */
export function faults(line: string): string[] {
  const event: Event = JSON.parse(line);
  const errors = validate(event) ? [] : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`);
  const places = misplaced(event.metadata.event_code, event, schema, '');
  return [...errors, ...places, ...(canonicalJson(event) === line ? [] : ['not canonical'])];
}

/** node:fs with some operations replaced. */
export function fsWith(change: Partial<SpoolFs>): SpoolFs {
  return { ...nodeFs, ...change } as SpoolFs;
}

export function failure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Waits until something holds, at most two seconds. */
export async function eventually(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (holds()) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it did not come to hold');
}
