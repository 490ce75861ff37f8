import { expect, test } from 'vitest';
import { loadParser } from '../../gateway/analysis/parser.ts';
import { GRAMMAR } from '../../gateway/sql/grammar.generated.ts';
import { STATEMENTS } from '../../gateway/sql/statements.ts';
import { corpusStatements } from '../sql-live/corpus.ts';

/** Nodes that the server makes after parsing, or that belong to other trees than a statement's. */
const LATER = new Set(
  (
    'ScanResult ScanToken SummaryResult Table Function FilterColumn OidList IntList TableFunc Var Param Aggref WindowFunc ' +
    'WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan ' +
    'AlternativeSubPlan FieldSelect FieldStore RelabelType CoerceViaIO ArrayCoerceExpr ConvertRowtypeExpr CollateExpr ' +
    'CaseTestExpr ArrayExpr RowCompareExpr JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan ' +
    'JsonTableSiblingJoin MergeAction CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem ReturningExpr ' +
    'TargetEntry RangeTblRef FromExpr OnConflictExpr Query PartitionRangeDatum RangeTblEntry RTEPermissionInfo ' +
    'RangeTblFunction TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause SetOperationStmt ' +
    'PLAssignStmt InlineCodeBlock CallContext'
  ).split(' '),
);

const parser = await loadParser();

interface Item {
  readonly type: string;
  readonly node: unknown;
}

function childrenOf({ type, node }: Item): Item[] {
  return Object.entries(node as Record<string, unknown>).flatMap(([field, value]) => {
    const shape = GRAMMAR[type]?.[field] ?? '.';
    if (shape === '.') return [];
    const base = shape.replace('*', '');
    return (shape.endsWith('*') ? (value as unknown[]) : [value]).flatMap((child) => {
      if (base !== 'Node') return [{ type: base, node: child }];
      return Object.entries(child as object).map(([own, fields]) => ({ type: own, node: fields as unknown }));
    });
  });
}

/** Adds every type of node in a tree. */
function typesIn(tree: unknown, seen: Set<string>): void {
  const stack: Item[] = [{ type: 'ParseResult', node: tree }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    seen.add(item.type);
    stack.push(...childrenOf(item));
  }
}

test('the corpus holds every node of the grammar, and every statement that is told apart', () => {
  const statements = corpusStatements();
  const seen = new Set<string>();
  for (const { sql } of statements) typesIn(parser.parse(sql), seen);
  expect(Object.keys(GRAMMAR).filter((type) => !seen.has(type) && !LATER.has(type))).toEqual([]);
  expect([...STATEMENTS.keys()].filter((type) => !seen.has(type))).toEqual([]);
  expect([...LATER].filter((type) => seen.has(type))).toEqual([]);
  expect(new Set(statements.map(({ sql }) => sql)).size).toBe(statements.length);
  expect(statements.length).toBeGreaterThanOrEqual(1500);
});
