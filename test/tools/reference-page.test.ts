import { expect, test } from 'vitest';
import { type Crd, renderKind } from '../../tools/reference-page.ts';

function crd(properties: Record<string, unknown>, rules: readonly object[] = []): Crd {
  const spec = { type: 'object', description: 'What it is.', 'x-kubernetes-validations': rules, properties };
  const status = { type: 'object', description: 'What became of it.', properties: {} };
  return {
    spec: {
      group: 'postern.dev',
      names: { kind: 'Gate', plural: 'gates', shortNames: ['gt'], categories: ['postern'] },
      versions: [
        {
          name: 'v1',
          subresources: { status: {} },
          additionalPrinterColumns: [{ name: 'Ready' }, { name: 'Why', priority: 1 }],
          schema: {
            openAPIV3Schema: { type: 'object', description: 'A gate.', properties: { spec, status } } as never,
          },
        },
      ],
    },
  };
}

test.each([
  ['a number', { type: 'integer', minimum: 1, maximum: 5, default: 2 }, 'integer, 1 to 5 | `2`'],
  ['words', { type: 'string', enum: ['A', 'B'] }, '`A` `B` | '],
  ['a pattern', { type: 'string', maxLength: 9, pattern: '^(a|b)$' }, 'string, at most 9 characters, `^(a\\|b)$` | '],
  ['a time', { type: 'string', format: 'date-time', nullable: true }, 'string, a time (RFC 3339), or null | '],
  [
    'a list',
    { type: 'array', minItems: 1, 'x-kubernetes-list-type': 'set', items: { type: 'string', maxLength: 3 } },
    'list of (string, at most 3 characters), at least 1 items, none twice | ',
  ],
  [
    'a map',
    { type: 'object', maxProperties: 8, additionalProperties: { 'x-kubernetes-int-or-string': true } },
    'map to (integer or string), at most 8 entries | ',
  ],
])('%s', (_name, node, expected) => {
  expect(renderKind(crd({ field: { description: 'It is.', ...node } }))).toContain(
    `| \`spec.field\` | ${expected} | It is. |`,
  );
});

test('fields of objects in lists, what is needed, and the messages of rules, wherever they are', () => {
  const rule = (message: string) => ({ 'x-kubernetes-validations': [{ rule: 'true', message }] });
  const items = { type: 'object', required: ['name'], properties: { name: { type: 'string' } }, ...rule('of one') };
  const hosts = { type: 'array', items, 'x-kubernetes-list-map-keys': ['name'], ...rule('of all') };
  const page = renderKind(crd({ hosts }, [{ rule: 'self.a > 1' }]));
  expect(page).toContain('- Checked: `self.a > 1`.');
  expect(page).toContain('### spec.hosts');
  expect(page).toContain('| list of object, no name twice |  | Checked: of all.<br>Checked: of one. |');
  expect(page).toContain('| `spec.hosts[].name` | string | needed |  |');
  expect(page).toContain(
    '`kubectl get gates` or `gt`; category `postern`; subresource `status`. Columns: Ready, Why (wide).',
  );
});

test('a keyword that the page does not speak of stops the generator', () => {
  expect(() => renderKind(crd({ a: { type: 'array', items: { type: 'string', not: {} } } }))).toThrow(
    'Gate.spec.a[]: the page says nothing of not',
  );
});
