import { as, type Fields, list, names, qualified, type Typed, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import { addRelation, addSchema, type Findings, NEW } from './findings.ts';
import { newSchema, onlyOf } from './walk.ts';

/** Kinds of objects that are more than a definition, or another one. */
const CLASSES: readonly (readonly [kind: RegExp, cls: StatementClass])[] = [
  [
    /FUNCTION|PROCEDURE|AGGREGATE|TRIGGER|RULE|OPERATOR|OPCLASS|OPFAMILY|CAST|EXTENSION|LANGUAGE|TRANSFORM|ROUTINE/,
    'Code',
  ],
  [/CONVERSION|ACCESS_METHOD|TSPARSER|TSTEMPLATE/, 'Code'],
  [/ROLE/, 'Role'],
  [/FOREIGN_SERVER|FDW|SUBSCRIPTION|USER_MAPPING/, 'Link'],
  [/PUBLICATION/, 'Replication'],
  [/LARGEOBJECT/, 'LargeObject'],
];
/** These are no definitions at all. */
const NO_DEFINITION = /PUBLICATION|LARGEOBJECT/;

const RELATION_KINDS = new Set(
  'TABLE VIEW MATVIEW SEQUENCE FOREIGN_TABLE INDEX'.split(' ').map((kind) => `OBJECT_${kind}`),
);
/** The relation is named in front of the object's own name. */
const PART_KINDS = new Set('COLUMN TRIGGER RULE POLICY TABCONSTRAINT'.split(' ').map((kind) => `OBJECT_${kind}`));

/** DROP, COMMENT, RENAME, OWNER TO, SET SCHEMA, SECURITY LABEL: statements about an object of any kind. */
export function refineObject({ type, fields }: Typed, found: Findings): void {
  const kind = text(fields.removeType) || text(fields.renameType) || text(fields.objectType) || text(fields.objtype);
  for (const [kinds, cls] of CLASSES) if (kinds.test(kind)) found.classes.add(cls);
  // "$user" in a search path is a role's name.
  if (kind === 'OBJECT_ROLE') found.asks = true;
  if (NO_DEFINITION.test(kind)) found.classes.delete('Ddl');
  const objects = type === 'DropStmt' ? list(fields.objects) : [fields.object];
  for (const object of objects) addNamed(kind, object, found);
  if (type === 'DropStmt' || fields.newname !== undefined || fields.newschema !== undefined)
    noteRemoval(kind, fields, found);
  addNewName(kind, fields, found);
}

function addNamed(kind: string, object: unknown, found: Findings): void {
  if (kind === 'OBJECT_SCHEMA') changesSchema(text(as(object, 'String')?.sval), found);
  const items = list(as(object, 'List')?.items).map((item) => text(as(item, 'String')?.sval));
  const parts = PART_KINDS.has(kind) ? items.slice(0, -1) : RELATION_KINDS.has(kind) ? items : [];
  if (parts.length > 2) found.unknown.push(`the name of another database in front of ${parts.at(-1)}`);
  if (parts.length > 0) addRelation(found, qualified(parts), 'Ddl');
}

/** What goes away, or goes by another name, may have hidden something of its name from what follows in the string. */
function noteRemoval(kind: string, fields: Fields, found: Findings): void {
  // Test: "renamed in the same string".
  if (kind === 'OBJECT_TYPE' || kind === 'OBJECT_DOMAIN') found.renamesTypes = true;
  if (fields.behavior === 'DROP_CASCADE') found.removes = 'Any';
  else if (RELATION_KINDS.has(kind)) found.removes ??= 'Named';
}

/** RENAME TO and SET SCHEMA: under its new name a relation may fall under other rules. */
function addNewName(kind: string, fields: Fields, found: Findings): void {
  const { newname, newschema } = fields;
  if ((newname !== undefined || newschema !== undefined) && kind === 'OBJECT_EXTENSION') found.asks = true;
  if (kind === 'OBJECT_SCHEMA' && typeof newname === 'string') {
    changesSchema(text(fields.subname), found);
    changesSchema(newname, found);
  }
  const relation = fields.relation as Fields | undefined;
  if (relation === undefined || !RELATION_KINDS.has(kind)) return;
  const { schema, name } = qualified([text(relation.schemaname), text(relation.relname)]);
  if (typeof newname === 'string') addRelation(found, { schema: schema || null, name: newname }, 'Ddl', NEW);
  if (typeof newschema === 'string') addRelation(found, { schema: newschema, name }, 'Ddl', NEW);
}

/** A schema that comes, goes or changes hands changes what the search path finds. */
function changesSchema(schema: string, found: Findings, verb: StatementClass = 'Ddl'): void {
  found.asks = true;
  addSchema(found, schema, verb);
}

export function refineCreateSchema(fields: Fields, found: Findings): void {
  changesSchema(newSchema(fields), found);
}

/** GRANT and REVOKE on what is not a relation by name. */
export function refineGrant(fields: Fields, found: Findings): void {
  const kind = text(fields.objtype);
  if (kind === 'OBJECT_LARGEOBJECT') found.classes.add('LargeObject');
  const schemas = list(fields.objects).map((object) => text(as(object, 'String')?.sval));
  // Without USAGE a schema drops out of the search path.
  if (kind === 'OBJECT_SCHEMA') for (const schema of schemas) changesSchema(schema, found, 'Grant');
  if (fields.targtype === 'ACL_TARGET_ALL_IN_SCHEMA') for (const schema of schemas) addSchema(found, schema, 'Grant');
}

/** ALTER DEFAULT PRIVILEGES IN SCHEMA. */
export function refineDefaultPrivileges(fields: Fields, found: Findings): void {
  for (const node of list(fields.options)) {
    const option = as(node, 'DefElem');
    if (option?.defname !== 'schemas') continue;
    for (const schema of names(as(option.arg, 'List')?.items) ?? []) addSchema(found, schema, 'Grant');
  }
}

/** FOR TABLES IN SCHEMA. */
export function refinePublication(fields: Fields, found: Findings): void {
  for (const node of list(fields.pubobjects)) {
    const object = as(node, 'PublicationObjSpec');
    if (object?.pubobjtype === 'PUBLICATIONOBJ_TABLES_IN_SCHEMA') addSchema(found, text(object.name), 'Replication');
  }
}

/** IMPORT FOREIGN SCHEMA makes tables of the names it is limited to, or of names that only the other server knows. */
export function refineImport(fields: Fields, found: Findings): void {
  const schema = text(fields.local_schema);
  if (fields.list_type !== 'FDW_IMPORT_SCHEMA_LIMIT_TO') return addSchema(found, schema, 'Ddl');
  for (const table of list(fields.table_list)) {
    addRelation(found, { schema, name: text(as(table, 'RangeVar')?.relname) }, 'Ddl', NEW);
  }
}

/** OWNED BY table.column. */
export function refineSequence(fields: Fields, found: Findings): void {
  for (const node of list(fields.options)) {
    const option = as(node, 'DefElem');
    if (option?.defname !== 'owned_by') continue;
    const parts = (names(as(option.arg, 'List')?.items) ?? []).slice(0, -1);
    if (parts.length > 0) addRelation(found, qualified(parts), 'Ddl');
  }
}

const CODE_DEFINITIONS = /AGGREGATE|OPERATOR|TYPE|TSPARSER|TSTEMPLATE/;

/** CREATE AGGREGATE, OPERATOR, TYPE (name = value, …): those that call functions carry code. */
export function refineDefine(fields: Fields, found: Findings): void {
  if (CODE_DEFINITIONS.test(text(fields.kind))) found.classes.add('Code');
}

/** COPY reads a table or fills it; files and programs are the server's. */
export function refineCopy(fields: Fields, found: Findings): void {
  const from = fields.is_from === true;
  found.classes.add(from ? 'CopyFrom' : 'CopyTo');
  if (fields.is_program === true) found.classes.add('Program');
  else if (fields.filename !== undefined) found.classes.add('ServerFile');
  const relation = fields.relation as Fields | undefined;
  if (relation === undefined) return;
  const name = text(relation.relname);
  if (relation.catalogname !== undefined) found.unknown.push(`the name of another database in front of ${name}`);
  const schema = typeof relation.schemaname === 'string' ? relation.schemaname : null;
  const source = found.columns.sources.get(relation) ?? null;
  const only = onlyOf(relation);
  if (!from) return addRelation(found, { schema, name }, 'Select', { door: 'Copy', source, ...only });
  // Rows of a file of the server are not the client's own.
  const reach = { floor: 'Filtered', equated: [], values: fields.filename === undefined } as const;
  const writes = fields.attlist === undefined ? ['*'] : (names(fields.attlist) ?? ['*']);
  addRelation(found, { schema, name }, 'Insert', { door: 'Copy', reach, writes, source, ...only });
}

/** REINDEX SCHEMA. */
export function refineReindex(fields: Fields, found: Findings): void {
  if (fields.kind === 'REINDEX_OBJECT_SCHEMA') addSchema(found, text(fields.name), 'Maintenance');
}

/** ALTER EXTENSION … ADD or DROP of an object. */
export function refineExtensionContents(fields: Fields, found: Findings): void {
  if (unwrap(fields.object) !== undefined) addNamed(text(fields.objtype), fields.object, found);
}
