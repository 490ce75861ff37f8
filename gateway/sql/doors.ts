import type { Fields } from './ast.ts';
import type { SyntaxDoor } from './facts.ts';

/** Fields through which a statement comes to the relations below them in another way than by its own FROM or target. */
const DOORS: Readonly<Record<string, SyntaxDoor>> = {
  'CommonTableExpr.ctequery': 'CommonTableExpression',
  'SubLink.subselect': 'Subquery',
  'RangeSubselect.subquery': 'Subquery',
  'MultiAssignRef.source': 'Subquery',
  'JsonArrayQueryConstructor.query': 'Subquery',
  'CopyStmt.query': 'Copy',
  'CopyStmt.relation': 'Copy',
  'CreateTableAsStmt.query': 'CreateTableAs',
  'DeclareCursorStmt.query': 'Cursor',
  'PrepareStmt.query': 'Prepare',
  'ViewStmt.query': 'Definition',
  'RuleStmt.actions': 'Definition',
  'RuleStmt.whereClause': 'Definition',
  'CreateFunctionStmt.sql_body': 'Definition',
  'CreatePolicyStmt.qual': 'Definition',
  'CreatePolicyStmt.with_check': 'Definition',
  'AlterPolicyStmt.qual': 'Definition',
  'AlterPolicyStmt.with_check': 'Definition',
};

/** The door of what stands in a field of a node. */
export function doorInto(position: string, fields: Fields, outer: SyntaxDoor, planned: boolean): SyntaxDoor {
  if (position === 'ExplainStmt.query') return planned ? 'Explain' : 'ExplainAnalyze';
  if (position.startsWith('MergeStmt.')) return 'Merge';
  if (position === 'SelectStmt.fromClause' && fields.intoClause !== undefined) return 'SelectInto';
  return DOORS[position] ?? outer;
}
