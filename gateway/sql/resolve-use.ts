import { isUnforeseen } from './earlier.ts';
import type { QualifiedName } from './facts.ts';
import type { Found } from './resolve.ts';
import { isSystem, isTemporary } from './resolve-environment.ts';
import type { Arrival } from './resolve-follow.ts';
import { kin, type Surroundings } from './resolve-links.ts';

const every = null;
/**
 * Columns of system relations whose contents are secrets, or other people's: a rule must name the relation. PostgreSQL
 * keeps most of them from ordinary roles as well; what it shows to everybody (options of foreign servers) is none.
 */
const SECRET: ReadonlyMap<string, ReadonlySet<string> | null> = new Map([
  ['pg_authid', new Set(['rolpassword'])],
  ['pg_shadow', new Set(['passwd'])],
  ['pg_user_mapping', new Set(['umoptions'])],
  ['pg_user_mappings', new Set(['umoptions'])],
  ['pg_subscription', new Set(['subconninfo'])],
  ['user_mapping_options', new Set(['option_value'])],
  ['_pg_user_mappings', new Set(['umoptions'])],
  // Values of tables, rules about which would be got round.
  ['pg_stats', new Set(['most_common_vals', 'histogram_bounds', 'most_common_elems', 'range_bounds_histogram'])],
  ['pg_stats_ext', new Set(['most_common_vals'])],
  ['pg_stats_ext_exprs', new Set(['most_common_vals', 'histogram_bounds', 'most_common_elems'])],
  ['pg_largeobject', every],
  ['pg_statistic', every],
  ['pg_statistic_ext_data', every],
  ['pg_hba_file_rules', every],
  ['pg_ident_file_mappings', every],
  ['pg_file_settings', every],
]);

/** Adds a relation with what is done to it, or the class that stands for it. */
export function addUse(at: Arrival, { around, found }: { around: Surroundings; found: Found }): void {
  const { relation, verb, reach, door, of } = at;
  const { schema, name, kind } = relation;
  if (relation.links !== undefined) around.relation(relation.links.oid);
  const family = kin(relation, around);
  if (around.earlier !== null) {
    const { ancestors, descendantNames } = family;
    if (isUnforeseen(around.earlier, verb, relation, [...ancestors, ...descendantNames])) unforeseen(relation, found);
  }
  if (isTemporary(schema)) {
    found.classes.add('TempTable');
    if (of === null) found.temporary += 1;
    return;
  }
  if (isSystem(schema) && !isSecret(schema, name, at.reads)) {
    found.classes.add(verb === 'Select' ? 'Catalog' : 'CatalogWrite');
    return;
  }
  const descendants = reached(at, family.descendantNames);
  found.relations.push({
    schema,
    name,
    kind,
    verb,
    reach,
    door,
    ...(reach === 'Keyed' && at.most !== undefined ? { most: at.most } : {}),
    ...(of === null ? { reads: at.reads, writes: at.writes } : { of }),
    ...(family.ancestors.length === 0 ? {} : { ancestors: family.ancestors }),
    ...(relation.links?.partition === true ? { partition: true } : {}),
    ...(descendants.length === 0 ? {} : { descendants }),
  });
}

/** Notes that only the server knows what the statement does there. */
export function unforeseen({ schema, name }: QualifiedName, found: Found): void {
  found.unknown.push(
    `${schema}.${name}, which a statement earlier in the same string defines or changes (send this one by itself)`,
  );
}

function isSecret(schema: string, name: string, columns: readonly string[]): boolean {
  // Long values of any table (test: "TOAST tables are no catalogue").
  if (schema === 'pg_toast') return true;
  const secret = SECRET.get(name);
  if (secret === undefined) return false;
  return secret === null || columns.some((column) => column === '*' || secret.has(column));
}

/** Rows for a parent by inheritance stay there; those for a partitioned table go to a partition. */
function reached({ relation, verb, only }: Arrival, descendants: readonly QualifiedName[]): readonly QualifiedName[] {
  if (only || (verb === 'Insert' && relation.kind !== 'partitioned')) return [];
  return descendants;
}
