import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { ConfigSource, type OfferResult } from '../../gateway/config/source.ts';
import { watchDocument } from '../../gateway/config/watch.ts';
import { exampleDocument } from './fixture.ts';

const first = exampleDocument();
const second = exampleDocument({ tracing: { endpoint: 'http://collector:4318' } });
const bytesOf = (document: ConfigDocument): Buffer => Buffer.from(JSON.stringify(document));

function makeSource(): { source: ConfigSource; results: OfferResult[]; changes: string[] } {
  const results: OfferResult[] = [];
  const changes: string[] = [];
  const source = new ConfigSource(makeRevision(first));
  source.subscribe((result) => {
    results.push(result);
    if (result.accepted) changes.push(result.revision);
  });
  return { source, results, changes };
}

describe('ConfigSource', () => {
  it('puts a good document in force and tells its listeners', () => {
    const { source, results, changes } = makeSource();
    const expected = makeRevision(second).revision;
    const result = source.offer(gzipSync(bytesOf(second)));
    expect(result).toEqual({ accepted: true, revision: expected, previous: makeRevision(first).revision });
    expect(source.current).toEqual(makeRevision(second));
    expect(changes).toEqual([expected]);
    expect(results).toEqual([result]);
  });

  it('leaves the running document in force when a bad one is offered, and reports why', () => {
    const { source, results, changes } = makeSource();
    const bad = { ...second, listeners: [] };
    for (const input of [bytesOf(bad), bad, Buffer.from('{')]) {
      const result = source.offer(input);
      expect(result.accepted).toBe(false);
      expect(results.at(-1)).toBe(result);
    }
    expect(source.current).toEqual(makeRevision(first));
    expect(changes).toEqual([]);
    expect(results[0]).toEqual({
      accepted: false,
      revision: makeRevision(first).revision,
      errors: ['listeners: must NOT have fewer than 1 items'],
    });
  });

  it('says nothing when the running document is offered again', () => {
    const { source, results, changes } = makeSource();
    expect(source.offer(structuredClone(first)).accepted).toBe(true);
    expect([results, changes]).toEqual([[], []]);
  });
});

describe('watchDocument', () => {
  let directory: string;
  let stop: AbortController;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-config-'));
    stop = new AbortController();
  });

  afterEach(async () => {
    stop.abort();
    await rm(directory, { recursive: true });
  });

  it('reloads when the file is written, and survives a bad one', async () => {
    const { source, results } = makeSource();
    const path = join(directory, 'config.json');
    await writeFile(path, bytesOf(first));
    watchDocument(path, source, { signal: stop.signal });
    await writeFile(path, bytesOf(second));
    await vi.waitFor(() => expect(source.current.document).toEqual(second), { timeout: 3000 });
    await writeFile(path, 'not a document');
    await vi.waitFor(() => expect(results.at(-1)?.accepted).toBe(false), { timeout: 3000 });
    expect(source.current.document).toEqual(second);
    await writeFile(path, bytesOf(first));
    await vi.waitFor(() => expect(source.current.document).toEqual(first), { timeout: 3000 });
  });

  it('reloads when Kubernetes swaps the symbolic link of a mounted ConfigMap', async () => {
    const { source } = makeSource();
    for (const [name, document] of [
      ['..1', first],
      ['..2', second],
    ] as const) {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, 'config.json.gz'), gzipSync(bytesOf(document)));
    }
    await symlink('..1', join(directory, '..data'));
    await symlink(join('..data', 'config.json.gz'), join(directory, 'config.json.gz'));
    watchDocument(join(directory, 'config.json.gz'), source, { signal: stop.signal });
    await symlink('..2', join(directory, '..data_tmp'));
    await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    await rm(join(directory, '..1'), { recursive: true });
    await vi.waitFor(() => expect(source.current.document).toEqual(second), { timeout: 3000 });
  });

  it('reports a file that vanishes once and picks it up again', async () => {
    const { source, results } = makeSource();
    const path = join(directory, 'config.json');
    await writeFile(path, bytesOf(first));
    watchDocument(path, source, { signal: stop.signal, interval: 20 });
    await rm(path);
    await vi.waitFor(() => expect(results).toHaveLength(1), { timeout: 3000 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(results).toEqual([
      { accepted: false, revision: makeRevision(first).revision, errors: [`document: cannot read ${path} (ENOENT)`] },
    ]);
    await writeFile(path, bytesOf(second));
    await vi.waitFor(() => expect(source.current.document).toEqual(second), { timeout: 3000 });
  });

  it('stops when its signal aborts', async () => {
    const { source, results } = makeSource();
    const path = join(directory, 'config.json');
    await writeFile(path, bytesOf(first));
    watchDocument(path, source, { signal: stop.signal, interval: 20 });
    stop.abort();
    await writeFile(path, bytesOf(second));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(source.current.document).toEqual(first);
    expect(results).toEqual([]);
  });
});
