import type { Decision } from '../policy/decision.ts';
import type { Facts, ParameterType, RawStatement, SessionEffect } from '../sql/facts.ts';
import type { Earlier } from '../sql/resolve-environment.ts';
import { type Clouded, meansTheSame, needsNames, SERVERS_OWN } from './clouded.ts';
import { endsTransaction } from './effects.ts';
import type { SessionEnvironment } from './environment.ts';
import { heldDenied, tooMuchHeld } from './held.ts';
import type { Judged, Need } from './judged.ts';
import { bounded } from './max-rows.ts';
import { HIDDEN, innerOf, isHidden } from './named.ts';
import type { Names } from './names.ts';
import { gatewayDenial, type Refusal, refusalOf, SQLSTATE, serverDenial, unasked } from './refusal.ts';
import type { KnownSettings, Settings } from './settings.ts';

/** What the statement will find when it runs; within one simple string, what statements before it made of it. */
export interface Surroundings {
  readonly env: SessionEnvironment;
  readonly names: Names;
  readonly settings: Settings;
  /** null: not known. */
  readonly known: KnownSettings | null;
  readonly clouded: Clouded;
  /** What statements earlier in the same string define. */
  readonly earlier?: Earlier;
  /** A statement earlier in the same string renames types. */
  readonly typesRenamed?: boolean;
  /** The transaction is aborted and everything sent has been answered: the server cannot be asked. */
  readonly aborted: boolean;
  /** Why the server did not answer a question for this statement. */
  readonly askFailed: string | null;
  readonly now: number;
}

export type Judgement =
  | { readonly kind: 'Judged'; readonly judged: Judged }
  | { readonly kind: 'Wait'; readonly need: Need };

/** Facts of what nobody could analyse. */
export function unreadFacts(reason: string): Facts {
  return {
    primary: 'Unknown',
    classes: ['Unknown'],
    relations: [],
    functions: [],
    settings: [],
    readOnly: false,
    unknown: [reason],
  };
}

/** Judges a statement that nobody analysed: only class Any lets it pass. */
export function judgeUnread(s: Surroundings, reason: string, hint: string): Judged {
  const { effective } = s.env.policies(s.now);
  const facts = unreadFacts(reason);
  if (effective.unrestricted)
    return { raw: null, facts, decision: s.env.decide(effective, facts, s.now), refusal: null };
  return denied(null, facts, gatewayDenial(`not understood, so not run: ${reason}`, hint));
}

/** First OID of a type that is not the server's own. */
const FIRST_NORMAL_OID = 16_384;

/**
 * With the types that Parse gives to parameters: their input functions run when values are bound, and what keys they are
 * equal to hangs on them.
 */
export function withParameterTypes(raw: RawStatement, parameterTypes: readonly number[]): RawStatement {
  if (parameterTypes.every((oid) => oid === 0)) return raw;
  const own = parameterTypes.filter((oid) => oid >= FIRST_NORMAL_OID);
  const types = own.length === 0 ? raw.types : [...raw.types, ...own.map((oid) => ({ schema: null, name: '', oid }))];
  return { ...raw, types, parameters: parameterTypes.map(parameterType) };
}

/** `unknown` is as if nothing was said. */
const OPEN: ReadonlySet<number> = new Set([0, 705]);
/** bool, bytea, name, int8, int2, int4, text, oid, cidr, inet, varchar, date, time, timestamp, timestamptz, interval, timetz, numeric, uuid, pg_lsn. */
const EXACT: ReadonlySet<number> = new Set([
  16, 17, 19, 20, 21, 23, 25, 26, 650, 869, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3220,
]);

/** As `isExactType` has it of types that are written. */
function parameterType(oid: number): ParameterType {
  if (OPEN.has(oid)) return 'Open';
  return EXACT.has(oid) ? 'Exact' : oid;
}

