import type { Audit } from '../config/document.ts';
import type { StatementClass } from '../sql/classes.ts';
import type { Facts } from '../sql/facts.ts';

/** Why a statement's text is not in its record. */
export type TextOmitted = 'Redaction' | 'Recording' | 'Secret';

/** Words that announce a credential in a statement: ALTER ROLE … PASSWORD, USER MAPPING OPTIONS, CONNECTION strings. */
const SECRET_WORD = /pass(?:word|wd|phrase)|pgpass|secret|private_?key|api_?key/i;

/** Classes in which such a word is a name or a value of the application's own data. */
const DATA_CLASSES: ReadonlySet<StatementClass> = new Set<StatementClass>([
  'Select',
  'Insert',
  'Update',
  'Delete',
  'Merge',
  'Truncate',
  'CopyTo',
  'CopyFrom',
  'Catalog',
  'Explain',
  'Cursor',
  'Prepare',
  'TempTable',
  'Transaction',
  'Lock',
  'Sequence',
  'Listen',
]);

function isData(facts: Facts): boolean {
  return DATA_CLASSES.has(facts.primary) && facts.classes.every((one) => DATA_CLASSES.has(one));
}

function mayCarryCredential(text: string, facts: Facts | null): boolean {
  // Without facts nothing is known of the text: it may be ALTER ROLE with a typing error.
  return !(facts !== null && isData(facts)) && SECRET_WORD.test(text);
}

/**
 * Whether the text, and with it everything that may quote it, stays out of the record; null: it may be shown.
 * Literals are not cut out one by one: a text is shown whole or not at all, so that no lexer has to agree with
 * PostgreSQL's about where a literal ends.
 */
export function textOmitted(
  text: string,
  facts: Facts | null,
  audit: Pick<Audit, 'redaction' | 'recording'>,
): TextOmitted | null {
  if (audit.recording === 'None') {
    return 'Recording';
  }
  if (audit.redaction.literals === 'Omit') {
    return 'Redaction';
  }
  return mayCarryCredential(text, facts) ? 'Secret' : null;
}
