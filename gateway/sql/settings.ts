import { as, constant, type Fields, list, text } from './ast.ts';
import type { SettingChange } from './facts.ts';
import type { Findings } from './findings.ts';

/** A change of a setting, with the classes that it brings. */
export function addSetting(change: SettingChange, found: Findings): void {
  found.settings.push(change);
  if (change.kind === 'ResetAll' || change.kind === 'Show') return;
  if (becomesAnother(change)) found.classes.add('Role');
  // What is created without a schema would be temporary (test: "a path through pg_temp makes temporary objects").
  if (change.name === 'search_path' && change.kind === 'Set' && /pg_temp/i.test(change.value ?? '')) {
    found.classes.add('TempTable');
  }
}

/** RESET and NONE only bring back who signed in, as DISCARD ALL does: pools send them between clients. */
function becomesAnother(change: Exclude<SettingChange, { kind: 'ResetAll' | 'Show' }>): boolean {
  if (change.name !== 'role' && change.name !== 'session_authorization') return false;
  // `NONE` in quotes is a role of that name.
  return change.kind === 'Set' && !(change.name === 'role' && change.value === 'none');
}

/** SET, RESET and their kin. */
export function refineSet(fields: Fields, found: Findings): void {
  if (fields.kind !== 'VAR_SET_MULTI') {
    addSetting(settingChange(fields), found);
    return;
  }
  // SET TRANSACTION and SET SESSION CHARACTERISTICS; a snapshot only says what the transaction sees.
  found.classes.delete('Session');
  found.classes.add('Transaction');
  addTransactionModes(fields.args, text(fields.name) === 'SESSION CHARACTERISTICS', found);
}

/** READ WRITE and the like, with BEGIN and SET TRANSACTION, are a change of a setting like any other. */
export function addTransactionModes(options: unknown, ofSession: boolean, found: Findings): void {
  for (const node of list(options)) {
    const option = as(node, 'DefElem');
    const mode = text(option?.defname);
    if (!mode.startsWith('transaction_')) continue;
    const value = constant(option?.arg);
    const plain = mode.endsWith('isolation') ? (value ?? null) : value === '0' || value === 'false' ? 'off' : 'on';
    const name = ofSession ? `default_${mode}` : mode;
    addSetting({ kind: 'Set', name, value: plain, list: null, local: !ofSession }, found);
  }
}

/** What one SET or RESET says, of the session or of a role or database. */
export function settingChange(fields: Fields): SettingChange {
  // Setting names have no case, however they are quoted (test: "SET \"ROLE\" is SET ROLE").
  const [kind, name, local] = [text(fields.kind), text(fields.name).toLowerCase(), fields.is_local === true];
  if (kind === 'VAR_RESET_ALL') return { kind: 'ResetAll' };
  const unforeseen: SettingChange = { kind: 'Set', name, value: null, list: null, local };
  if (kind === 'VAR_RESET' || kind === 'VAR_SET_DEFAULT') return local ? unforeseen : { kind: 'Reset', name };
  // Only what is written as it will be: INTERVAL '1' HOUR is a cast.
  const values = list(fields.args).map((arg) => (as(arg, 'A_Const') === undefined ? undefined : constant(arg)));
  const plain = kind === 'VAR_SET_VALUE' && values.every((value): value is string => typeof value === 'string');
  if (!plain) return unforeseen;
  return { kind: 'Set', name, value: (values as string[]).join(', '), list: values as string[], local };
}
