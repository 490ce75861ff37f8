import { loadParser, SqlSyntaxError } from '../../gateway/analysis/parser.ts';
import type { StatementRecord } from '../../gateway/audit/record.ts';
import type { CatalogRelation } from '../../gateway/catalog/relations.ts';
import { createSnapshot } from '../../gateway/catalog/snapshot.ts';
import type { Policy } from '../../gateway/config/document.ts';
import { decide } from '../../gateway/policy/decide.ts';
import { checkSetting } from '../../gateway/policy/settings.ts';
import type { Bytes, SessionEnvironment, SessionPort } from '../../gateway/session/environment.ts';
import { encodeRefusal } from '../../gateway/session/refusal.ts';
import { Session } from '../../gateway/session/session.ts';
import type { StagedUnit } from '../../gateway/session/staged.ts';
import { analyzeText } from '../../gateway/sql/analyze.ts';
import type { Analysis, RawStatement } from '../../gateway/sql/facts.ts';
import { resolve } from '../../gateway/sql/resolve.ts';
import { decodeCommandComplete, decodeErrorResponse, decodeReadyForQuery } from '../../gateway/wire/backend.ts';
import { ProtocolError } from '../../gateway/wire/errors.ts';
import { decodeParse, decodeQuery } from '../../gateway/wire/frontend.ts';
import { MessageReader, Step } from '../../gateway/wire/reader.ts';
import { BACKEND, type Direction, FRONTEND, messageName } from '../../gateway/wire/types.ts';
import { ANN, inForce, NOON, policy, rule } from '../policy/kit.ts';
import { CALLABLE, isQuestion, ModelServer } from './model-server.ts';

/** Longest text that is analysed. */
const STATEMENT_BYTES = 1024;

const parser = await loadParser();

/** As the gateway keeps them: the same text is the same objects again. */
const analyses = new Map<string, Analysis>();

function analyze(text: Buffer): Analysis {
  const known = analyses.get(text.toString()) ?? parse(text);
  analyses.set(text.toString(), known);
  return known;
}

function parse(text: Buffer): Analysis {
  try {
    return analyzeText(parser.parse(text.toString()), text);
  } catch (error) {
    if (!(error instanceof SqlSyntaxError)) throw error;
    return { kind: 'SyntaxError', message: error.message, position: error.position };
  }
}

const ONE_COLUMN = { columns: ['n'], notNull: ['n'], keyNumbers: [[1]], partition: false, indexOf: null };
const UNLINKED = { parents: [], children: [], referencing: [], triggers: [], rules: [], code: [], policyReads: [] };
const table = (name: string, oid: number): [number, CatalogRelation] => [
  oid,
  { schema: 'public', name, oid, kind: 'table', uniqueKeys: [['n']], links: { oid, ...ONE_COLUMN, ...UNLINKED } },
];

const CATALOG = createSnapshot({
  version: 1,
  serverMajor: 18,
  utf8: true,
  schemas: ['pg_catalog', 'public'],
  relations: new Map([table('one', 16400), table('three', 16401), table('secret', 16402)]),
  ruleCode: new Map(),
  functions: [],
  typeRows: { types: [], columnTypes: [], operators: [], casts: [], orders: [] },
  eventTriggers: [],
});

/** All but `public.secret` may be read and written. */
const POLICIES: readonly Policy[] = [
  policy('readers', [
    rule('work', {
      statements: ['Select', 'Insert', 'CopyTo', 'CopyFrom', 'Cursor', 'Prepare', 'Transaction', 'Session', 'Function'],
      relations: ['public.one', 'public.three'],
    }),
  ]),
];

export interface World {
  policies: readonly Policy[];
  now: number;
  expired: boolean;
  /** Analyses come late: at the next `wake`. */
  lateAnalysis: boolean;
  /** Why the catalogue cannot be had; null: it can. */
  catalogFailure: string | null;
  /** What is recorded is on disk only when `record` says so, and what hangs on it is sent then. */
  lateRecords: boolean;
  /** The server keeps answers back until it is told to send them, or has to. */
  buffers: boolean;
  /** What may be taken as a run is, and its answers as one. */
  runs: boolean;
  /** Answers come together as far as the next ReadyForQuery. */
  wholes: boolean;
}

