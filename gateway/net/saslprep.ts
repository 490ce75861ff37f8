/** RFC 3454 tables B.1 (mapped to nothing) and C.1.2 (spaces). */
const MAPPED_TO_NOTHING = /\u034f|\u1806|[\u180b-\u180d]|[\ufe00-\ufe0f]|[\u00ad\u200b-\u200d\u2060\ufeff]/gu;
const SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu;
/** Controls, private use, surrogates, unassigned, and characters for layout: tables C.2 to C.9. */
const PROHIBITED = /\u0340|\u0341|[\p{C}\u2028\u2029\u2ff0-\u2ffb\ufff9-\uffff]/u;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;

/**
 * Prepares a password for SCRAM (RFC 4013). As PostgreSQL does, a password that the profile prohibits is used as it
 * is: the server did the same when the password was set.
 */
export function saslprep(password: string): string {
  if (/^[\x00-\x7f]*$/.test(password)) return password;
  const prepared = password.replace(SPACES, ' ').replace(MAPPED_TO_NOTHING, '').normalize('NFKC');
  const mixed = RIGHT_TO_LEFT.test(prepared) && /[A-Za-z]/.test(prepared);
  return prepared === '' || PROHIBITED.test(prepared) || mixed ? password : prepared;
}
