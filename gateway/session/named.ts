import type { RawStatement, SessionEffect } from '../sql/facts.ts';
import type { Surroundings } from './judge.ts';
import { type Portal, type PreparedStatement, sqlName, type Unread } from './names.ts';
import { gatewayDenial, type Refusal, SQLSTATE } from './refusal.ts';

/* What EXECUTE, FETCH, Bind and Execute run by its name. */

/** EXECUTE and FETCH run what was prepared or declared before: its facts count as well. */
export function innerOf(
  s: Surroundings,
  raw: RawStatement,
): { raw: RawStatement | null; missing: Refusal | null } | 'Uncertain' {
  const { names } = s;
  for (const effect of raw.effects) {
    if (effect.kind !== 'Execute' && effect.kind !== 'Fetch') continue;
    const key = sqlName(effect.name);
    if (names.isUncertain(effect.kind === 'Execute' ? names.statements : names.portals, key)) return 'Uncertain';
    const named = effect.kind === 'Execute' ? names.statements.get(key) : names.portals.get(key);
    if (named === undefined) return { raw: null, missing: unknownName(effect) };
    const found = 'statement' in named ? named.statement : named;
    const doubt = doubtOf(s, named);
    if (doubt !== null) return { raw: found.raw, missing: notUnderstood(effect, doubt) };
    const unread = found.raw === null && found.verdict?.judged.facts !== null; // else it is the empty statement
    return { raw: found.raw, missing: unread ? notUnderstood(effect, null) : null };
  }
  return { raw: null, missing: null };
}

/**
 * What Parse can prepare and PREPARE cannot: settings, transactions, names. By EXECUTE it would come where nobody looks for
 * it. Test: "a change of search_path that was prepared by Parse is not run by EXECUTE, behind which nobody would look for it".
 */
export function isHidden({ effects, settings }: RawStatement): boolean {
  return effects.length > 0 || settings.some(({ kind }) => kind !== 'Show');
}

export const HIDDEN = gatewayDenial(
  'EXECUTE and FETCH run queries and writes only, not what changes settings, transactions, cursors or prepared statements',
  'Send the statement itself, or run it by Bind and Execute.',
);

/** Why a name counts no more as what it was; null: it counts. Under Any it does, for the record. */
export function doubtOf(
  s: Pick<Surroundings, 'env' | 'names' | 'now'>,
  named: PreparedStatement | Portal,
): Unread | null {
  const { overtaken } = 'statement' in named ? named.statement : named;
  const doubt = overtaken === true ? OVERTAKEN : s.names.isDoubtful(named) ? DOUBTFUL : null;
  return doubt === null || s.env.policies(s.now).effective.unrestricted ? null : doubt;
}

/** Test: "what was prepared before a temporary table hid what it reads". */
const OVERTAKEN: Unread = {
  reason: 'a temporary relation that was made since it was prepared has the name of another that it names',
  hint: 'Prepare it again.',
};

const DOUBTFUL: Unread = {
  reason: 'code that ran since it was prepared, under class Any, may have given its name to something else',
  hint: 'Prepare it again.',
};

/** Prepared by a Parse that nobody could read, under class Any, which does not count any more; or no longer what it was. */
function notUnderstood(effect: SessionEffect & { kind: 'Execute' | 'Fetch' }, doubt: Unread | null): Refusal {
  const message = `what "${effect.name}" runs is not understood, so it is not run`;
  return doubt === null
    ? { code: SQLSTATE.denied, message }
    : { code: SQLSTATE.denied, message: `${message}: ${doubt.reason}`, hint: doubt.hint };
}

function unknownName(effect: SessionEffect & { kind: 'Execute' | 'Fetch' }): Refusal {
  return effect.kind === 'Execute'
    ? { code: SQLSTATE.invalidStatementName, message: `prepared statement "${effect.name}" does not exist` }
    : {
        code: SQLSTATE.invalidCursorName,
        message: `cursor "${effect.name}" does not exist`,
        hint: 'A cursor that a function opened cannot be read through the gateway: what it reads is not known here.',
      };
}
