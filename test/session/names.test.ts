import { expect, test } from 'vitest';
import { Names, type Portal, type PreparedStatement } from '../../gateway/session/names.ts';
import { ReplyQueue, reply } from '../../gateway/session/replies.ts';

const STATEMENT: PreparedStatement = { text: 'SELECT 1', raw: null, unread: null, parameterTypes: [], verdict: null };

function begin(): { readonly replies: ReplyQueue; readonly names: Names } {
  const replies = new ReplyQueue();
  return { replies, names: new Names(replies) };
}

function portal(mark: number, held: boolean): Portal {
  return { statement: STATEMENT, held, running: null, mark };
}

test('a name is certain once it was answered, though something is always outstanding', () => {
  const { replies, names } = begin();
  const first = names.setStatement('s', STATEMENT);
  replies.push(reply('Parse', [first]));
  const second = names.setStatement('s', undefined);
  replies.push(reply('Close', [second]));
  names.confirm([first]);
  expect(names.isUncertain(names.statements, 's')).toBe(false);
  replies.push(reply('Sync'));
  expect(names.isUncertain(names.statements, 's')).toBe(true);
  names.undo([second]);
  expect(names.statements.get('s')).toBe(STATEMENT);
  expect(names.isUncertain(names.statements, 's')).toBe(false);
});

test('portals go with their transaction, though something is always outstanding', () => {
  const { replies, names } = begin();
  for (let i = 0; i < 1000; i++) {
    const made = [
      names.setPortal(`p${i}`, portal(replies.sent, false)),
      names.setPortal('kept', portal(replies.sent, true)),
    ];
    names.confirm(made);
    replies.push(reply('Sync'));
    if (i === 0) continue;
    replies.shift();
    names.endTransaction();
    expect([...names.portals.keys()].sort()).toEqual(['kept', `p${i}`]);
  }
});

test('the unnamed portal is there or not, although its place stays', () => {
  const { replies, names } = begin();
  names.setStatement('', STATEMENT);
  for (let i = 0; i < 3; i++) {
    const running = { ended: false } as Portal['running'];
    const made = names.setPortal('', { ...portal(replies.sent, false), running });
    replies.push(reply('Bind', [made]));
    expect(names.isUncertain(names.portals, '')).toBe(false);
    replies.push(reply('Sync'));
    expect(names.isUncertain(names.portals, '')).toBe(true);
    for (const _ of [1, 2]) replies.shift();
    names.confirm([made]);
    names.settled();
    expect(names.isUncertain(names.portals, '')).toBe(false);
    names.hide(new Set(['t']));
    expect(names.endTransaction()).toEqual([running]);
    expect(names.portals.get('')).toBeUndefined();
    expect(names.endTransaction()).toEqual([]);
    expect(names.clearPortals()).toEqual([]);
  }
  const undone = names.setPortal('', portal(replies.sent, false));
  names.undo([undone]);
  expect(names.portals.get('')).toBeUndefined();
  expect(names.clearStatements()).toHaveLength(1);
  expect(names.clearStatements()).toEqual([]);
});
