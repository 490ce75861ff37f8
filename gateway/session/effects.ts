import type { CatalogSnapshot } from '../catalog/snapshot.ts';
import type { Facts, FunctionUse, RawStatement, SessionEffect } from '../sql/facts.ts';
import type { Noting } from './judged.ts';
import type { Names, PreparedStatement, Undo } from './names.ts';
import { sqlName } from './names.ts';
import { forgetPins } from './pins.ts';
import type { SessionState } from './state.ts';

/** Settings that decide what names mean or who acts: only the server knows what a change makes of them. */
const TRACKED = new Set(['search_path', 'role', 'session_authorization']);

/** Settings that decide how the server reads the next text. */
const READING = new Set(['client_encoding', 'standard_conforming_strings']);

/** Statement classes that define something, or may. */
const DEFINING = new Set(['Ddl', 'Code', 'TempTable', 'Do', 'Call']);

/** Notes what a statement does to the session's names; returns how to undo it. */
export function applyNames(s: SessionState, raw: RawStatement, text: string): Undo[] {
  if (raw.effects.length === 0) return [];
  const run = ranBy(s.names, raw);
  return [...applyOwn(s, raw, text), ...run.flatMap((one) => (one?.raw == null ? [] : applyOwn(s, one.raw, one.text)))];
}

function applyOwn(s: SessionState, raw: RawStatement, text: string): Undo[] {
  return raw.effects.flatMap((effect) => applyName(s, effect, text));
}

/**
 * What EXECUTE and FETCH run, and what that runs in its turn; undefined: not known here. Test: "what became of a name
 * under Any by EXECUTE of an EXECUTE of them".
 */
function ranBy(names: Names, raw: RawStatement): (PreparedStatement | undefined)[] {
  const found = new Set<PreparedStatement | undefined>();
  const look = ({ effects }: RawStatement) => {
    for (const effect of effects) {
      if (effect.kind !== 'Execute' && effect.kind !== 'Fetch') continue;
      const key = sqlName(effect.name);
      const one = effect.kind === 'Execute' ? names.statements.get(key) : names.portals.get(key)?.statement;
      if (found.has(one)) continue;
      found.add(one);
      if (one?.raw != null) look(one.raw);
    }
  };
  look(raw);
  return [...found];
}

/** EXECUTE and FETCH: what they run was read before. */
export function runsByName({ kind }: SessionEffect): boolean {
  return kind === 'Execute' || kind === 'Fetch';
}

/** Notes what a statement that is being forwarded may do to settings, and to what names mean. */
export function noteSettings(s: SessionState, raw: RawStatement, facts: Facts | null): void {
  noteOwn(s, raw, facts);
  for (const one of raw.effects.length === 0 ? [] : ranBy(s.names, raw)) {
    if (one?.raw != null) noteOwn(s, one.raw, null);
    else noteUnread(s);
  }
}

/** Notes that something is being forwarded of which it is not known what it does. */
export function noteUnread(s: SessionState): void {
  s.settings.touch();
  if (s.env.policies(s.now).effective.unrestricted) s.names.doubt();
}

function noteOwn(s: SessionState, raw: RawStatement, facts: Facts | null): void {
  if (raw.effects.some(endsTransaction)) {
    s.settings.rolledBack();
    s.transactionLeft = true;
  }
  if (runsOthers(raw, facts)) noteUnread(s);
  else if (changesSettings(raw, facts)) s.settings.touch();
  else if (raw.settings.some((c) => 'name' in c && c.kind !== 'Show' && READING.has(c.name.toLowerCase()))) {
    s.settings.touchReading();
  }
  forgetPins(s, raw);
  if (facts !== null) noteDefinitions(s, raw, facts);
}

/** COMMIT, ROLLBACK and their kin, ROLLBACK TO included: what SET LOCAL did is gone after it. */
export function endsTransaction(effect: SessionEffect): boolean {
  return effect.kind === 'Transaction' && effect.op !== 'Begin' && effect.op !== 'Savepoint' && effect.op !== 'Release';
}

