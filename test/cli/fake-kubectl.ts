import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from './postern.ts';

const PLUGIN = new URL('../../cli/kubectl-postern.ts', import.meta.url).pathname;

/** Answers from files: get/RESOURCE.json, get/RESOURCE/NAME.json, get/RESOURCE.err; runs exec/POD.sh. */
const PROGRAM = `#!/bin/bash
cd "$(dirname "$0")/.." || exit 9
echo "$*" >> calls
words=()
while [ $# -gt 0 ]; do
  case "$1" in
    --) shift; break ;;
    -*) ;;
    *) words+=("$1") ;;
  esac
  shift
done
case "\${words[0]}" in
  get)
    if [ -e "get/\${words[1]}.err" ]; then cat "get/\${words[1]}.err" >&2; exit 1; fi
    file="get/\${words[1]}\${words[2]:+/\${words[2]}}.json"
    if [ -e "$file" ]; then exec cat "$file"; fi
    if [ -z "\${words[2]}" ]; then echo '{"kind":"List","items":[]}'; exit 0; fi
    echo "Error from server (NotFound): \${words[1]} \\"\${words[2]}\\" not found" >&2
    exit 1 ;;
  exec)
    exec bash "exec/\${words[1]}.sh" "$@" ;;
esac
echo "unknown command" >&2
exit 1
`;

/** A kubectl that answers from files, and the plugin that finds it. */
export interface FakeKubectl {
  /** Writes `get/…` or `exec/…`. */
  put(file: string, content: unknown): void;
  /** The calls so far, one per line. */
  calls(): string;
  /** Runs "kubectl postern"; `path` in place of the PATH with the fake one. */
  postern(args: readonly string[], options?: { input?: string; path?: string }): ReturnType<typeof run>;
  remove(): void;
}

export function fakeKubectl(): FakeKubectl {
  const directory = mkdtempSync(join(tmpdir(), 'postern-kubectl-'));
  const put = (file: string, content: unknown, mode = 0o644): void => {
    const path = join(directory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode });
  };
  put('bin/kubectl', PROGRAM, 0o755);
  put('calls', '');
  return {
    put,
    calls: () => readFileSync(join(directory, 'calls'), 'utf8'),
    postern: (args, { input = '', path = `${join(directory, 'bin')}:/usr/bin:/bin` } = {}) =>
      run(PLUGIN, args, input, { env: { ...process.env, PATH: path } }),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export function list(...items: readonly unknown[]): unknown {
  return { apiVersion: 'v1', kind: 'List', items };
}
