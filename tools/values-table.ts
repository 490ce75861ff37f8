import { isCollection, isMap, isPair, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** One value of the chart: its path, its default as it is written, and the comment above it. */
interface Value {
  readonly path: string;
  readonly standard: string;
  readonly comment: string;
}

const tidy = (comment: string | null | undefined): string =>
  (comment ?? '')
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();

/** Values in the order of the file; a map whose keys have comments is taken apart, any other is one value. */
function* valuesOf(map: YAMLMap, path: string, source: string): Generator<Value> {
  for (const [index, pair] of map.items.entries()) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const { key, value } = pair as Pair<typeof pair.key, unknown>;
    const here = path === '' ? String(key.value) : `${path}.${key.value}`;
    // The comment above a map's first key belongs, for the parser, to the map.
    const comment = tidy(key.commentBefore ?? (index === 0 ? map.commentBefore : undefined));
    if (isMap(value) && value.flow !== true && hasComments(value)) yield* valuesOf(value as YAMLMap, here, source);
    else if (isCollection(value) || isScalar(value)) {
      const [from, to] = value.range!;
      yield { path: here, standard: source.slice(from, to).trim().split(/\s+/).join(' '), comment };
    }
  }
}

function hasComments(map: YAMLMap): boolean {
  return (
    map.commentBefore != null ||
    map.items.some((pair) => isScalar(pair.key) && pair.key.commentBefore != null) ||
    map.items.some((pair) => isMap(pair.value) && pair.value.flow !== true && hasComments(pair.value as YAMLMap))
  );
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

export const documentedValues = (source: string): readonly Value[] => [
  ...valuesOf(parseDocument(source).contents as YAMLMap, '', source),
];

/** The chart's README: how to install it, and every value. */
export function chartReadme(source: string): string {
  const rows = documentedValues(source).map(
    ({ path, standard, comment }) => `| \`${path}\` | \`${cell(standard)}\` | ${cell(comment)} |`,
  );
  return `# Postern's chart

<!-- Generated from values.yaml by tools/generate-chart.ts. -->

\`\`\`
helm install postern charts/postern --namespace postern-system --create-namespace
helm test postern --namespace postern-system --logs
\`\`\`

[Installing](../../docs/install.md) says more; [GitOps](../../docs/gitops.md) about Argo CD and Flux. There is one
operator in a namespace, and its names are fixed.

| Value | Default | |
|---|---|---|
${rows.join('\n')}
`;
}
