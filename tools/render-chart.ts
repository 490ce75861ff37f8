import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * Renders the chart with helm: manifests/postern.yaml, to be applied without helm, and a golden file for each file of
 * test/chart/values. With `--check` it lints, renders everything twice, compares, and exits 1 where something differs.
 */

const ROOT = new URL('../', import.meta.url);
const VALUES = 'test/chart/values';
const GOLDEN = 'test/chart/golden';
const BUNDLE = 'manifests/postern.yaml';
const KUBE_VERSION = '1.30.0';

const HEAD = `# Generated from charts/postern by make manifests. Everything that \`helm install\` brings, for kubectl apply -f.
apiVersion: v1
kind: Namespace
metadata:
  name: postern-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
`;

function helm(...args: readonly string[]): string {
  try {
    return execFileSync('helm', [...args, '--kube-version', KUBE_VERSION], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  } catch (error) {
    const { code, stderr, stdout } = error as NodeJS.ErrnoException & { stderr?: string; stdout?: string };
    throw new Error(code === 'ENOENT' ? 'helm is needed on PATH' : `helm ${args.join(' ')}:\n${stdout}${stderr}`);
  }
}

const template = (...args: readonly string[]): string =>
  helm('template', 'postern', 'charts/postern', '--namespace', 'postern-system', ...args);

/** Not installed by helm: what only helm reads, and who it says manages it, would be untrue. */
function bundle(): string {
  const foreign = /^ +(app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/[^\n]*)\n|^# Source: [^\n]*\n/gm;
  return HEAD + template('--skip-tests').replace(foreign, '');
}

function renderAll(): Map<string, string> {
  const cases = readdirSync(new URL(VALUES, ROOT)).sort();
  return new Map([
    [BUNDLE, bundle()],
    ...cases.map((file): [string, string] => [`${GOLDEN}/${file}`, template('--values', `${VALUES}/${file}`)]),
  ]);
}

function check(rendered: Map<string, string>): readonly string[] {
  const again = renderAll();
  const problems: string[] = [];
  for (const [path, text] of rendered) {
    const url = new URL(path, ROOT);
    if (again.get(path) !== text) problems.push(`${path}: two renderings of the chart differ`);
    if (!existsSync(url) || readFileSync(url, 'utf8') !== text) problems.push(`${path} is stale: run make manifests`);
  }
  for (const file of readdirSync(new URL(GOLDEN, ROOT)))
    if (!rendered.has(`${GOLDEN}/${file}`)) problems.push(`${GOLDEN}/${file} belongs to no file of ${VALUES}`);
  return problems;
}

const rendered = renderAll();
if (process.argv.includes('--check')) {
  helm('lint', '--strict', 'charts/postern');
  for (const file of readdirSync(new URL(VALUES, ROOT)))
    helm('lint', '--strict', 'charts/postern', '--values', `${VALUES}/${file}`);
  const problems = check(rendered);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
} else {
  for (const [path, text] of rendered) {
    mkdirSync(new URL('.', new URL(path, ROOT)), { recursive: true });
    writeFileSync(new URL(path, ROOT), text);
  }
}
