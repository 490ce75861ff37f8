import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DASHBOARDS, render } from './dashboards.ts';
import { chartReadme } from './values-table.ts';

/**
 * Writes what the chart has from elsewhere: the custom resource definitions (a chart can only reach its own files), the
 * dashboards, its version, its README. With `--check` it only compares, and exits 1 where one is stale.
 */

const ROOT = new URL('../', import.meta.url);
const CHART = 'charts/postern';
/** Folders of which nothing is to be there that is not made here. */
const OWNED = [`${CHART}/files/crds`, `${CHART}/files/dashboards`];

const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

/** The chart's version and that of the software are one, as the image's tag is. */
function chartYaml(version: string): string {
  return read(`${CHART}/Chart.yaml`)
    .replace(/^(version|appVersion): .*$/gm, `$1: ${version}`)
    .replace(/^(\s+image: postern):.*$/m, `$1:${version}`);
}

const made = new Map<string, string>([
  [`${CHART}/Chart.yaml`, chartYaml(JSON.parse(read('package.json')).version)],
  [`${CHART}/README.md`, chartReadme(read(`${CHART}/values.yaml`))],
  ...DASHBOARDS.map((one): [string, string] => [
    `${CHART}/files/dashboards/${one.uid}.json`,
    `${JSON.stringify(render(one), null, 1)}\n`,
  ]),
  ...readdirSync(new URL('crds/', ROOT)).map((file): [string, string] => [
    `${CHART}/files/crds/${file}`,
    read(`crds/${file}`),
  ]),
]);
const strangers = OWNED.flatMap((folder) =>
  existsSync(new URL(folder, ROOT)) ? readdirSync(new URL(folder, ROOT)).map((file) => `${folder}/${file}`) : [],
).filter((path) => !made.has(path));

if (process.argv.includes('--check')) {
  const stale = [...made].filter(([path, text]) => !existsSync(new URL(path, ROOT)) || read(path) !== text);
  for (const path of [...stale.map(([path]) => path), ...strangers])
    process.stderr.write(`${path} is stale: run node tools/generate-chart.ts\n`);
  if (stale.length + strangers.length > 0) process.exitCode = 1;
} else {
  for (const path of strangers) rmSync(new URL(path, ROOT));
  for (const [path, text] of made) {
    mkdirSync(dirname(new URL(path, ROOT).pathname), { recursive: true });
    writeFileSync(new URL(path, ROOT), text);
  }
}
