import { execFileSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditLog, IntentRecord } from '../../gateway/audit/record.ts';
import { type Event, FACTS, faults, intent, linesOf, open, outcome, SESSION, scratch, settled } from './kit.ts';

let room: ReturnType<typeof scratch>;
let log: AuditLog | null = null;

beforeEach(() => {
  room = scratch();
});

afterEach(async () => {
  await log?.close();
  log = null;
  room.remove();
});

/** A clock and a counter of milliseconds that the test moves. */
function clocks(): { readonly now: () => number; readonly monotonic: () => number; at: number; ms: number } {
  const self = { at: 1_700_000_000_000, ms: 0, now: () => self.at, monotonic: () => self.ms };
  return self;
}

async function lineOfIntent(change: Partial<IntentRecord>, options: Parameters<typeof open>[1] = {}): Promise<string> {
  log = await open(room.path, options);
  log.session(SESSION).record(intent(1, change));
  expect(await settled(log)).toBeNull();
  return linesOf(room.path).at(-1) as string;
}

describe('events', () => {
  it('are lines that no change of the code may change unseen', async () => {
    const time = clocks();
    log = await open(room.path, { now: time.now, monotonic: time.monotonic });
    log.authentication({
      listener: 'people',
      client: SESSION.client,
      outcome: 'Success',
      message: null,
      identity: SESSION.identity,
      user: 'analyst_ro',
      database: 'orders',
    });
    log.authentication({
      listener: 'people',
      client: SESSION.client,
      outcome: 'BadSignature',
      message: 'the token is not signed by its issuer',
      identity: null,
      user: 'postgres',
      database: null,
    });
    log.revision({ revision: '9f2c', previous: null, error: null });
    log.revision({ revision: 'beef', previous: '9f2c', error: 'policies[0].role is not offered' });
    const session = log.session(SESSION);
    session.record({
      kind: 'prepare',
      time: time.at,
      statement: 1,
      name: 's1',
      text: 'select 1',
      facts: FACTS,
      decision: {
        verdict: 'Allow',
        by: { policy: 'shop/analysts', rule: 'read' },
        shadow: [{ policy: 'shop/strict', rule: 'none', verdict: 'Deny' }],
      },
      revision: '9f2c',
    });
    session.record(
      intent(2, {
        time: time.at,
        parameters: [
          { type: 23, format: 'binary', value: Buffer.from([0, 0, 0, 42]) },
          { type: 25, format: 'text', value: Buffer.from('Zoë "x"') },
          { type: 0, format: 'binary', value: Buffer.from([1, 2]) },
          { type: 25, format: 'text', value: null },
        ],
      }),
    );
    time.ms += 1.234567;
    time.at += 2;
    session.record(outcome(2, { time: time.at, duration: 1.234567 }));
    session.record(
      intent(3, {
        time: time.at,
        protocol: 'Simple',
        text: 'drop table orders',
        facts: null,
        decision: {
          verdict: 'Deny',
          by: null,
          message: 'not allowed',
          detail: 'no rule',
          hint: 'ask',
          alert: true,
          shadow: [],
        },
        applicationName: '',
      }),
    );
    const none = { rows: 0, bytes: 0, sqlstate: '42501', tag: null, duration: 0, primary: 'Unknown' } as const;
    session.record(outcome(3, { time: time.at, status: 'Denied', ...none }));
    session.end('ClientTerminate');
    await log.close();
    log = null;
    const lines = linesOf(room.path);
    const id = JSON.parse(lines[0] as string).metadata.log_name;
    expect(lines.flatMap(faults)).toEqual([]);
    const golden = new URL('./golden/events.ndjson', import.meta.url).pathname;
    await expect(`${lines.join('\n').replaceAll(id, 'ID')}\n`).toMatchFileSnapshot(golden);
  });

  it('carry index and log id as a stable id, in order', async () => {
    log = await open(room.path);
    const session = log.session(SESSION);
    session.record(intent(1));
    session.record(outcome(1));
    await settled(log);
    const events: Event[] = linesOf(room.path).map((line) => JSON.parse(line));
    expect(events.map((event) => event.metadata.sequence)).toEqual([0, 1, 2, 3]);
    expect(events.map((event) => event.metadata.uid)).toEqual(events.map((e, i) => `${e.metadata.log_name}-${i}`));
  });

  it('keep duration and order when the clock goes backwards', async () => {
    log = await open(room.path);
    const session = log.session(SESSION);
    session.record(intent(1, { time: 1_700_000_000_000 }));
    session.record(outcome(1, { time: 1_700_000_000_000 - 3_600_000, duration: 5 }));
    await settled(log);
    const [first, second]: Event[] = linesOf(room.path)
      .slice(-2)
      .map((line) => JSON.parse(line));
    expect(second.time).toBe(first.time - 3_600_000);
    expect(second.metadata.sequence).toBe(first.metadata.sequence + 1);
    expect(second.unmapped.postern.duration).toBe(5);
  });

  it('of long texts leave nothing behind in the memory of their session', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    log = await open(room.path);
    const session = log.session(SESSION);
    collect();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100; i++) {
      session.record(intent(i, { text: `select ${i} --${'x'.repeat(131_000)}` }));
      if (i % 10 === 0) await settled(log);
    }
    await settled(log);
    // What is collected is given back by another thread.
    const left = () => {
      collect();
      return process.memoryUsage().arrayBuffers - before;
    };
    await expect.poll(left, { timeout: 10_000 }).toBeLessThan(4 << 20);
  });

  const classes = [
    { primary: 'Insert', id: 5, name: 'Write' },
    { primary: 'Update', id: 2, name: 'Update' },
    { primary: 'Truncate', id: 7, name: 'Delete' },
    { primary: 'CopyTo', id: 1, name: 'Read' },
    { primary: 'Ddl', id: 99, name: 'Ddl' },
  ] as const;
  it.each(classes)('name the activity of $primary: $name', async ({ primary, id, name }) => {
    const line = await lineOfIntent({ facts: { ...FACTS, primary } });
    const event: Event = JSON.parse(line);
    expect(faults(line)).toEqual([]);
    expect([event.activity_id, event.activity_name, event.type_uid]).toEqual([id, name, 600500 + id]);
  });

  const hostile = [
    { name: 'quotes and newlines', text: "select 'a\"b'\n-- \r\t\\" },
    { name: 'control characters', text: 'select \u0001\u001f\u007f\u2028' },
    { name: 'text that looks like the end of a record', text: '"}\n{"metadata":{"sequence":0,"uid":""' },
    { name: 'a lone surrogate', text: 'select \ud800' },
    { name: '128 KiB', text: `select '${'x'.repeat(131_000)}'` },
  ];
  it.each(hostile)('stay one valid line with $name in text and names', async ({ text }) => {
    const line = await lineOfIntent({
      text,
      applicationName: text,
      decision: { verdict: 'Allow', by: { policy: text, rule: text }, shadow: [] },
      facts: { ...FACTS, relations: [{ ...FACTS.relations[0], schema: text, name: text } as never] },
    });
    expect(faults(line)).toEqual([]);
    expect(JSON.parse(line).query_info.query_string).toBe(text.toWellFormed());
  });
});