/** The statement may change what later statements mean in a way that only the server can tell. */
export function changesSettings(raw: RawStatement, facts: Facts | null): boolean {
  return (
    raw.asks ||
    makesTables(raw) ||
    runsOthers(raw, facts) ||
    raw.settings.some((c) => c.kind === 'ResetAll' || (c.kind !== 'Show' && TRACKED.has(c.name.toLowerCase()))) ||
    raw.effects.some((effect) => effect.kind === 'Discard')
  );
}

/** It makes temporary tables: of a session that has none yet they change the search path. */
export function makesTables({ makes }: RawStatement): boolean {
  return makes !== undefined && makes.temporary.length > 0;
}

/** Code runs that is not known here. */
export function runsOthers(raw: RawStatement, facts: Facts | null): boolean {
  // Those of event triggers run at once.
  const calls = ({ door }: FunctionUse) => raw.makes?.callsLater !== true || door !== undefined;
  return (
    raw.unknown.length > 0 ||
    facts?.functions.some(calls) === true ||
    raw.classes.includes('Do') ||
    raw.classes.includes('Call')
  );
}

/** What `applyNames` and `noteSettings` note of a statement: nothing, that a transaction may end, or more. */
export function notingOf(raw: RawStatement, facts: Facts | null): Noting {
  const shows = raw.settings.every(({ kind }) => kind === 'Show');
  const controls = raw.effects.every(({ kind }) => kind === 'Transaction');
  const defines = facts !== null && definitionOf(facts) !== null;
  if (!shows || !controls || defines || changesSettings(raw, facts)) return 'More';
  return raw.effects.some(endsTransaction) ? 'Transaction' : 'Nothing';
}

function noteDefinitions(s: SessionState, raw: RawStatement, facts: Facts): void {
  const definition = definitionOf(facts);
  if (definition === null) return;
  // The first one changes the search path, and with it every plan.
  if (definition === 'TempTable' && s.settings.local === 'session') s.names.hide(hiddenBy(s, raw));
  s.settings.defines(definition);
}

/** Names that a temporary relation takes from others. */
function hiddenBy(s: SessionState, { relations }: RawStatement): ReadonlySet<string> {
  const catalog = s.env.lastCatalog();
  const hides = (name: string) => catalog === undefined || isAnywhere(catalog, name);
  return new Set(relations.flatMap(({ verb, name }) => (verb === 'TempTable' && hides(name) ? [name] : [])));
}

function isAnywhere(catalog: CatalogSnapshot, name: string): boolean {
  for (const schema of catalog.schemas) if (catalog.relation(schema, name) !== undefined) return true;
  return false;
}

/** What a statement defines. */
function definitionOf({ classes, relations }: Facts): 'Ddl' | 'TempTable' | null {
  if (classes.includes('TempTable') || relations.some((r) => r.verb === 'TempTable')) return 'TempTable';
  return classes.some((c) => DEFINING.has(c)) || relations.some((r) => DEFINING.has(r.verb)) ? 'Ddl' : null;
}

function applyName(s: SessionState, effect: SessionEffect, text: string): Undo[] {
  switch (effect.kind) {
    case 'Prepare':
      return [s.names.setStatement(sqlName(effect.name), prepared(effect.inner, text))];
    case 'Declare': {
      const statement = prepared(effect.inner, text);
      const portal = { statement, held: effect.hold, running: null, mark: s.replies.sent };
      return [s.names.setPortal(sqlName(effect.name), portal)];
    }
    case 'Deallocate':
      return effect.name === null ? s.names.clearStatements() : [s.names.setStatement(sqlName(effect.name), undefined)];
    case 'CloseCursor':
      return effect.name === null ? s.names.clearPortals() : [s.names.setPortal(sqlName(effect.name), undefined)];
    case 'Discard':
      return effect.what === 'All' ? [...s.names.clearStatements(), ...s.names.clearPortals()] : [];
    case 'Transaction':
    case 'Execute':
    case 'Fetch':
      return [];
  }
}

/** `text`: of the PREPARE or DECLARE, for the record of what runs by its name. */
function prepared(inner: RawStatement, text: string): PreparedStatement {
  return { text, raw: inner, unread: null, parameterTypes: [], verdict: null };
}
