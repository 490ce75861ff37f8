import type { RawFunction, RawRelation, RawStatement } from './facts.ts';

/** Functions whose first argument names a sequence. */
const OF_SEQUENCE = /^(?:nextval|setval|currval|pg_sequence_last_value|pg_get_sequence_data)$/;

/** Whatever sequence the database has. */
const ANY: RawRelation = sequence('*', '*', true);

/** Sequences that a statement names in arguments, as the server reads a regclass; where it does not say which: any. */
export function sequencesOf(raw: RawStatement): RawRelation[] {
  if (!raw.classes.includes('Sequence')) return [];
  const calls = raw.functions.filter(isOfSequence);
  if (calls.length === 0) return raw.functions.some(({ name }) => name === 'lastval') ? [] : [ANY];
  return calls.map(({ literals }) => {
    const name = parseRegclass(literals[0] ?? null);
    return name === null ? ANY : sequence(name.schema, name.name, false);
  });
}

function sequence(schema: string | null, name: string, creates: boolean): RawRelation {
  return { schema, name, verb: 'Sequence', creates, reach: null, door: 'Statement', reads: [], writes: [] };
}

function isOfSequence({ schema, name }: RawFunction): boolean {
  return (schema === null || schema === 'pg_catalog') && OF_SEQUENCE.test(name);
}

/** `a.b` or `b`, each part in quotes or folded to lower case; null: not known, an OID for instance. */
function parseRegclass(text: string | null): { schema: string | null; name: string } | null {
  if (text === null) return null;
  const part = '("(?:[^"]|"")+"|[^\\s".\\d-][^\\s".]*)';
  const match = new RegExp(`^\\s*(?:${part}\\s*\\.\\s*)?${part}\\s*$`, 'u').exec(text);
  if (match === null) return null;
  const [, schema, name] = match;
  return { schema: schema === undefined ? null : fold(schema), name: fold(name!) };
}

function fold(part: string): string {
  const text = part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase();
  // As the server cuts every name (NAMEDATALEN - 1), at a whole character.
  const bytes = Buffer.from(text);
  return bytes.length < 64
    ? text
    : bytes
        .subarray(0, 63)
        .toString('utf8')
        .replace(/\ufffd$/, '');
}
