import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { CONTROL_BEAT } from '../../gateway/config/control.ts';
import type { ConfigDocument, MaskRule } from '../../gateway/config/document.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { issueAll } from '../../operator/control/certificate.ts';
import { ANALYST, DBA, policy, rule, startWorld, type World } from '../gateway/harness.ts';
import { published, type Replica, Stage } from './kit.ts';

const WAIT = { timeout: 15_000, interval: 10 };

/** A gateway in front of a real PostgreSQL, with an operator. */
interface Whole {
  readonly stage: Stage;
  readonly replica: Replica;
  readonly world: World;
  readonly base: ConfigDocument;
}

let whole: Whole;
let sequence = 1_000;

async function open(secrets: Readonly<Record<string, string>> = {}): Promise<Whole> {
  const stage = await new Stage().open();
  stage.certificate = await issueAll(['localhost'], Date.now());
  await stage.writeCa(stage.certificate.ca);
  // As the gateway's own.
  const replica = await stage.replica({ beat: CONTROL_BEAT });
  let base: ConfigDocument | null = null;
  const world = await startWorld({
    secrets,
    change: (document) => {
      base = { ...document, limits: { ...document.limits, drain: 1500 } };
      return base;
    },
    control: {
      host: 'localhost',
      port: replica.server.port,
      ca: path.join(stage.directory, 'ca.crt'),
      token: path.join(stage.directory, 'token'),
    },
  });
  await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
  return { stage, replica, world, base: base! };
}

/** Publishes a changed document and waits until it is confirmed. */
async function publish(change: Partial<ConfigDocument>): Promise<void> {
  const document = published({ ...whole.base, ...change }, ++sequence);
  whole.replica.documents.publish(document);
  await vi.waitFor(() => expect(whole.replica.report()?.revision).toBe(document.revision), WAIT);
}

