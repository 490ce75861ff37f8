import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { documentedValues } from '../../tools/values-table.ts';
import { list, read } from './kit.ts';

const schema = JSON.parse(read('charts/postern/values.schema.json'));
const standard = parse(read('charts/postern/values.yaml'));
const values = documentedValues(read('charts/postern/values.yaml'));
const validate = new Ajv({ allErrors: true, strictTypes: false, strictRequired: false }).compile(schema);

/** The path of each object schema that lets keys through which it does not name or describe. */
function* open(node: unknown, path: string): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  const { type, additionalProperties } = node as Record<string, unknown>;
  const closed = additionalProperties === false || typeof additionalProperties === 'object';
  if (type === 'object' && !closed) yield path;
  for (const [name, below] of Object.entries(node)) yield* open(below, `${path}/${name}`);
}

test('an unknown key is refused at every depth; only what Helm itself hands down is open', () => {
  expect([...open(schema, '')]).toEqual(['/properties/global']);
});

test('the default values, and those of every golden file, are valid', () => {
  expect(validate(standard), JSON.stringify(validate.errors)).toBe(true);
  for (const file of list('test/chart/values'))
    expect(
      validate(merge(standard, parse(read(`test/chart/values/${file}`)))),
      `${file}: ${JSON.stringify(validate.errors)}`,
    ).toBe(true);
});

test('the templates use every value, and no other', () => {
  const templates = list('charts/postern/templates').flatMap((name) =>
    name.includes('.') ? [name] : list(`charts/postern/templates/${name}`).map((below) => `${name}/${below}`),
  );
  const text = templates.map((name) => read(`charts/postern/templates/${name}`)).join('\n');
  const used = [...text.matchAll(/\.Values\.([A-Za-z.]+)/g)].map(([, path]) => path!);
  const kin = (one: string, other: string) => `${one}.`.startsWith(`${other}.`) || `${other}.`.startsWith(`${one}.`);
  expect(used.filter((path) => !values.some((value) => kin(path, value.path)))).toEqual([]);
  // Inside `with`, the last part alone is written.
  expect(values.filter(({ path }) => !text.includes(`.${path.split('.').at(-1)}`))).toEqual([]);
});

test('what Helm is told is text wherever it stands alone: a release or a namespace may be called 123', () => {
  const files = [
    ...list('charts/postern/templates'),
    ...list('charts/postern/templates/tests').map((f) => `tests/${f}`),
  ];
  const lines = files
    .filter((name) => /\.(yaml|tpl)$/.test(name))
    .flatMap((name) => read(`charts/postern/templates/${name}`).split('\n'));
  const alone = /^\s*(- )?([\w./-]+: )?\{\{ \$?(\.|\.Release\.(Name|Namespace)) \}\}$/;
  expect(lines.filter((line) => alone.test(line))).toEqual([]);
});

test('every value says what it is for', () => {
  expect(values.filter(({ comment }) => comment === '')).toEqual([]);
});

describe('a value is refused that', () => {
  test.each<[string, object]>([
    ['is unknown', { replicas: 2 }],
    ['is misspelt further down', { networkPolicy: { apiserver: { ports: [443] } } }],
    ['is of another type', { operator: { replicas: '2' } }],
    ['leaves nobody to do the work', { operator: { replicas: 0 } }],
    ['is no level of the log', { operator: { logLevel: 'trace' } }],
    ['is no pull policy', { image: { pullPolicy: 'Sometimes' } }],
    ['is half a digest', { image: { digest: 'sha256:0123' } }],
    ['smuggles an argument into the image', { image: { repository: 'postern --inspect' } }],
    ['is no namespace', { watchNamespaces: ['Shop'] }],
    ['names a namespace twice', { watchNamespaces: ['shop', 'shop'] }],
    ['protects against everybody', { admission: { protection: { enabled: true, groups: [] } } }],
    ['breaks out of a CEL string', { admission: { protection: { enabled: true, groups: ['a"] || true || ["b'] } } }],
    ['opens a session as nobody', { test: { gateway: { name: 'orders' } } }],
    ['is no peer', { networkPolicy: { metricsFrom: [{ namespaceSelector: { labels: {} } }] } }],
    ['is an empty peer', { networkPolicy: { metricsFrom: [{}] } }],
    ['is no port', { networkPolicy: { apiServer: { ports: ['https'] } } }],
    ['opens every port to the operator by having none', { networkPolicy: { apiServer: { ports: null } } }],
    ['leaves the image without a name', { image: { repository: null } }],
    ['leaves an argument empty', { operator: { logLevel: null } }],
    ['takes away what templates look into', { networkPolicy: null }],
    ['is a list of nothing', { watchNamespaces: [null] }],
  ])('%s', (_, values) => {
    // As Helm does: what is given over the defaults, each map merged, what is null taken away.
    expect(validate(merge(standard, values))).toBe(false);
  });
});

function merge(below: unknown, above: unknown): unknown {
  const map = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!map(below) || !map(above)) return above;
  const keys = [...new Set([...Object.keys(below), ...Object.keys(above)])].filter((key) => above[key] !== null);
  return Object.fromEntries(keys.map((key) => [key, key in above ? merge(below[key], above[key]) : below[key]]));
}
