import { expect, test } from 'vitest';
import { Settings } from '../../gateway/session/settings.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { Conversation } from './kit.ts';

/** A text as long as the kit lets be analysed; 17,000 of them weigh 32 MiB. */
const TEXT = `SELECT n FROM public.one -- ${'x'.repeat(900)}`;
const ENOUGH = 17_600;
const parse = (statement: string, text = TEXT) =>
  frontend.encodeParse({ statement, text: Buffer.from(text), parameterTypes: [] });
const query = (text: string) => frontend.encodeQuery(Buffer.from(text));
const sync = frontend.encodeSync();

/** Sends what each number gives, and lets the server answer now and then. */
function sendMany(talk: Conversation, each: (i: number) => readonly Buffer[]): void {
  for (let i = 0; i < ENOUGH; i++) {
    talk.send(...each(i));
    if (i % 100 === 0) talk.settle();
  }
  talk.settle();
}

const refused = ({ got }: Conversation) => got.filter((line) => line === 'ERROR 54000').length;

/** What the client gets for one more. */
function more(talk: Conversation, ...messages: readonly Buffer[]): string | undefined {
  talk.got.length = 0;
  talk.send(...messages);
  talk.settle();
  return talk.got[0];
}

test('what a session may prepare is bounded, and goes on when it has closed some', () => {
  const talk = new Conversation();
  sendMany(talk, (i) => [parse(`s${i}`), sync]);
  expect(refused(talk)).toBeGreaterThan(0);
  expect(refused(talk)).toBeLessThan(2000);
  expect(more(talk, parse('another'), sync)).toBe('ERROR 54000');
  expect(more(talk, query(`PREPARE q AS ${TEXT}`))).toBe('ERROR 54000');
  expect(more(talk, query('SELECT n FROM public.one'))).toBe('RowDescription');
  for (let i = 0; i < 3000; i++) talk.send(frontend.encodeClose('S', `s${i}`), sync);
  talk.settle();
  expect(more(talk, parse('another'), sync)).toBe('ParseComplete');
  expect(more(talk, query(`PREPARE q AS ${TEXT}`))).toBe('CommandComplete PREPARE');
  expect([talk.faults, talk.stuck]).toEqual([[], false]);
});

test('a statement that is replaced again and again is not counted, though no answer is waited for', () => {
  const talk = new Conversation();
  for (let i = 0; i < ENOUGH * 1.5; i++) talk.send(parse(''));
  // So much may be outstanding and no more; nothing is refused for it.
  expect(talk.session.busy).toBe(true);
  talk.send(sync);
  talk.settle();
  expect([refused(talk), talk.faults, talk.stuck]).toEqual([0, [], false]);
  expect(talk.got.filter((line) => line === 'ParseComplete')).toHaveLength(ENOUGH * 1.5);
});

test('names that fail again and again leave nothing behind', () => {
  const talk = new Conversation();
  sendMany(talk, (i) => [parse(`s${i}`, 'SELECT no_such_column FROM public.one'), parse(`t${i}`), sync]);
  expect([refused(talk), talk.faults]).toEqual([0, []]);
});

test('names that were asked for are forgotten before they fill the memory', () => {
  const settings = new Settings();
  for (let i = 0; i < 12_000; i++) {
    if (i === 10_001) expect(settings.overlay.relations.size).toBe(10_001);
    settings.overlay.relations.set(`n${i}`, null);
    if (i < 10_000) settings.boundAnswers();
  }
  const { epoch } = settings;
  settings.boundAnswers();
  expect([settings.overlay.relations.size, settings.epoch]).toEqual([0, epoch + 1]);
});
