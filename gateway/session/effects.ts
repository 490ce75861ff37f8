import type { Facts, RawStatement, SessionEffect } from '../sql/facts.ts';
import type { PreparedStatement, Undo } from './names.ts';
import { sqlName } from './names.ts';
import { forgetPins } from './pins.ts';
import type { SessionState } from './state.ts';

/** Settings that decide what names mean or who acts: only the server knows what a change makes of them. */
const TRACKED = new Set(['search_path', 'role', 'session_authorization']);

/** Statement classes that define something, or may. */
const DEFINING = new Set(['Ddl', 'Code', 'TempTable', 'Do', 'Call']);

/** Notes what a statement does to the session's names; returns how to undo it. */
export function applyNames(s: SessionState, raw: RawStatement): Undo[] {
  return raw.effects.flatMap((effect) => applyName(s, effect));
}

/** Notes what a statement that is being forwarded may do to settings, and to what names mean. */
export function noteSettings(s: SessionState, raw: RawStatement, facts: Facts | null): void {
  if (raw.effects.some(endsTransaction)) s.settings.rolledBack();
  if (changesSettings(raw, facts)) s.settings.touch();
  forgetPins(s, raw);
  // A string is converted as a whole before any of it runs: only what comes after it is read in another way.
  if (raw.settings.some((c) => 'name' in c && c.name === 'client_encoding')) s.settings.changesEncoding();
  if (facts !== null) noteDefinitions(s, facts);
}

/** COMMIT, ROLLBACK and their kin, ROLLBACK TO included: what SET LOCAL did is gone after it. */
export function endsTransaction(effect: SessionEffect): boolean {
  return effect.kind === 'Transaction' && effect.op !== 'Begin' && effect.op !== 'Savepoint' && effect.op !== 'Release';
}

/** The statement may change what later statements mean in a way that only the server can tell. */
export function changesSettings(raw: RawStatement, facts: Facts | null): boolean {
  return (
    raw.asks ||
    raw.unknown.length > 0 ||
    (facts !== null && facts.functions.length > 0) ||
    raw.classes.includes('Do') ||
    raw.classes.includes('Call') ||
    raw.settings.some((c) => c.kind === 'ResetAll' || (c.kind !== 'Show' && TRACKED.has(c.name.toLowerCase()))) ||
    raw.effects.some((effect) => effect.kind === 'Discard')
  );
}

function noteDefinitions(s: SessionState, facts: Facts): void {
  const temporary = facts.classes.includes('TempTable') || facts.relations.some((r) => r.verb === 'TempTable');
  if (temporary) s.settings.defines('TempTable');
  else if (facts.classes.some((c) => DEFINING.has(c)) || facts.relations.some((r) => DEFINING.has(r.verb))) {
    s.settings.defines('Ddl');
  }
}

function applyName(s: SessionState, effect: SessionEffect): Undo[] {
  switch (effect.kind) {
    case 'Prepare':
      return [s.names.setStatement(sqlName(effect.name), prepared(effect.inner))];
    case 'Declare': {
      const portal = { statement: prepared(effect.inner), held: effect.hold, running: null };
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

function prepared(inner: RawStatement): PreparedStatement {
  return { text: '', raw: inner, parameterTypes: [], verdict: null };
}
