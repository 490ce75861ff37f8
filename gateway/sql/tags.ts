import { type Typed, text } from './ast.ts';

/** Commands for which event triggers fire, where the node alone says which it is. */
const TAGS: Readonly<Record<string, string>> = {
  CreateStmt: 'CREATE TABLE',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  IndexStmt: 'CREATE INDEX',
  ViewStmt: 'CREATE VIEW',
  CreateSeqStmt: 'CREATE SEQUENCE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  CreateSchemaStmt: 'CREATE SCHEMA',
  CreateTrigStmt: 'CREATE TRIGGER',
  RuleStmt: 'CREATE RULE',
  CreateDomainStmt: 'CREATE DOMAIN',
  AlterDomainStmt: 'ALTER DOMAIN',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateEnumStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  AlterEnumStmt: 'ALTER TYPE',
  AlterTypeStmt: 'ALTER TYPE',
  CreatePolicyStmt: 'CREATE POLICY',
  AlterPolicyStmt: 'ALTER POLICY',
  CreateStatsStmt: 'CREATE STATISTICS',
  CommentStmt: 'COMMENT',
  SecLabelStmt: 'SECURITY LABEL',
  ReindexStmt: 'REINDEX',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
  DropOwnedStmt: 'DROP OWNED',
};

/** Others, whose parts say which command it is, and those that run others: any. */
const ANY = new Set(
  (
    'CreateFunctionStmt AlterFunctionStmt CreateCastStmt CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt ' +
    'AlterOperatorStmt AlterExtensionContentsStmt CreatePLangStmt CreateTransformStmt CreateConversionStmt CreateAmStmt ' +
    'CreateFdwStmt AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt CreateUserMappingStmt ' +
    'AlterUserMappingStmt DropUserMappingStmt CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt ' +
    'CreatePublicationStmt AlterPublicationStmt AlterTableMoveAllStmt DefineStmt AlterStatsStmt AlterCollationStmt ' +
    'CreateExtensionStmt AlterExtensionStmt RefreshMatViewStmt ' +
    'RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt AlterTSDictionaryStmt AlterTSConfigurationStmt'
  ).split(' '),
);

/** These belong to all databases, or are event triggers themselves: none fires for them. */
const SHARED = /DATABASE|ROLE|TABLESPACE|EVENT_TRIGGER|PARAMETER_ACL/;

/** The command tag by which event triggers know a statement; `*`: one of several; null: they do not fire for it. */
export function commandTag({ type, fields }: Typed): string | null {
  const kind = text(fields.removeType) || text(fields.renameType) || text(fields.objectType) || text(fields.objtype);
  if (SHARED.test(kind)) return null;
  switch (type) {
    case 'DropStmt':
      return tagOf('DROP', kind);
    case 'AlterTableStmt':
      return tagOf('ALTER', kind);
    case 'GrantStmt':
      return fields.is_grant === true ? 'GRANT' : 'REVOKE';
    case 'CreateTableAsStmt':
      return kind === 'OBJECT_MATVIEW' ? 'CREATE MATERIALIZED VIEW' : 'CREATE TABLE AS';
    case 'SelectStmt':
      return intoTable(fields) ? 'SELECT INTO' : null;
    default:
      return TAGS[type] ?? (ANY.has(type) ? '*' : null);
  }
}

function intoTable(query: Typed['fields']): boolean {
  let arm = query;
  // Of a set operation the first query says it.
  while (arm.larg !== undefined) arm = arm.larg as Typed['fields'];
  return arm.intoClause !== undefined;
}

/** What the tag says of the kinds of objects that are most dropped and altered. */
const WORDS: Readonly<Record<string, string>> = {
  MATVIEW: 'MATERIALIZED VIEW',
  FOREIGN_TABLE: 'FOREIGN TABLE',
  ...Object.fromEntries(
    'TABLE VIEW INDEX SEQUENCE TYPE DOMAIN FUNCTION PROCEDURE SCHEMA TRIGGER RULE POLICY EXTENSION'
      .split(' ')
      .map((word) => [word, word]),
  ),
};

function tagOf(verb: 'DROP' | 'ALTER', kind: string): string {
  const words = WORDS[kind.replace('OBJECT_', '')];
  return words === undefined ? '*' : `${verb} ${words}`;
}