function environment(world: World, late: Set<string>): SessionEnvironment {
  let nonces = 0;
  let seen: readonly Policy[] | null = null;
  let effective = inForce(world.policies);
  return {
    identity: ANN,
    serverMajor: 18,
    database: 'shop',
    statementBytes: STATEMENT_BYTES,
    policies() {
      if (seen !== world.policies) effective = inForce(world.policies);
      seen = world.policies;
      return { effective, revision: 'r1', timed: false };
    },
    analyze(text) {
      if (world.lateAnalysis && !late.has(text.toString())) {
        late.add(text.toString());
        return null;
      }
      return analyze(text);
    },
    pinned: { readOnly: false, statementTimeout: null },
    usage: { exhausted: () => null, addStatement() {}, allowance: () => null, addResult() {} },
    catalog: () => (world.catalogFailure === null ? CATALOG : undefined),
    catalogFailure: () => world.catalogFailure,
    lastCatalog: () => CATALOG,
    resolve,
    decide,
    checkSetting,
    functionFacts: (oid) => (oid === CALLABLE ? FUNCTION : undefined),
    auditUnavailable: () => null,
    over: () =>
      world.expired ? { reason: 'IdentityExpired', refusal: { code: '28000', message: 'has expired' } } : null,
    nonce: () => `postern_${String(++nonces).padStart(32, '0')}`,
  };
}

const FUNCTION: RawStatement = {
  primary: 'Function',
  classes: ['Function'],
  relations: [],
  types: [],
  settings: [],
  effects: [],
  functions: [{ schema: 'pg_catalog', name: 'abs', args: 1, literals: [] }],
  attributes: [],
  operators: [],
  nesting: 0,
  countsRows: false,
  folds: false,
  asks: true,
  readOnly: false,
  returnsRows: true,
  minMajor: 14,
  unknown: [],
};

/** A session with a model server behind it and a client in front, without sockets: bytes move when told to. */
function viewOf(bytes: Bytes): Buffer {
  return bytes instanceof Step ? bytes.raw : bytes;
}

export class Conversation {
  readonly world: World = {
    ...{ policies: POLICIES, now: NOON, expired: false, lateAnalysis: false, lateRecords: false },
    ...{ buffers: false, runs: true, wholes: false },
    catalogFailure: null,
  };
  readonly session: Session;
  readonly records: StatementRecord[] = [];
  /** What the client got, a line a message. */
  readonly got: string[] = [];
  /** The same, as bytes. */
  readonly shown: Buffer[] = [];
  /** What the gateway sent on, whether the server has read it or not. */
  readonly passed: Buffer[] = [];
  /** What the server has read, a line a message. */
  readonly sent: string[] = [];
  readonly faults: string[] = [];
  ended: string | null = null;
  cancels = 0;
  /** Answers that were dealt with as one. */
  wholes = 0;
  readonly server: ModelServer;
  readonly #late = new Set<string>();
  readonly #client = reader('frontend', STATEMENT_BYTES);
  readonly #answers = reader('backend');
  readonly #seen = reader('backend');
  readonly #asked = reader('frontend');
  readonly #toServer: Buffer[] = [];
  /** Records that are not on disk yet, and what waits for them. */
  #recorded = 0;
  #staged: StagedUnit[] = [];
  readonly #fromServer: Buffer[] = [];
  #buffered: Buffer[] = [];
  #left = false;