describe('a gateway with an operator', () => {
  beforeAll(async () => {
    whole = await open();
  });

  afterAll(async () => {
    await whole.world.stop();
    await whole.stage.close();
  });

  it('says what it runs, and counts its sessions', async () => {
    const { replica, world, base } = whole;
    expect(replica.report()).toMatchObject({ revision: makeRevision(base).revision, sequence: 0, draining: false });
    const clients = [await world.connect('analyst'), await world.connect('dba')];
    await vi.waitFor(() => expect(replica.report()?.sessions).toBe(2), WAIT);
    for (const client of clients) await client.end();
    await vi.waitFor(() => expect(replica.report()?.sessions).toBe(0), WAIT);
    expect((await world.admin('/metrics')).body).toMatch(/^postern_control_streams 1$/m);
  });

  it('what is confirmed counts for the next statement of an open session', async () => {
    const client = await whole.world.connect('analyst');
    for (let i = 0; i < 3; i++) {
      await publish({ policies: [DBA, { ...ANALYST, rules: [rule('none', { statements: ['Transaction'] })] }] });
      await expect(client.query('SELECT count(*) FROM orders')).rejects.toMatchObject({ code: '42501' });
      await publish({ policies: [ANALYST, DBA] });
      await expect(client.query('SELECT count(*) FROM orders')).resolves.toMatchObject({ rowCount: 1 });
    }
    await client.end();
  });

  it('a document that is not good is refused and told, and the record of revisions knows', async () => {
    const { replica, world, base } = whole;
    const before = replica.report()?.revision;
    const bad = published({ ...base, listeners: [] }, ++sequence);
    replica.documents.publish(bad);
    const refused = { revision: bad.revision, errors: ['listeners: must NOT have fewer than 1 items'] };
    await vi.waitFor(() => expect(replica.report()).toMatchObject({ revision: before, refused }), WAIT);
    // A record that nobody waits for is written some milliseconds later.
    const recorded = async () =>
      expect(JSON.stringify(await world.events())).toContain('must NOT have fewer than 1 items');
    await vi.waitFor(recorded, WAIT);
    await publish({});
    await vi.waitFor(() => expect(replica.report()?.refused).toBeNull(), WAIT);
  });

  it('tells which rules it cannot enforce', async () => {
    const mask: MaskRule = {
      namespace: 'shop',
      name: 'amounts',
      subjects: [{ group: 'nobody' }],
      except: [],
      columns: [{ schema: 'secret', table: 'sal*', column: 'amount', mask: { type: 'Null' } }],
      detectors: [],
      trustedFunctions: [],
      trustedRelations: [],
      trustedChannels: [],
      hashKey: null,
    };
    await publish({ masks: [mask] });
    expect(whole.replica.report()?.unenforced).toEqual([
      { kind: 'MaskingRule', namespace: 'shop', name: 'amounts', reason: expect.stringContaining('cannot mask') },
    ]);
    await publish({});
    expect(whole.replica.report()?.unenforced).toEqual([]);
  });

  it('finds what policies and masks name and the database lacks, until it is there', async () => {
    const { replica, world } = whole;
    const columns = [
      { schema: 'secret', table: 'salaries', column: 'am*', mask: { type: 'Null' } },
      { schema: 'public', table: 'orders', column: 'Item', mask: { type: 'Null' } },
      { schema: 'p*', table: 'pg_class', column: '*', mask: { type: 'Null' } },
    ] as const;
    const lists = { detectors: [], trustedFunctions: [], trustedRelations: [], trustedChannels: [], hashKey: null };
    const masks: MaskRule[] = [
      { namespace: 'shop', name: 'm', subjects: [{ group: 'x' }], except: [], columns, ...lists },
    ];
    const relations = ['public.orders', 'public.later', 'SECRET.*', '"SECRET".*', '*.*'];
    const functions = ['public.wipe()', 'public.wipe(int)', 'public.add(int, varchar)'];
    const named = policy('named', 'analyst', 'analyst_ro', [
      rule('r', { statements: ['Select'], relations, functions }),
    ]);
    await publish({ masks, policies: [{ ...named, databases: ['shop', 'postgres'] }, DBA] });
    const place = 'database shop or postgres';
    const own = { kind: 'AccessPolicy', namespace: 'shop', name: 'named' };
    const expected = [
      { ...own, path: 'spec.databases[0]', message: 'the server has no database shop' },
      { ...own, path: 'spec.rules[0].relations[1]', message: `"public.later" matches no relation of ${place}` },
      { ...own, path: 'spec.rules[0].relations[3]', message: `""SECRET".*" matches no relation of ${place}` },
      { ...own, path: 'spec.rules[0].functions[1]', message: `"public.wipe(int)" is no function of ${place}` },
      { ...own, path: 'spec.rules[0].functions[2]', message: `"public.add(int, varchar)" is no function of ${place}` },
    ];
    const ofMask = { kind: 'MaskingRule', namespace: 'shop', name: 'm' };
    const dead = [
      { ...ofMask, path: 'spec.columns[1]', message: '"public.orders.Item" matches no column of any database' },
      { ...ofMask, path: 'spec.columns[2]', message: '"p*.pg_class.*" matches no column of any database' },
    ];
    await vi.waitFor(() => expect(replica.report()?.findings).toEqual([...expected, ...dead]), WAIT);
    const dba = await world.connect('dba');
    await dba.query(
      `CREATE TABLE later (); CREATE FUNCTION add(a int, b varchar) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    const left = [expected[0], expected[2], expected[3], ...dead];
    await vi.waitFor(() => expect(replica.report()?.findings).toEqual(left), WAIT);
    await dba.query('DROP TABLE later; DROP FUNCTION add(int, varchar)');
    await dba.end();
    await publish({});
    await vi.waitFor(() => expect(replica.report()?.findings).toEqual([]), WAIT);
  });
});

describe('a role that cannot log in', () => {
  it('is found, and its user name is told to nobody', async () => {
    whole = await open({ 'app_rw/username': 'somebody_secret', 'analyst_ro/username': 'analyst_ro' });
    await vi.waitFor(() => expect(whole.replica.report()?.findings).toHaveLength(1), WAIT);
    const [finding] = whole.replica.report()!.findings;
    expect(finding).toMatchObject({ kind: 'AccessPolicy', name: 'dbas', path: 'spec.role' });
    expect(JSON.stringify(finding)).not.toContain('somebody_secret');
    await whole.world.stop();
    await whole.stage.close();
  });
});

describe('a gateway that drains', () => {
  beforeEach(async () => {
    whole = await open();
  });

  afterEach(async () => {
    await whole.world.server.stop();
    await whole.stage.close();
  });

  it('tells of its sessions to the end, follows policies until then, and says farewell', async () => {
    const { replica, world, base } = whole;
    const [quick, slow] = [await world.connect('analyst'), await world.connect('analyst')];
    await slow.query('BEGIN');
    await vi.waitFor(() => expect(replica.report()?.sessions).toBe(2), WAIT);
    const told: string[] = [];
    const note = setInterval(() => {
      const report = replica.report();
      const line = report === undefined ? 'gone' : `${report.draining} ${report.sessions}`;
      if (told.at(-1) !== line) told.push(line);
    }, 1);
    const drained = world.gateway.drain();
    await vi.waitFor(() => expect(replica.report()).toMatchObject({ draining: true, sessions: 1 }), WAIT);
    const document = published({ ...base, policies: [DBA] }, ++sequence);
    replica.documents.publish(document);
    await vi.waitFor(() => expect(replica.report()?.revision).toBe(document.revision), WAIT);
    await drained;
    await vi.waitFor(() => expect(told.at(-1)).toBe('gone'), WAIT);
    clearInterval(note);
    expect(told).toEqual(['false 2', 'true 2', 'true 1', 'true 0', 'gone'].filter((line) => told.includes(line)));
    expect(told).toContain('true 0');
    expect(replica.metrics.counts).toMatchObject({ Closed: 1 });
    await Promise.all([quick, slow].map((client) => client.end().catch(() => {})));
  });
});