/** Judges one statement as it would run now. */
export function judge(s: Surroundings, raw: RawStatement): Judgement {
  const unavailable = s.env.auditUnavailable();
  if (unavailable !== null) return judged(auditDenied(raw, unavailable));
  if (isRollback(raw)) return judged({ raw, facts: factsWithoutNames(raw), decision: ALLOWED, refusal: null });
  if (raw.effects.some(keepsSomething)) {
    const held = tooMuchHeld(s.names);
    if (held !== null) return 'kind' in held ? { kind: 'Wait', need: held } : judged(heldDenied(raw));
  }
  const inner = innerOf(s, raw);
  if (inner === 'Uncertain') return { kind: 'Wait', need: { kind: 'Answers' } };
  if (inner.missing !== null && !s.env.policies(s.now).effective.unrestricted)
    return judged(missing(raw, inner.missing));
  if (inner.raw !== null && isHidden(inner.raw) && !s.env.policies(s.now).effective.unrestricted)
    return judged(denied(raw, factsWithoutNames(raw), HIDDEN));
  const own = judgeAlone(s, raw);
  if (own.kind === 'Wait' || own.judged.refusal !== null) return own;
  if (inner.raw === null) return judged(bounded(own.judged, [raw]));
  const within = judgeAlone(s, inner.raw);
  if (within.kind === 'Wait') return within;
  return judged(bounded(merge(own.judged, within.judged), [raw, inner.raw]));
}

function keepsSomething({ kind }: SessionEffect): boolean {
  return kind === 'Prepare' || kind === 'Declare';
}

const ALLOWED: Decision = { verdict: 'Allow', by: null, shadow: [] };

function judged(value: Judged): Judgement {
  return { kind: 'Judged', judged: value };
}

function denied(raw: RawStatement | null, facts: Facts | null, decision: Decision & { verdict: 'Deny' }): Judged {
  return { raw, facts, decision, refusal: refusalOf(decision) };
}

export function auditDenied(raw: RawStatement | null, reason: string): Judged {
  const decision = gatewayDenial(
    `the statement cannot be recorded, so it is not run: ${reason}`,
    'Nothing is wrong with the statement. Tell the people who run the gateway; try again later.',
  );
  return { raw, facts: null, decision, refusal: { ...refusalOf(decision), code: SQLSTATE.auditUnavailable } };
}

/** Cancelled before it was sent; `message` is in the server's own words. A transaction fails by it, not before it. */
export function cancelled(message: string, raw: RawStatement | null): Judged {
  return {
    raw,
    facts: null,
    decision: serverDenial(message),
    refusal: { code: SQLSTATE.queryCanceled, message, beforeTransactionState: true },
  };
}

/**
 * Refuses a statement whose identity has used up what it may use; null: it may go on. Ends of transactions always may:
 * what was done within the limits is not lost by them.
 */
export function exhausted(
  s: Pick<Surroundings, 'env' | 'now'>,
  raw: RawStatement | null,
  ahead: number,
): Judged | null {
  if (raw?.effects.some(endsTransaction) === true) return null;
  const decision = s.env.usage.exhausted(s.now, ahead);
  if (decision === null) return null;
  return { raw, facts: null, decision, refusal: { ...refusalOf(decision), code: SQLSTATE.limitExceeded } };
}

/** A name that EXECUTE or FETCH uses and this session never made here; the server's own words. */
function missing(raw: RawStatement, refusal: Refusal): Judged {
  return { raw, facts: factsWithoutNames(raw), decision: serverDenial(refusal.message), refusal };
}

/** ROLLBACK is always allowed; in an aborted transaction it is the only way out. */
function isRollback(raw: RawStatement): boolean {
  return (
    raw.effects.length === 1 &&
    raw.unknown.length === 0 &&
    raw.relations.length === 0 &&
    raw.effects[0]!.kind === 'Transaction' &&
    (raw.effects[0]!.op === 'Rollback' || raw.effects[0]!.op === 'RollbackTo')
  );
}

