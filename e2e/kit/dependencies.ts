import { readFileSync } from 'node:fs';

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The folders under node_modules of these packages and of all that they need, as the lockfile places them. */
export function dependencyFolders(lockfile: string, names: readonly string[]): readonly string[] {
  const { packages } = JSON.parse(readFileSync(lockfile, 'utf8')) as { packages: Record<string, Locked> };
  const found = new Set<string>();
  const visit = (from: string, name: string, optional: boolean): void => {
    const folder = place(packages, from, name);
    if (folder === null && !optional) throw new Error(`the lockfile has no ${name}`);
    if (folder === null || found.has(folder)) return;
    found.add(folder);
    for (const next of Object.keys(packages[folder]!.dependencies ?? {})) visit(folder, next, false);
  };
  for (const name of names) visit('', name, false);
  // A folder inside one that is taken comes along with it.
  return [...found].filter((folder) => ![...found].some((other) => folder.startsWith(`${other}/`)));
}

/** Node's way: the innermost node_modules above `from` that has the package. */
function place(packages: Readonly<Record<string, Locked>>, from: string, name: string): string | null {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const folder = `${base === '' ? '' : `${base}/`}node_modules/${name}`;
    if (folder in packages) return folder;
    if (base === '') return null;
  }
}
