/** What is read of an OpenAPI v3 node; anything else in one stops the generator, so that the page leaves nothing out. */
interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message?: string }[];
}

export interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly subresources?: Readonly<Record<string, unknown>>;
      readonly additionalPrinterColumns?: readonly { readonly name: string; readonly priority?: number }[];
      readonly schema: { readonly openAPIV3Schema: Node };
    }[];
  };
}

const KNOWN: ReadonlySet<string> = new Set([
  'type',
  'description',
  'format',
  'default',
  'enum',
  'pattern',
  'nullable',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'anyOf',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
]);

interface Row {
  readonly path: string;
  readonly node: Node;
  readonly required: boolean;
}

const HEAD = '| Field | Type and bounds | Default | Meaning |\n|---|---|---|---|\n';

/** The chapter of one kind. */
export function renderKind({ spec }: Crd): string {
  const { names, group, versions } = spec;
  const [version] = versions;
  if (version === undefined || versions.length > 1) throw new Error(`${names.kind}: one version is what is described`);
  const root = version.schema.openAPIV3Schema;
  checkKeywords(root, names.kind);
  const { spec: of, status } = root.properties ?? {};
  if (of === undefined || status === undefined) throw new Error(`${names.kind} has no spec or no status`);
  const about = [
    `\`apiVersion: ${group}/${version.name}\`, namespaced`,
    `\`kubectl get ${[names.plural, ...(names.shortNames ?? [])].join('` or `')}\``,
    ...(names.categories ?? []).map((category) => `category \`${category}\``),
    ...Object.keys(version.subresources ?? {}).map((name) => `subresource \`${name}\``),
  ];
  const columns = (version.additionalPrinterColumns ?? []).map(({ name, priority }) =>
    (priority ?? 0) > 0 ? `${name} (wide)` : name,
  );
  return [
    `## ${names.kind}`,
    root.description ?? '',
    `${about.join('; ')}. Columns: ${columns.join(', ')}.`,
    ...listed(rulesOf(root)),
    ...renderSpec(of),
    `### status\n\n${status.description}\n\n${table(rows('status', status).slice(1))}`,
  ].join('\n\n');
}

/** A table for what is plain, and one for each field that has fields. */
function renderSpec(spec: Node): string[] {
  const parts = children('spec', spec);
  const plain = parts.filter(({ node }) => below(node).length === 0);
  const text = [spec.description ?? '', ...listed(rulesOf(spec))].join('\n\n');
  return [
    `### spec\n\n${text}\n\n${table(plain)}`,
    ...parts
      .filter((part) => !plain.includes(part))
      .map((part) => `### ${part.path}\n\n${table([part, ...below(part.node, part.path)])}`),
  ];
}

function table(all: readonly Row[]): string {
  return HEAD + all.map(renderRow).join('\n');
}

function listed(texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : [texts.map((text) => `- ${text}`).join('\n')];
}

function rows(path: string, node: Node, required = false): Row[] {
  return [{ path, node, required }, ...below(node, path)];
}

/** The fields of an object, of a list's objects or of a map's. */
function below(node: Node, path = ''): Row[] {
  const own = children(path, node).flatMap((row) => [row, ...below(row.node, row.path)]);
  const items = node.items === undefined ? [] : below(node.items, `${path}[]`);
  const values = node.additionalProperties === undefined ? [] : below(node.additionalProperties, `${path}.*`);
  return [...own, ...items, ...values];
}

function children(path: string, { properties = {}, required = [] }: Node): Row[] {
  return Object.entries(properties).map(([name, node]) => ({
    path: `${path}.${name}`,
    node,
    required: required.includes(name),
  }));
}

function renderRow({ path, node, required }: Row): string {
  const meaning = [node.description ?? '', ...rulesOf(node), ...rulesOf(node.items)].filter(Boolean).join('<br>');
  const cells = [`\`${path}\``, typeOf(node), defaultOf(node, required), meaning];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
}

function rulesOf(node: Node | undefined): string[] {
  return (node?.['x-kubernetes-validations'] ?? []).map(({ rule, message }) => `Checked: ${message ?? `\`${rule}\``}.`);
}

function defaultOf(node: Node, required: boolean): string {
  if (node.default !== undefined) return `\`${JSON.stringify(node.default)}\``;
  return required ? 'needed' : '';
}

function typeOf(node: Node): string {
  return [kindOf(node), ...boundsOf(node)].join(', ');
}

function kindOf({ type, items, additionalProperties: values, enum: words, ...node }: Node): string {
  // Bounds of what a list holds are not those of the list.
  if (items !== undefined)
    return boundsOf(items).length > 0 ? `list of (${typeOf(items)})` : `list of ${typeOf(items)}`;
  if (values !== undefined) return `map to (${typeOf(values)})`;
  if (words !== undefined) return words.map((word) => `\`${String(word)}\``).join(' ');
  return node['x-kubernetes-int-or-string'] === true ? 'integer or string' : (type ?? 'anything');
}

function boundsOf(node: Node): string[] {
  const { format, pattern, nullable, minimum, maximum, minLength, maxLength, minItems, maxItems, maxProperties } = node;
  const listType = node['x-kubernetes-list-type'];
  const keys = node['x-kubernetes-list-map-keys'];
  return [
    ...(format === 'date-time' ? ['a time (RFC 3339)'] : []),
    ...range(minimum, maximum, ''),
    ...range(minLength, maxLength, ' characters'),
    ...range(minItems, maxItems, ' items'),
    ...range(undefined, maxProperties, ' entries'),
    ...(pattern === undefined ? [] : [`\`${pattern}\``]),
    ...(listType === 'set' ? ['none twice'] : []),
    ...(keys === undefined ? [] : [`no ${keys.join(' and ')} twice`]),
    ...(nullable === true ? ['or null'] : []),
  ];
}

function range(least: number | undefined, most: number | undefined, unit: string): string[] {
  if (most === undefined) return least === undefined ? [] : [`at least ${least}${unit}`];
  return [least === undefined ? `at most ${most}${unit}` : `${least} to ${most}${unit}`];
}

function checkKeywords(node: Node, path: string): void {
  const unknown = Object.keys(node).filter((key) => !KNOWN.has(key));
  if (unknown.length > 0) throw new Error(`${path}: the page says nothing of ${unknown.join(', ')}`);
  for (const [name, child] of Object.entries(node.properties ?? {})) checkKeywords(child, `${path}.${name}`);
  if (node.items !== undefined) checkKeywords(node.items, `${path}[]`);
  if (node.additionalProperties !== undefined) checkKeywords(node.additionalProperties, `${path}.*`);
}
