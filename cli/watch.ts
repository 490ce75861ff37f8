import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const INTERVAL = 250;

/**
 * Calls back once the files have changed and lie still again. It looks at them a few times a second: editors replace
 * files, directories get new ones, and not every file system tells.
 */
export function watchFiles(paths: readonly string[], changed: () => void): { close(): void } {
  let known = fingerprint(paths);
  let last = known;
  const timer = setInterval(() => {
    const now = fingerprint(paths);
    const still = now === last;
    last = now;
    if (!still || now === known) return;
    known = now;
    changed();
  }, INTERVAL);
  timer.unref();
  return { close: () => clearInterval(timer) };
}

function fingerprint(paths: readonly string[]): string {
  return paths.map(describe).join('\n');
}

/** Name, identity, size and times of a file, or of all in a directory. */
function describe(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    const self = `${path} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    if (!statSync(path).isDirectory()) return self;
    return [
      self,
      ...readdirSync(path)
        .filter(isYaml)
        .sort()
        .map((name) => describe(join(path, name))),
    ].join('\n');
  } catch {
    return `${path} is not there`;
  }
}

export function isYaml(name: string): boolean {
  return /\.ya?ml$/.test(name);
}
