import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { ConfigSource, type OfferResult } from '../../gateway/config/source.ts';
import { readMounted, watchDocument } from '../../gateway/config/watch.ts';
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

describe('the order of documents', () => {
  const third = exampleDocument({ tracing: { endpoint: 'http://collector-3:4318' } });
  const revisionOf = (document: ConfigDocument) => makeRevision(document).revision;

  it('an older document never takes the place of a newer one, in silence', () => {
    const { source, results } = makeSource();
    expect(source.offer(bytesOf(second), { sequence: 20 }).accepted).toBe(true);
    for (const sequence of [19, 0, 1]) expect(source.offer(bytesOf(third), { sequence }).accepted).toBe(false);
    expect([source.current.document, source.sequence, source.refused]).toEqual([second, 20, null]);
    expect(results).toHaveLength(1);
    expect(source.offer(bytesOf(third), { sequence: 21 }).accepted).toBe(true);
    expect([source.current.document, source.sequence]).toEqual([third, 21]);
  });

  it('two documents of one sequence: the first stays', () => {
    const { source } = makeSource();
    source.offer(bytesOf(second), { sequence: 20 });
    expect(source.offer(bytesOf(third), { sequence: 20 }).accepted).toBe(false);
    expect(source.current.document).toEqual(second);
  });

  it('the running document with a greater sequence is newer than what had been in between', () => {
    const { source, results } = makeSource();
    source.offer(bytesOf(first), { sequence: 20 });
    expect([source.sequence, results]).toEqual([20, []]);
    expect(source.offer(bytesOf(second), { sequence: 19 }).accepted).toBe(false);
  });

  it('documents without a sequence replace each other, as files that somebody edits', () => {
    const { source } = makeSource();
    for (const document of [second, third, second]) expect(source.offer(bytesOf(document)).accepted).toBe(true);
  });

  it('a bad document with a great sequence stands in nobody else’s way', () => {
    const { source } = makeSource();
    source.offer(Buffer.from('{'), { sequence: 99 });
    expect(source.offer(bytesOf(second), { sequence: 20 }).accepted).toBe(true);
    expect(source.refused).toEqual({ revision: expect.any(String), errors: ['document: is not JSON'] });
  });

  it('a refusal is told once, whoever brings the document, and is over with the next good one', () => {
    const { source, results } = makeSource();
    const bad = Buffer.from(JSON.stringify({ ...second, listeners: [] }));
    for (let i = 0; i < 3; i++) source.offer(gzipSync(bad), { sequence: 20 });
    expect(results).toHaveLength(1);
    const errors = ['listeners: must NOT have fewer than 1 items'];
    expect(source.refused).toEqual({ revision: expect.stringMatching(/^[0-9a-f]{64}$/), errors });
    source.offer(bytesOf(first), { sequence: 19 });
    expect(source.refused).not.toBeNull();
    source.offer(bytesOf(first), { sequence: 21 });
    expect([source.refused, source.current.document]).toEqual([null, first]);
  });

  it('a file that cannot be read for a while is forgotten when the running one is there again', () => {
    const { source } = makeSource();
    source.offer(bytesOf(second), { sequence: 20 });
    source.refuse(['document: cannot be read']);
    expect(source.refused).toEqual({ revision: null, errors: ['document: cannot be read'] });
    source.offer(bytesOf(second), { sequence: 20 });
    expect(source.refused).toBeNull();
  });

  it('bytes that are not those of the revision named are refused', () => {
    const { source } = makeSource();
    const revision = revisionOf(third);
    expect(source.offer(bytesOf(second), { sequence: 20, revision })).toMatchObject({ accepted: false });
    expect(source.refused).toEqual({
      revision,
      errors: ['document: its bytes are not those of the revision named'],
    });
    expect(source.offer(bytesOf(third), { sequence: 20, revision }).accepted).toBe(true);
  });

  it('a document of another gateway is refused', () => {
    const { source } = makeSource();
    for (const change of [{ name: 'other' }, { namespace: 'other' }]) {
      const result = source.offer({ ...second, gateway: { ...second.gateway, ...change } });
      expect(result).toMatchObject({
        accepted: false,
        errors: [expect.stringMatching(/^gateway: the document is for /)],
      });
    }
    expect(source.current.document).toEqual(first);
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

  it('document and sequence come of one mount, however often it is swapped', async () => {
    const path = join(directory, 'config.json.gz');
    const mount = async (n: number) => {
      await mkdir(join(directory, `..${n}`));
      await writeFile(join(directory, `..${n}`, 'config.json.gz'), `${n}`);
      await writeFile(join(directory, `..${n}`, 'sequence'), `${n}`);
      await symlink(`..${n}`, join(directory, '..data_tmp'));
      await rename(join(directory, '..data_tmp'), join(directory, '..data'));
      if (n > 1) await rm(join(directory, `..${n - 1}`), { recursive: true });
    };
    await mount(1);
    await symlink(join('..data', 'config.json.gz'), path);
    await symlink(join('..data', 'sequence'), join(directory, 'sequence'));
    let swapping = true;
    const swaps = (async () => {
      for (let n = 2; swapping; n++) await mount(n);
    })();
    for (let i = 0; i < 300; i++) {
      const { bytes, sequence } = await readMounted(path);
      expect(bytes.toString()).toBe(String(sequence));
    }
    swapping = false;
    await swaps;
  });

  it('document and sequence come of one mount, where the swap is between the two', async () => {
    for (const n of ['..1', '..2']) await mkdir(join(directory, n));
    // Reading the old document takes until somebody writes to the pipe; its sequence is gone already.
    execFileSync('mkfifo', [join(directory, '..1', 'config.json')]);
    await writeFile(join(directory, '..2', 'config.json'), 'new');
    await writeFile(join(directory, '..2', 'sequence'), '2');
    await symlink('..1', join(directory, '..data'));
    await symlink(join('..data', 'config.json'), join(directory, 'config.json'));
    const reading = readMounted(join(directory, 'config.json'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await symlink('..2', join(directory, '..data_tmp'));
    await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    await writeFile(join(directory, '..1', 'config.json'), 'old');
    expect(await reading).toEqual({ bytes: Buffer.from('new'), sequence: 2 });
  });

  it.each([['x'], ['-1'], ['1e3'], ['99999999999999999'], ['']])('a sequence "%s" is none', async (written) => {
    await writeFile(join(directory, 'config.json'), 'x');
    await writeFile(join(directory, 'sequence'), written);
    expect(await readMounted(join(directory, 'config.json'))).toMatchObject({ sequence: 0 });
  });

  it('an older file that is mounted late changes nothing', async () => {
    const { source, results } = makeSource();
    const path = join(directory, 'config.json');
    await writeFile(join(directory, 'sequence'), '20\n');
    await writeFile(path, bytesOf(second));
    source.offer(bytesOf(exampleDocument({ tracing: { endpoint: 'http://streamed:4318' } })), { sequence: 21 });
    watchDocument(path, source, { signal: stop.signal, interval: 20 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect([source.sequence, results.length]).toEqual([21, 1]);
    await writeFile(join(directory, 'sequence'), '22');
    await vi.waitFor(() => expect(source.current.document).toEqual(second), { timeout: 3000 });
    expect(source.sequence).toBe(22);
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