  constructor(reported: Readonly<Record<string, string>> = {}) {
    this.server = new ModelServer({ ran: (text) => this.#checkIntent(text) });
    this.session = new Session(environment(this.world, this.#late), this.#port(), new Map(Object.entries(reported)));
  }

  #port(): SessionPort {
    return {
      toServer: (bytes, reply) => {
        this.passed.push(viewOf(bytes));
        if (this.#recorded > 0 || this.#staged.length > 0) this.#staged.push({ bytes, reply });
        else this.#toServer.push(viewOf(bytes));
      },
      toClient: (bytes) => this.#show(viewOf(bytes)),
      record: (record) => {
        this.records.push(record);
        if (this.world.lateRecords && record.kind !== 'outcome') this.#recorded += 1;
      },
      cancelUpstream: () => {
        this.cancels += 1;
      },
      resume: () => this.#read(),
      end: (reason, last) => {
        if (last !== null) this.#show(last);
        this.#end(reason);
      },
      refreshCatalog() {},
    };
  }

  #end(reason: string): void {
    if (this.ended !== null) return;
    this.ended = reason;
    this.session.close();
  }

  /** The client sends; the gateway reads as far as it may. */
  send(...messages: readonly Buffer[]): void {
    for (const bytes of messages) this.#client.push(bytes);
    this.#read();
  }

  /** The client sends nothing more. */
  leave(): void {
    this.#left = true;
    this.#read();
  }

  #read(): void {
    this.#guard(() => {
      while (this.ended === null && !this.session.busy) {
        const step = this.#client.next();
        const { now, runs } = this.world;
        if (step !== null) this.session.client(step, now, now, runs ? this.#client : null);
        else if (this.#left) this.session.leave('ClientGone', now);
        else return;
      }
    });
  }

  #guard(turn: () => void): void {
    try {
      turn();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#show(encodeRefusal({ code: error.sqlstate, message: error.message }, true));
      this.faults.push(error.message);
      this.#end('ProtocolViolation');
    }
  }

  /** What was recorded is on disk, and what hangs on it is sent; or it is not, and never was. */
  settleRecords(written: boolean): void {
    const staged = this.#staged;
    this.#staged = [];
    if (written) this.#toServer.push(...staged.map(({ bytes }) => viewOf(bytes)));
    else this.#forget();
    this.#recorded = 0;
    if (!written && this.ended === null)
      this.#guard(() => this.session.refuseStaged(staged, 'no space left on device'));
  }

  #forget(): void {
    for (let i = this.records.length - 1; i >= 0 && this.#recorded > 0; i--) {
      if (this.records[i]!.kind === 'outcome') continue;
      this.records.splice(i, 1);
      this.#recorded -= 1;
    }
  }

  /** The server reads one of the messages that were sent to it; false: there is none. */
  serve(): boolean {
    const bytes = this.#toServer.shift();
    if (bytes === undefined) return false;
    this.#asked.push(bytes);
    for (let step = this.#asked.next(); step !== null; step = this.#asked.next()) {
      if (step.kind === 'head') throw new Error('the model server holds every message');
      this.sent.push(describeClient(step.type, step.kind === 'run' ? null : step.body));
      const body = step.kind === 'run' ? Buffer.alloc(0) : step.body;
      this.#buffered.push(...this.server.receive(step.type, body));
      if (this.world.buffers && step.type !== FRONTEND.Flush && !this.#buffered.some(isSentAtOnce)) continue;
      this.#fromServer.push(...this.#buffered);
      this.#buffered = [];
    }
    return true;
  }

  /** The gateway reads one of the server's messages; false: there is none. */
  answer(): boolean {
    if (this.world.wholes) while (this.serve());
    const ready = this.world.wholes ? this.#fromServer.findIndex(([type]) => type === BACKEND.ReadyForQuery) : 0;
    const parts = this.#fromServer.splice(0, Math.max(1, ready + 1));
    if (parts.length === 0) return false;
    const bytes = Buffer.concat(parts);
    this.#guard(() => {
      const { runs, now } = this.world;
      if (runs && this.#answers.atBoundary && this.session.serverWhole(bytes, now)) {
        this.wholes += 1;
        return;
      }
      this.#answers.push(bytes);
      for (let step = this.#answers.next(); step !== null && this.ended === null; step = this.#answers.next()) {
        this.session.server(step, this.world.now);
      }
    });
    return true;
  }

  /** The server says this, unasked. */
  hear(bytes: Buffer): void {
    this.#fromServer.push(bytes);
    this.answer();
  }

  /** What the parser owes comes in. */
  wake(): void {
    this.#guard(() => this.session.wake(this.world.now));
  }

  /** Everything moves until nothing does. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      if (this.#staged.length > 0 || this.#recorded > 0) this.settleRecords(true);
      while (this.serve() || this.answer()) moved = true;
      if (this.world.lateAnalysis && this.session.busy && this.ended === null) {
        const before = this.#late.size + this.#toServer.length + this.got.length;
        this.wake();
        moved ||= before !== this.#late.size + this.#toServer.length + this.got.length || !this.session.busy;
      }
      moved ||= this.#staged.length > 0;
    }
    if (this.server.dead && this.ended === null) this.#end('ServerGone');
  }

  /** Nothing that the client sent was left unread. */
  get stuck(): boolean {
    return this.ended === null && this.session.busy;
  }

  #show(bytes: Buffer): void {
    this.shown.push(Buffer.from(bytes));
    this.#seen.push(Buffer.from(bytes));
    for (let step = this.#seen.next(); step !== null; step = this.#seen.next()) {
      if (step.kind !== 'run') this.got.push(describeServer(step.type, step.kind === 'message' ? step.body : null));
      else for (let i = 0; i < step.count; i++) this.got.push(describeServer(step.type, null));
    }
  }

  readonly #ran = new Map<string, number>();

  /** Record before run: a statement that runs has as many intents that allow it as it has runs. */
  #checkIntent(text: string): void {
    if (isQuestion(text) || text === '' || /^SELECT "postern_\d{32}"$/.test(text)) return;
    if (text.includes('secret')) this.faults.push(`the server ran ${text}`);
    const runs = (this.#ran.get(text) ?? 0) + 1;
    this.#ran.set(text, runs);
    const intents = this.records.filter(
      (record) => record.kind === 'intent' && record.decision.verdict === 'Allow' && names(record.text, text),
    );
    if (intents.length < runs) this.faults.push(`${text} ran ${runs} times with ${intents.length} intents`);
  }

  /** Complaints about the record, for a session that is over. */
  recordProblems(): string[] {
    const outcomes = new Map<number, number>();
    for (const { kind, statement } of this.records) {
      if (kind === 'outcome') outcomes.set(statement, (outcomes.get(statement) ?? 0) + 1);
    }
    const intents = this.records.flatMap((record) => (record.kind === 'intent' ? [record.statement] : []));
    return [
      ...intents.filter((n, i) => intents.indexOf(n) !== i).map((n) => `statement ${n} has two intents`),
      ...intents.filter((n) => outcomes.get(n) !== 1).map((n) => `statement ${n} has ${outcomes.get(n) ?? 0} outcomes`),
      ...[...outcomes.keys()].filter((n) => !intents.includes(n)).map((n) => `an outcome without intent ${n}`),
    ];
  }
}