function judgeAlone(s: Surroundings, raw: RawStatement): Judgement {
  const { env, now } = s;
  const { effective } = env.policies(now);
  const refused = (effective.unrestricted ? null : readDifferently(s, raw)) ?? settingRefused(s, raw);
  if (refused !== null) return judged(denied(raw, factsWithoutNames(raw), refused));
  if (effective.unrestricted) return judged(unrestricted(s, raw));
  const resolved = resolveNames(s, raw);
  if (resolved.kind === 'Wait') return unanswerable(s, raw, resolved);
  if (resolved.kind === 'Refused') return judged(denied(raw, factsWithoutNames(raw), resolved.decision));
  const decision = env.decide(effective, resolved.facts, now);
  if (decision.verdict === 'Deny') return judged(denied(raw, resolved.facts, decision));
  return judged({ raw, facts: resolved.facts, decision, refusal: null });
}

/** Questions that cannot be put: the statement is refused, as the server itself would in an aborted transaction. */
function unanswerable(s: Surroundings, raw: RawStatement, wait: Judgement & { kind: 'Wait' }): Judgement {
  if (wait.need.kind !== 'Settings' && wait.need.kind !== 'Names') return wait;
  if (s.aborted) {
    return judged(
      missing(raw, {
        code: SQLSTATE.failedTransaction,
        message: 'current transaction is aborted, commands ignored until end of transaction block',
      }),
    );
  }
  if (s.askFailed === null) return wait;
  return judged(denied(raw, factsWithoutNames(raw), unasked(s.askFailed)));
}

/** Under Any alone nothing is refused; facts are for the record, as well as they can be had without asking. */
function unrestricted(s: Surroundings, raw: RawStatement): Judged {
  const { env } = s;
  const catalog = env.lastCatalog();
  const searchPath = s.known?.searchPath ?? ['pg_catalog', 'public'];
  const names = { searchPath, overlay: null, localNames: false, partial: true } as const;
  const resolution = catalog === undefined ? undefined : env.resolve(raw, { catalog, ...names });
  const facts = resolution?.kind === 'Facts' ? resolution.facts : factsWithoutNames(raw);
  return { raw, facts, decision: env.decide(env.policies(s.now).effective, facts, s.now), refusal: null };
}

/** The server may read the text in another way than the grammar here did. */
function readDifferently(s: Surroundings, raw: RawStatement): (Decision & { verdict: 'Deny' }) | null {
  if (!s.settings.standardStrings) {
    return gatewayDenial(
      'statements are not understood while standard_conforming_strings is off',
      "Set standard_conforming_strings = on; write backslash escapes as E'…'.",
    );
  }
  const encoding = s.settings.reported.get('server_encoding') ?? 'UTF8';
  if (raw.folds && SINGLE_BYTE.test(encoding)) {
    return gatewayDenial(
      `not understood, so not run: a database in ${encoding} may take capital letters beyond ASCII for small ones`,
      'Write such names in small letters.',
    );
  }
  if (raw.minMajor > s.env.serverMajor) {
    return gatewayDenial(
      `not understood, so not run: the statement uses syntax of PostgreSQL ${raw.minMajor}, which PostgreSQL ${s.env.serverMajor} reads in another way`,
      `Write it in the syntax of PostgreSQL ${s.env.serverMajor}.`,
    );
  }
  return null;
}

/** Server encodings under which names are folded byte by byte, as the locale says. */
const SINGLE_BYTE = /^(?:LATIN|WIN|KOI8|ISO_8859|SQL_ASCII)/;

function settingRefused(s: Surroundings, raw: RawStatement): (Decision & { verdict: 'Deny' }) | null {
  const { effective } = s.env.policies(s.now);
  for (const change of raw.settings) {
    const current = 'name' in change ? s.settings.reported.get(reportedName(change.name)) : undefined;
    const reason = s.env.checkSetting(effective, change, current);
    if (reason !== null)
      return gatewayDenial(reason, 'An AccessPolicy can allow further settings in spec.session.settings.');
  }
  return null;
}

/** ParameterStatus names of the settings that the server reports in mixed case. */
function reportedName(name: string): string {
  const lower = name.toLowerCase();
  if (lower === 'datestyle') return 'DateStyle';
  if (lower === 'timezone') return 'TimeZone';
  if (lower === 'intervalstyle') return 'IntervalStyle';
  return lower;
}

