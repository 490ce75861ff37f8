import { expect, test } from 'vitest';
import { readDefinition } from '../../gateway/catalog/definition.ts';
import { nodesOf, parseNodeTree } from '../../gateway/catalog/node-tree.ts';

test('a name cannot pass for a field', () => {
  const [alias] = nodesOf(parseNodeTree('{ALIAS :aliasname :relid :colnames ("a" ":funcid" "b\\ c\\)")}'));
  expect([...alias!.fields]).toEqual([
    ['aliasname', ':relid'],
    ['colnames', ['"a"', '":funcid"', '"b\\ c\\)"']],
  ]);
});

test('the bytes of a constant are no fields', () => {
  const [constant] = nodesOf(parseNodeTree('{CONST :constlen 4 :constvalue 4 [ 1 0 -1 0 ] :location -1}'));
  expect([...constant!.fields.keys()]).toEqual(['constlen', 'constvalue', 'location']);
});

test('a deep tree is read without recursion', () => {
  const depth = 200_000;
  const deep = `${'{OPEXPR :args '.repeat(depth)}<>${'}'.repeat(depth)}`;
  expect(nodesOf(parseNodeTree(deep))).toHaveLength(depth);
});

test('a tree that is cut off is no definition', () => {
  expect(() => readDefinition('({QUERY :commandType 1}))', { relation: 1, columns: [] })).toThrow('not balanced');
});
