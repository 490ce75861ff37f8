/** Writes docs/reference.md from crds/*.yaml; with `--check` it only compares, and exits 1 if stale. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { type Crd, renderKind } from './reference-page.ts';

const CRDS = new URL('../crds/', import.meta.url);
const PAGE = new URL('../docs/reference.md', import.meta.url);

/** In the order in which they are needed. */
const ORDER = ['PostgresGateway', 'AccessPolicy', 'MaskingRule', 'AccessRequest'];

const INTRODUCTION = `# Reference of the custom resources

<!-- Generated from crds/*.yaml by tools/generate-reference.ts. -->

Every field, as the API server checks it and \`kubectl explain\` tells it. What policies mean together is in
[Policies](policies.md); what this version does not do yet, and refuses by name, in [Limits](limits.md). "Checked" is the
message of a rule that the API server enforces beside type and bounds.
`;

const crds = readdirSync(CRDS)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => parse(readFileSync(new URL(name, CRDS), 'utf8')) as Crd)
  .sort((a, b) => ORDER.indexOf(a.spec.names.kind) - ORDER.indexOf(b.spec.names.kind));
const contents = crds.map(({ spec: { names } }) => `[${names.kind}](#${names.kind.toLowerCase()})`).join(' · ');
const page = `${[INTRODUCTION.trimEnd(), contents, ...crds.map(renderKind)].join('\n\n').trimEnd()}\n`;

if (!process.argv.includes('--check')) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, 'utf8') !== page) {
  process.stderr.write('docs/reference.md is not what crds/*.yaml say: run node tools/generate-reference.ts\n');
  process.exitCode = 1;
}
