/** Longest user name, in bytes of UTF-8. */
const MAX_USERNAME_BYTES = 256;
/** Longest group name, in bytes of UTF-8; directories name groups by paths. */
const MAX_GROUP_BYTES = 1024;

// Line breaks, NUL and other controls would forge log lines; bidirectional controls make one name look like another.
const UNSAFE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
// Names that Kubernetes gives to its own: only a Kubernetes issuer may speak of them.
const RESERVED = /^system:/i;

/** Whether a name belongs to Kubernetes' own namespace of users and groups. */
export function isReservedName(name: string): boolean {
  return RESERVED.test(name);
}

/**
 * What is wrong with a user name, as the end of a sentence that does not quote it; null: nothing.
 * Quotes, spaces inside and any letters are fine: names are compared exactly and never put into SQL.
 */
export function usernameProblem(name: string): string | null {
  const problem = textProblem(name, MAX_USERNAME_BYTES);
  if (problem !== null) return problem;
  if (name !== name.trim()) return 'begins or ends with white space';
  if (isReservedName(name)) return 'begins with "system:", which is reserved for Kubernetes';
  return null;
}

/** What is wrong with a group name, as the end of a sentence that does not quote it; null: nothing. */
export function groupProblem(name: string): string | null {
  return textProblem(name, MAX_GROUP_BYTES);
}

function textProblem(name: string, limit: number): string | null {
  if (name === '') return 'is empty';
  if (!name.isWellFormed()) return 'is not valid Unicode';
  if (Buffer.byteLength(name) > limit) return `is longer than ${limit} bytes`;
  if (UNSAFE.test(name)) return 'contains a control character';
  return null;
}