/** Errors, what a COPY FROM waits behind, and ReadyForQuery. */
function isSentAtOnce(message: Buffer): boolean {
  const [type = 0] = message;
  return type === BACKEND.ErrorResponse || type === BACKEND.CopyInResponse || type === BACKEND.ReadyForQuery;
}

function names(record: string, text: string): boolean {
  const recorded = record.replace(/^[;\s]+|[;\s]+$/g, '');
  return (
    recorded === text ||
    recorded.endsWith(` AS ${text}`) ||
    recorded.endsWith(` FOR ${text}`) ||
    (text.startsWith('function ') && recorded.startsWith('function call'))
  );
}

function reader(direction: Direction, spill = 1 << 20): MessageReader {
  const streamed: readonly number[] =
    direction === 'frontend' ? [FRONTEND.CopyData] : [BACKEND.DataRow, BACKEND.CopyData, BACKEND.FunctionCallResponse];
  return new MessageReader({
    direction,
    streamed: new Set(streamed),
    spill: () => spill,
    maxLength: () => 0x3fffffff,
  });
}

function describeClient(type: number, body: Buffer | null): string {
  const name = messageName('frontend', type);
  if (type === FRONTEND.Query) return `${name} ${decodeQuery(body!).text}`;
  if (type === FRONTEND.Parse) {
    const text = decodeParse(body!).text.toString();
    return `${name} ${isQuestion(text) ? '(question)' : text}`;
  }
  return name;
}

function describeServer(type: number, body: Buffer | null): string {
  const name = messageName('backend', type);
  if (body === null) return name;
  if (type === BACKEND.ReadyForQuery) return `${name} ${decodeReadyForQuery(body).status}`;
  if (type === BACKEND.CommandComplete) return `${name} ${decodeCommandComplete(body).tag}`;
  if (type !== BACKEND.ErrorResponse) return name;
  const { fields } = decodeErrorResponse(body);
  return `${fields.get('V')} ${fields.get('C')}`;
}

/** What the policies of `kit` refuse, as the model server has it. */
const DENIED = /secret|9999GB|^function (?!1$)/;

/** The same conversation with a server that denies by itself: what a client has to see. */
export function directly(messages: readonly Buffer[]): string[] {
  const server = new ModelServer({ denies: (text) => DENIED.test(text) });
  const [requests, answers] = [reader('frontend'), reader('backend')];
  const got: string[] = [];
  for (const bytes of messages) {
    requests.push(bytes);
    for (let step = requests.next(); step !== null; step = requests.next()) {
      for (const answer of server.receive(step.type, step.kind === 'message' ? step.body : Buffer.alloc(0))) {
        answers.push(answer);
        for (let said = answers.next(); said !== null; said = answers.next()) {
          got.push(describeServer(said.type, said.kind === 'message' ? said.body : null));
        }
      }
    }
  }
  return got;
}
