/** A relation pattern `schema.name`, ready to match: `*` stands for any characters within its part. */
export interface RelationPattern {
  readonly source: string;
  /** `"*.*"`: every relation of user schemas, or under Any everything. */
  readonly everything: boolean;
  readonly schema: RegExp;
  readonly name: RegExp;
}

/** Schemas of the server: no wildcard speaks of them. */
function isSystemSchema(schema: string): boolean {
  return schema === 'information_schema' || schema.startsWith('pg_');
}

/** Quoted parts are literal, others fold to lower case as in PostgreSQL; undefined: not a pattern. */
export function parsePattern(source: string): RelationPattern | undefined {
  const match = /^("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)$/.exec(source);
  if (match === null) return undefined;
  return { source, everything: source === '*.*', schema: toRegExp(match[1]!), name: toRegExp(match[2]!) };
}

function toRegExp(part: string): RegExp {
  const quoted = part.startsWith('"');
  const literal = quoted ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase();
  const escaped = literal.replace(/[\\^$.+?()[\]{}|/*-]/g, '\\$&');
  return new RegExp(`^${quoted ? escaped : escaped.replaceAll('\\*', '[^]*')}$`, 'u');
}

export function matches(pattern: RelationPattern, schema: string, name: string): boolean {
  if (!pattern.schema.test(schema) || !pattern.name.test(name)) return false;
  // A wildcard in the schema's part means user schemas only; a schema that is spelled out is meant.
  return !isSystemSchema(schema) || !/^[^.]*\*/.test(pattern.source);
}