type Resolved =
  | { readonly kind: 'Facts'; readonly facts: Facts }
  | { readonly kind: 'Wait'; readonly need: Need }
  | { readonly kind: 'Refused'; readonly decision: Decision & { verdict: 'Deny' } };

/** Schemas of a search_path under which names are understood in the string that sets it. */
const MOST_PLACES = 32;

function resolveNames(s: Surroundings, raw: RawStatement): Resolved {
  if (!needsNames(raw)) return { kind: 'Facts', facts: factsWithoutNames(raw) };
  const catalog = s.env.catalog();
  if (catalog === null) return { kind: 'Wait', need: { kind: 'Catalog' } };
  // A session's own names were asked for by the search_path that holds now, not by the one that is foreseen.
  // Test: "behind what else a name meant at the start of the string".
  const foreseen = s.known !== s.settings.known;
  const fixed = catalog !== undefined && meansTheSame(s, raw, catalog);
  if ((foreseen && s.settings.local !== 'no') || (s.clouded !== 'Nothing' && !fixed)) {
    return refused(
      'a statement earlier in the same string changes what names mean, so this one is not understood',
      'Send it as a string of its own.',
    );
  }
  if (catalog === undefined) return noCatalog(s);
  const searchPath = fixed ? SERVERS_OWN : s.known?.searchPath;
  if (searchPath === undefined) return { kind: 'Wait', need: { kind: 'Settings' } };
  // What nobody knows is asked for in each of its schemas.
  if (foreseen && searchPath.length > MOST_PLACES)
    return refused('a statement earlier in the same string sets a long search_path', 'Send it as a string of its own.');
  const resolution = s.env.resolve(raw, {
    catalog,
    searchPath,
    overlay: s.settings.answersFor(catalog),
    localNames: s.settings.local !== 'no',
    typesRenamed: s.typesRenamed === true,
    earlier: s.earlier ?? null,
    foreseen: foreseen && !fixed,
  });
  if (resolution === undefined) return noCatalog(s);
  if (resolution.kind === 'Load') return { kind: 'Wait', need: { kind: 'Catalog' } };
  return resolution.kind === 'Facts' ? resolution : { kind: 'Wait', need: { ...resolution, kind: 'Names' } };
}

function noCatalog(s: Surroundings): Resolved {
  return refused(
    'the database catalogue cannot be read at present, so the statement is not understood',
    'Try again; if it stays so, tell the people who run the gateway: the database server must be reachable from it, and spec.upstream.catalogRole must be able to log in.',
    s.env.catalogFailure(),
  );
}

function refused(message: string, hint: string, detail: string | null = null): Resolved {
  return { kind: 'Refused', decision: gatewayDenial(message, hint, detail) };
}

function factsWithoutNames(raw: RawStatement): Facts {
  const { primary, classes, settings, readOnly, unknown, makes } = raw;
  const facts = { primary, classes, relations: [], functions: [], settings, readOnly, unknown };
  return makes === undefined ? facts : { ...facts, holds: new Set() };
}

function merge(outer: Judged, inner: Judged): Judged {
  const facts = outer.facts === null || inner.facts === null ? inner.facts : join(outer.facts, inner.facts);
  const by = inner.decision.by ?? outer.decision.by;
  const decision: Decision = inner.decision.verdict === 'Deny' ? inner.decision : { ...inner.decision, by };
  return { raw: outer.raw, facts, decision, refusal: inner.refusal };
}

function join(a: Facts, b: Facts): Facts {
  return {
    primary: a.primary,
    classes: [...new Set([...a.classes, ...b.classes])],
    relations: [...a.relations, ...b.relations],
    functions: [...a.functions, ...b.functions],
    settings: [...a.settings, ...b.settings],
    readOnly: a.readOnly && b.readOnly,
    unknown: [...a.unknown, ...b.unknown],
  };
}
