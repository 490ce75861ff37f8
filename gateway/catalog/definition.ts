import type { StatementClass } from '../sql/classes.ts';
import type { Column, DefinitionUse, RuleDefinition } from '../sql/resolve-environment.ts';
import { isNode, items, nodesOf, parseNodeTree, type TreeNode, type TreeValue } from './node-tree.ts';

/** First OID that the server does not use for its own objects (FirstNormalObjectId). */
export const FIRST_NORMAL_OID = 16_384;
/** ACL_* bits of `requiredPerms` (nodes/parsenodes.h). */
const PERMISSIONS: readonly (readonly [bit: number, verb: StatementClass])[] = [
  [1, 'Insert'],
  [2, 'Select'],
  [4, 'Update'],
  [8, 'Delete'],
  [16, 'Truncate'],
];
/** FirstLowInvalidHeapAttributeNumber: column numbers in bitmaps are counted from here. */
const LOWEST_ATTRIBUTE = -7;
/** Fields that hold the OID of a function. */
const FUNCTIONS = ['funcid', 'opfuncid', 'hashfuncid', 'negfuncid', 'aggfnoid', 'winfnoid', 'tsmhandler'];

/** What a rule's action does; `own` is the relation it is defined on, whose old and new rows are no reading of it. */
export function readDefinition(action: string, own: RuleOwner): RuleDefinition {
  const tree = parseNodeTree(action);
  const nodes = nodesOf(tree);
  const queries = nodes.filter(({ type }) => type === 'QUERY');
  return {
    relations: queries.flatMap((query) => relationsOf(query, own.relation)),
    notifies: nodes.some(({ type }) => type.startsWith('NOTIFY')),
    functions: [...new Set(nodes.flatMap(functionsOf))],
    ...simpleView(tree, own),
  };
}

export interface RuleOwner {
  readonly relation: number;
  /** Its columns, in order; of dropped ones nothing but their place. */
  readonly columns: readonly string[];
}

function relationsOf(query: TreeNode, own: number): DefinitionUse[] {
  const permissions = items(query.fields.get('rteperminfos'));
  const locked = new Set(items(query.fields.get('rowMarks')).map((mark) => (isNode(mark) ? number(mark, 'rti') : 0)));
  return items(query.fields.get('rtable')).flatMap((entry, at) => {
    if (!isNode(entry) || number(entry, 'rtekind') !== 0 || isOldOrNew(entry, own)) return [];
    // Since 16 the permissions stand beside the range table.
    const beside = permissions[number(entry, 'perminfoindex') - 1];
    const holder = isNode(beside) ? beside : entry;
    const uses = usesOf(query, entry, { holder, position: at + 1 });
    // FOR UPDATE asks for the permission to update.
    return locked.has(at + 1)
      ? uses.map((use) => (use.verb === 'Update' ? { ...use, verb: 'Lock' as const } : use))
      : uses;
  });
}

function usesOf(query: TreeNode, entry: TreeNode, at: { holder: TreeNode; position: number }): DefinitionUse[] {
  const relation = number(entry, 'relid');
  const required = number(at.holder, 'requiredPerms');
  const target = number(query, 'resultRelation') === at.position;
  const columns = relation < FIRST_NORMAL_OID ? columnsOf(entry, at.holder) : null;
  const verbs = PERMISSIONS.filter(([bit]) => (required & bit) !== 0).map(([, verb]) => verb);
  return verbs.map((verb) => ({
    relation,
    verb,
    reach: verb === 'Select' || !target ? null : reachOf(query, verb),
    columns,
    only: entry.fields.get('inh') === 'false',
  }));
}

/** What narrows a rule's action; the rows that the statement itself meets narrow it only where they are named. */
function reachOf(query: TreeNode, verb: StatementClass): DefinitionUse['reach'] {
  const jointree = query.fields.get('jointree');
  const bounded = isNode(jointree) && isNode(jointree.fields.get('quals'));
  return bounded || verb === 'Insert' ? 'Filtered' : 'Unbounded';
}

/** The rows before and after, which every rule can name. */
function isOldOrNew(entry: TreeNode, own: number): boolean {
  const alias = entry.fields.get('alias');
  const name = isNode(alias) ? alias.fields.get('aliasname') : undefined;
  return (
    number(entry, 'relid') === own &&
    (name === 'old' || name === 'new') &&
    entry.fields.get('inFromCl') === 'false' &&
    entry.fields.get('inh') === 'false'
  );
}

/** Names of the columns that are read; null: the whole row. */
function columnsOf(entry: TreeNode, holder: TreeNode): string[] | null {
  const eref = entry.fields.get('eref');
  const names = isNode(eref) ? items(eref.fields.get('colnames')) : [];
  const numbers = items(holder.fields.get('selectedCols'))
    .slice(1)
    .map((bit) => Number(bit) + LOWEST_ATTRIBUTE);
  if (numbers.includes(0)) return null;
  return numbers.filter((at) => at > 0).map((at) => unquote(names[at - 1]));
}

function functionsOf(node: TreeNode): number[] {
  return FUNCTIONS.map((field) => number(node, field)).filter((oid) => oid > 0);
}

/** A view over one relation, whose plain columns lead to it. */
function simpleView(tree: TreeValue, own: RuleOwner): Pick<RuleDefinition, 'base' | 'columns'> {
  const columns = new Map<number, Column>();
  const [query] = items(items(tree)[0]);
  const jointree = isNode(query) ? query.fields.get('jointree') : undefined;
  const from = isNode(jointree) ? items(jointree.fields.get('fromlist')) : [];
  if (!isNode(query) || from.length !== 1 || !isNode(from[0]) || from[0].type !== 'RANGETBLREF')
    return { base: null, columns };
  const position = number(from[0], 'rtindex');
  const entry = items(query.fields.get('rtable'))[position - 1];
  if (!isNode(entry) || number(entry, 'rtekind') !== 0) return { base: null, columns };
  for (const target of items(query.fields.get('targetList'))) {
    const column = isNode(target) ? target.fields.get('expr') : undefined;
    if (!isNode(target) || !isNode(column) || column.type !== 'VAR') continue;
    const place = number(target, 'resno');
    const name = own.columns[place - 1];
    if (number(column, 'varno') === position && number(column, 'varlevelsup') === 0 && name !== undefined)
      columns.set(number(column, 'varattno'), { name, number: place });
  }
  const [base] = relationsOf(query, own.relation).filter((use) => use.relation === number(entry, 'relid'));
  return { base: base ?? null, columns };
}

function number(node: TreeNode, field: string): number {
  return Number(node.fields.get(field) ?? 0) || 0;
}

function unquote(value: TreeValue | undefined): string {
  return typeof value === 'string' ? value.replace(/^"|"$/g, '').replace(/\\(.)/g, '$1') : '';
}