describe('what stays out of a record', () => {
  const denied = {
    verdict: 'Deny',
    by: null,
    message: 'secret-literal',
    detail: 'secret-literal',
    hint: 'secret-literal',
    alert: false,
    shadow: [],
  } as const;
  const parameters = [{ type: 25, format: 'text', value: Buffer.from('secret-parameter') }] as const;
  const cases = [
    {
      name: 'literals: Omit leaves the text and what may quote it out',
      options: { redaction: { parameters: 'Keep', literals: 'Omit' } },
      omitted: 'Redaction',
      absent: ['secret-literal'],
      present: ['secret-parameter'],
    },
    {
      name: 'parameters: Omit leaves the parameters out and counts them',
      options: { redaction: { parameters: 'Omit', literals: 'Keep' } },
      omitted: undefined,
      absent: ['secret-parameter'],
      present: ['secret-literal', '"parameter_count":1'],
    },
    {
      name: 'recording: None leaves both out',
      options: { recording: 'None' },
      omitted: 'Recording',
      absent: ['secret-literal', 'secret-parameter'],
      present: [],
    },
  ] as const;
  it.each(cases)('$name', async ({ options, omitted, absent, present }) => {
    const line = await lineOfIntent({ text: "select 'secret-literal'", parameters, decision: denied }, options);
    expect(faults(line)).toEqual([]);
    expect(JSON.parse(line).unmapped.postern.text_omitted).toBe(omitted);
    expect(absent.filter((word) => line.includes(word))).toEqual([]);
    expect(present.filter((word) => !line.includes(word))).toEqual([]);
  });

  const secrets = [
    { text: "alter role bob password 'hunter2'", facts: { ...FACTS, primary: 'Role', classes: ['Role'] } },
    { text: "ALTER ROLE bob PASSWROD PassWord 'hunter2'", facts: null },
    {
      text: "create user mapping for bob server s options (password 'hunter2')",
      facts: { ...FACTS, primary: 'Ddl', classes: ['Ddl', 'Link'] },
    },
    {
      text: "select dblink_connect('host=x password=hunter2')",
      facts: { ...FACTS, primary: 'Select', classes: ['Select', 'Link'] },
    },
  ] as const;
  it.each(secrets)('no password of: $text', async ({ text, facts }) => {
    const line = await lineOfIntent({ text, facts, parameters: [{ ...parameters[0], value: Buffer.from('hunter2') }] });
    expect(faults(line)).toEqual([]);
    expect(line).not.toContain('hunter2');
    expect(JSON.parse(line).unmapped.postern.text_omitted).toBe('Secret');
  });

  it('but not the text of a query over a column that is called password', async () => {
    const line = await lineOfIntent({ text: 'select password from users', facts: { ...FACTS, classes: ['Select'] } });
    expect(JSON.parse(line).query_info.query_string).toBe('select password from users');
  });
});

describe('the page of event fields', () => {
  it('is what the schema says', () => {
    const tool = new URL('../../tools/generate-events.ts', import.meta.url).pathname;
    expect(() => execFileSync(process.execPath, [tool, '--check'], { stdio: 'pipe' })).not.toThrow();
  });
});
