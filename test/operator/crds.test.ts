import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const CRDS = new URL('../../crds/', import.meta.url);
const SHORT: Readonly<Record<string, string>> = {
  AccessPolicy: 'pgap',
  AccessRequest: 'pgreq',
  MaskingRule: 'pgmask',
  PostgresGateway: 'pggw',
};

interface Node {
  readonly [key: string]: unknown;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node;
}

/** Every schema below one, with its path. */
function* nodes(node: Node, path: string): Generator<[string, Node]> {
  yield [path, node];
  for (const [name, below] of Object.entries(node.properties ?? {})) yield* nodes(below, `${path}.${name}`);
  if (node.items !== undefined) yield* nodes(node.items, `${path}[]`);
  if (node.additionalProperties !== undefined) yield* nodes(node.additionalProperties, `${path}{}`);
}

const files = readdirSync(CRDS).filter((name) => name.endsWith('.yaml'));

test('there are four', () => {
  expect(files.sort()).toEqual([
    'accesspolicies.yaml',
    'accessrequests.yaml',
    'maskingrules.yaml',
    'postgresgateways.yaml',
  ]);
});

describe.each(files)('%s', (file) => {
  const text = readFileSync(new URL(file, CRDS), 'utf8');
  const { metadata, spec } = parse(text);
  const [version] = spec.versions;
  const root = version.schema.openAPIV3Schema as Node;
  const all = [...nodes(root.properties!.spec!, 'spec'), ...nodes(root.properties!.status!, 'status')];
  const lacking = (which: (node: Node) => boolean) => all.filter(([, node]) => which(node)).map(([path]) => path);

  test('fits an etcd object many times over', () => {
    expect(Buffer.byteLength(text)).toBeLessThan(256 * 1024);
  });

  test('is namespaced, in the category, with its short name, one served version and a status of its own', () => {
    expect(metadata.name).toBe(`${spec.names.plural}.postern.dev`);
    expect(spec).toMatchObject({ group: 'postern.dev', scope: 'Namespaced' });
    expect(spec.names).toMatchObject({ categories: ['postern'], shortNames: [SHORT[spec.names.kind]] });
    expect(spec.versions).toHaveLength(1);
    expect(version).toMatchObject({ name: 'v1alpha1', served: true, storage: true, subresources: { status: {} } });
  });

  test('shows something in kubectl get', () => {
    expect(version.additionalPrinterColumns.length).toBeGreaterThan(2);
    expect(version.additionalPrinterColumns.at(-1)).toMatchObject({ name: 'Age', type: 'date' });
  });

  test('describes every field', () => {
    const bare = lacking(({ description }) => typeof description !== 'string' || description.length < 4);
    // What a scalar in a list or map means is said by the list or map.
    expect(bare.filter((path) => !/[\]}]$/.test(path))).toEqual([]);
  });

  test('bounds every string, list and map, so that CEL costs stay bounded', () => {
    const bounded = ['enum', 'maxLength', 'format'];
    expect(lacking((node) => node.type === 'string' && !bounded.some((key) => node[key] !== undefined))).toEqual([]);
    expect(lacking((node) => node.type === 'array' && node.maxItems === undefined)).toEqual([]);
    expect(lacking((node) => node.additionalProperties !== undefined && node.maxProperties === undefined)).toEqual([]);
  });

  test('says of every list whether it is atomic, a set or a map', () => {
    expect(lacking((node) => node.type === 'array' && node['x-kubernetes-list-type'] === undefined)).toEqual([]);
  });

  test('gives every rule a message', () => {
    const rules = all.flatMap(([path, node]) =>
      ((node['x-kubernetes-validations'] ?? []) as { message?: string }[]).map(({ message }) => [path, message]),
    );
    expect(rules.filter(([, message]) => message === undefined)).toEqual([]);
  });
});
