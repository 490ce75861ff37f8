import type { StatementClass } from './classes.ts';

/** What a statement node is, and what its relation references mean unless a position says otherwise. */
export interface StatementKind {
  readonly primary: StatementClass;
  /** Classes that hold besides those of relations and functions. */
  readonly classes: readonly StatementClass[];
}

const of = (primary: StatementClass, ...classes: StatementClass[]): StatementKind => ({ primary, classes });

const ALIKE: readonly (readonly [kind: StatementKind, nodes: string])[] = [
  [of('Transaction', 'Transaction'), 'TransactionStmt'],
  [of('Session', 'Session'), 'VariableSetStmt VariableShowStmt DiscardStmt ConstraintsSetStmt'],
  [of('Explain', 'Explain'), 'ExplainStmt'],
  [of('Prepare', 'Prepare'), 'PrepareStmt ExecuteStmt DeallocateStmt'],
  [of('Cursor', 'Cursor'), 'DeclareCursorStmt FetchStmt ClosePortalStmt'],
  [of('Listen', 'Listen'), 'ListenStmt NotifyStmt UnlistenStmt'],
  [of('Do', 'Do'), 'DoStmt'],
  [of('Call', 'Call'), 'CallStmt'],
  [of('Maintenance', 'Maintenance'), 'VacuumStmt ClusterStmt ReindexStmt RefreshMatViewStmt'],
  [of('ServerControl', 'ServerControl'), 'AlterSystemStmt CheckPointStmt'],
  [of('Code', 'Code', 'ServerControl'), 'LoadStmt'],
  [of('Grant', 'Grant'), 'GrantStmt AlterDefaultPrivilegesStmt'],
  [
    of('Role', 'Role'),
    'GrantRoleStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt ReassignOwnedStmt DropOwnedStmt',
  ],
  [
    of('Code', 'Code'),
    'CreateFunctionStmt AlterFunctionStmt CreateTrigStmt CreateEventTrigStmt AlterEventTrigStmt RuleStmt CreateCastStmt ' +
      'CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt AlterOperatorStmt CreateExtensionStmt AlterExtensionStmt ' +
      'AlterExtensionContentsStmt CreatePLangStmt CreateTransformStmt CreateConversionStmt CreateAmStmt CreateRangeStmt',
  ],
  [
    of('Link', 'Link'),
    'CreateFdwStmt AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt CreateUserMappingStmt ' +
      'AlterUserMappingStmt DropUserMappingStmt ImportForeignSchemaStmt CreateForeignTableStmt CreateSubscriptionStmt ' +
      'AlterSubscriptionStmt DropSubscriptionStmt',
  ],
  [of('Ddl', 'Ddl', 'ServerFile'), 'CreateTableSpaceStmt'],
  [of('Replication', 'Replication'), 'CreatePublicationStmt AlterPublicationStmt'],
  [
    of('Ddl', 'Ddl'),
    'CreateSchemaStmt CreateStmt AlterTableStmt AlterTableMoveAllStmt DropTableSpaceStmt ' +
      'AlterTableSpaceOptionsStmt CreatePolicyStmt AlterPolicyStmt CreateSeqStmt AlterSeqStmt DefineStmt ' +
      'CreateDomainStmt AlterDomainStmt CompositeTypeStmt CreateEnumStmt AlterEnumStmt AlterTypeStmt ' +
      'ViewStmt IndexStmt CreateStatsStmt AlterStatsStmt AlterCollationStmt RenameStmt AlterObjectDependsStmt ' +
      'AlterObjectSchemaStmt AlterOwnerStmt DropStmt CommentStmt SecLabelStmt CreatedbStmt AlterDatabaseStmt ' +
      'AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt DropdbStmt CreateTableAsStmt AlterTSDictionaryStmt ' +
      'AlterTSConfigurationStmt',
  ],
  [of('Select'), 'SelectStmt'],
  [of('Insert'), 'InsertStmt'],
  [of('Update'), 'UpdateStmt'],
  [of('Delete'), 'DeleteStmt'],
  [of('Merge'), 'MergeStmt'],
  [of('Truncate'), 'TruncateStmt'],
  [of('Lock'), 'LockStmt'],
  [of('CopyTo'), 'CopyStmt'],
];

