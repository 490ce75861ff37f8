import type { QualifiedName } from './facts.ts';
import type { Found } from './resolve.ts';
import { isSystem, isTemporary } from './resolve-environment.ts';
import type { Arrival } from './resolve-follow.ts';
import { kin, type Surroundings } from './resolve-links.ts';

const every = null;
/**
 * Columns of system relations whose contents are secrets, or other people's: a rule must name the relation. PostgreSQL
 * keeps most of them from ordinary roles as well.
 */
const SECRET: ReadonlyMap<string, ReadonlySet<string> | null> = new Map([
  ['pg_authid', new Set(['rolpassword'])],
  ['pg_shadow', new Set(['passwd'])],
  ['pg_user_mapping', new Set(['umoptions'])],
  ['pg_user_mappings', new Set(['umoptions'])],
  ['pg_subscription', new Set(['subconninfo'])],
  ['pg_foreign_server', new Set(['srvoptions'])],
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
  if (isTemporary(schema)) {
    found.classes.add('TempTable');
    if (of === null) found.temporary += 1;
    return;
  }
  if (isSystem(schema) && !isSecret(name, at.reads)) {
    found.classes.add(verb === 'Select' ? 'Catalog' : 'CatalogWrite');
    return;
  }
  const family = kin(relation, around);
  const descendants = reached(at, family.descendantNames);
  found.relations.push({
    schema,
    name,
    kind,
    verb,
    reach,
    door,
    ...(of === null ? { reads: at.reads, writes: at.writes } : { of }),
    ...(family.ancestors.length === 0 ? {} : { ancestors: family.ancestors }),
    ...(relation.links?.partition === true ? { partition: true } : {}),
    ...(descendants.length === 0 ? {} : { descendants }),
  });
}

function isSecret(name: string, columns: readonly string[]): boolean {
  const secret = SECRET.get(name);
  if (secret === undefined) return false;
  return secret === null || columns.some((column) => column === '*' || secret.has(column));
}

/** Rows for a parent by inheritance stay there; those for a partitioned table go to a partition. */
function reached({ relation, verb, only }: Arrival, descendants: readonly QualifiedName[]): readonly QualifiedName[] {
  if (only || (verb === 'Insert' && relation.kind !== 'partitioned')) return [];
  return descendants;
}