/** Every statement node that is understood; any other has class Unknown. */
export const STATEMENTS: ReadonlyMap<string, StatementKind> = new Map(
  ALIKE.flatMap(([kind, nodes]) => nodes.split(' ').map((node) => [node, kind] as const)),
);

/**
 * Where a relation may stand, as `parent.field`, and what is done to it there. A reference anywhere else is not
 * understood.
 */
export const POSITIONS: Readonly<Record<string, { readonly verb: StatementClass; readonly creates?: true }>> = {
  'SelectStmt.fromClause': { verb: 'Select' },
  'JoinExpr.larg': { verb: 'Select' },
  'JoinExpr.rarg': { verb: 'Select' },
  'RangeTableSample.relation': { verb: 'Select' },
  'UpdateStmt.fromClause': { verb: 'Select' },
  'DeleteStmt.usingClause': { verb: 'Select' },
  'MergeStmt.sourceRelation': { verb: 'Select' },
  'InsertStmt.relation': { verb: 'Insert' },
  'UpdateStmt.relation': { verb: 'Update' },
  'DeleteStmt.relation': { verb: 'Delete' },
  'MergeStmt.relation': { verb: 'Merge' },
  'TruncateStmt.relations': { verb: 'Truncate' },
  'LockStmt.relations': { verb: 'Lock' },
  'VacuumRelation.relation': { verb: 'Maintenance' },
  'ClusterStmt.relation': { verb: 'Maintenance' },
  'ReindexStmt.relation': { verb: 'Maintenance' },
  'RefreshMatViewStmt.relation': { verb: 'Maintenance' },
  'IntoClause.rel': { verb: 'Ddl', creates: true },
  'CreateStmt.relation': { verb: 'Ddl', creates: true },
  'CreateStmt.inhRelations': { verb: 'Ddl' },
  'TableLikeClause.relation': { verb: 'Select' },
  'Constraint.pktable': { verb: 'Ddl' },
  'IndexStmt.relation': { verb: 'Ddl' },
  'AlterTableStmt.relation': { verb: 'Ddl' },
  'AlterTableCmd.def': { verb: 'Ddl' },
  'ColumnDef.identitySequence': { verb: 'Ddl' },
  'PartitionCmd.name': { verb: 'Ddl' },
  'RenameStmt.relation': { verb: 'Ddl' },
  'AlterObjectSchemaStmt.relation': { verb: 'Ddl' },
  'AlterObjectDependsStmt.relation': { verb: 'Ddl' },
  'AlterOwnerStmt.relation': { verb: 'Ddl' },
  'ViewStmt.view': { verb: 'Ddl', creates: true },
  'CreateSeqStmt.sequence': { verb: 'Ddl', creates: true },
  'AlterSeqStmt.sequence': { verb: 'Ddl' },
  'CompositeTypeStmt.typevar': { verb: 'Ddl', creates: true },
  'CreateStatsStmt.relations': { verb: 'Ddl' },
  'CreatePolicyStmt.table': { verb: 'Ddl' },
  'AlterPolicyStmt.table': { verb: 'Ddl' },
  'CreateTrigStmt.relation': { verb: 'Code' },
  'CreateTrigStmt.constrrel': { verb: 'Code' },
  'RuleStmt.relation': { verb: 'Code' },
  'GrantStmt.objects': { verb: 'Grant' },
  'PublicationTable.relation': { verb: 'Replication' },
};

/** Classes and verbs that change nothing. */
const READING: ReadonlySet<StatementClass> = new Set([
  'Select',
  'CopyTo',
  'Catalog',
  'Explain',
  'Transaction',
  'Session',
  'Cursor',
  'Prepare',
  'Listen',
]);

/** Whether something of this class leaves everything as it was. */
export function reads(cls: StatementClass): boolean {
  return READING.has(cls);
}
