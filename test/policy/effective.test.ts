import { describe, expect, test } from 'vitest';
import { pickRole } from '../../gateway/policy/effective.ts';
import { checkSetting, parseOptions } from '../../gateway/policy/settings.ts';
import { inWindow } from '../../gateway/policy/window.ts';
import { ANN, inForce, NOON, policy, rule } from './kit.ts';

const READ = rule('read', { statements: ['Select'], relations: ['public.*'] });
const EVERYTHING = rule('all', { statements: ['Any'], relations: ['*.*'] });

describe('the role of a session', () => {
  const policies = [
    policy('a', [READ], { role: 'reader', databases: ['shop'] }),
    policy('b', [READ], { role: 'writer' }),
    policy('c', [rule('no', { action: 'Deny', statements: ['Ddl'] })], { role: 'watcher' }),
    policy('d', [READ], { role: 'dba', subjects: [{ group: 'dba' }] }),
    policy('e', [READ], { role: 'tried', mode: 'Audit' }),
    policy('f', [READ], { role: 'gone', expiresAt: NOON }),
  ];
  const pick = (user: string, database: string | null) => pickRole(policies, ANN, { user, database }, NOON);

  test('is the one that user names, among those offered', () => {
    expect(pick('writer', 'shop')).toEqual({ ok: true, role: 'writer', database: 'shop' });
  });

  test('is the first offered one for the identity’s own name', () => {
    expect(pick('ann', 'shop')).toEqual({ ok: true, role: 'reader', database: 'shop' });
    expect(pick('ann', 'archive')).toEqual({ ok: true, role: 'writer', database: 'archive' });
  });

  test.each(['watcher', 'dba', 'tried', 'gone', 'postgres', 'Ann', ''])('is never %j: not offered', (user) => {
    expect(pick(user, 'shop')).toEqual({ ok: false, offered: ['reader', 'writer'] });
  });

  test('an empty database is judged by the name that PostgreSQL would take', () => {
    expect(pick('writer', null)).toEqual({ ok: true, role: 'writer', database: 'writer' });
    expect(pick('reader', null)).toMatchObject({ ok: false });
  });
});

describe('limits', () => {
  test('the strictest of all policies counts, settings only from those of the role', () => {
    const { session } = inForce([
      policy('a', [READ], { session: { maxAge: 100, rows: 10, settings: ['x.y'] } }),
      policy('b', [READ], { role: 'other', session: { maxAge: 50, idle: 7, settings: ['z.z'] } }),
      policy('c', [READ], { mode: 'Audit', session: { maxAge: 1, readOnly: true } }),
    ]);
    expect(session).toEqual({
      maxAge: 50,
      idle: 7,
      statementTimeout: null,
      rows: 10,
      readOnly: false,
      settings: ['x.y'],
    });
  });

  test.each([
    ['Any alone', [policy('a', [EVERYTHING])], true],
    [
      'Any beside a Deny rule of another policy',
      [policy('a', [EVERYTHING]), policy('b', [rule('n', { action: 'Deny', statements: ['Ddl'] })], { role: null })],
      false,
    ],
    [
      'Any beside a window',
      [
        policy('a', [EVERYTHING]),
        policy('b', [READ], { window: { days: ['Mon'], from: '00:00', to: '24:00', timeZone: 'UTC' } }),
      ],
      false,
    ],
    ['Any read-only', [policy('a', [EVERYTHING], { session: { readOnly: true } })], false],
    ['Any of some relations', [policy('a', [rule('s', { statements: ['Any'], relations: ['public.*'] })])], false],
    ['Any of another role', [policy('a', [EVERYTHING], { role: 'other' }), policy('b', [READ])], false],
    ['Any on trial', [policy('a', [EVERYTHING], { mode: 'Audit' }), policy('b', [READ])], false],
  ])('%s: unrestricted is %s', (_name, policies, expected) => {
    expect(inForce(policies).unrestricted).toBe(expected);
  });

  test('a policy that has expired is in force for nobody', () => {
    const guard = policy('guard', [rule('n', { action: 'Deny', statements: ['Ddl'] })], { expiresAt: NOON });
    expect(inForce([guard], 'reader', NOON - 1).restricting).toHaveLength(1);
    expect(inForce([guard], 'reader', NOON).restricting).toHaveLength(0);
  });
});

describe('a window', () => {
  const at = (text: string) => Date.parse(text);
  const office = {
    days: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri'],
    from: '07:00',
    to: '20:00',
    timeZone: 'Europe/Berlin',
  } as const;
  const night = { days: ['Fri'], from: '22:00', to: '06:00', timeZone: 'UTC' } as const;
  const repeated = { days: ['Sun'], from: '02:00', to: '03:00', timeZone: 'Europe/Berlin' } as const;
  const spring = { ...repeated, from: '02:30' } as const;
  const overnight = { days: ['Sat'], from: '22:00', to: '05:00', timeZone: 'Europe/Berlin' } as const;
  test.each([
    ['before it opens', office, '2026-11-24T05:59:59Z', false],
    ['as it opens', office, '2026-11-24T06:00:00Z', true],
    ['in its last minute', office, '2026-11-24T18:59:59Z', true],
    ['as it closes', office, '2026-11-24T19:00:00Z', false],
    ['in summer time', office, '2026-07-14T05:00:00Z', true],
    ['on a Sunday', office, '2026-11-22T12:00:00Z', false],
    ['a Friday that is Saturday in Berlin', { ...office, from: '00:00', to: '24:00' }, '2026-11-27T23:30:00Z', false],
    ['Friday night', night, '2026-11-27T23:00:00Z', true],
    ['after midnight, still Friday’s', night, '2026-11-28T05:59:00Z', true],
    ['Friday morning, which is Thursday’s', night, '2026-11-27T05:00:00Z', false],
    [
      'the hour that daylight saving repeats',
      { ...office, days: ['Sun'], from: '02:00', to: '03:00' },
      '2026-10-25T01:30:00Z',
      true,
    ],
    // Clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October, in Berlin.
    ['before the hour that is left out', { ...spring, to: '04:00' }, '2026-03-29T00:59:59Z', false],
    ['from the hour that is left out, as it is left out', { ...spring, to: '04:00' }, '2026-03-29T01:00:00Z', true],
    ['within the hour that is left out: never', spring, '2026-03-29T01:00:00Z', false],
    ['an hour later than on other days, to the wall’s end', { ...spring, to: '04:00' }, '2026-03-29T01:59:59Z', true],
    ['as the wall says its end', { ...spring, to: '04:00' }, '2026-03-29T02:00:00Z', false],
    ['the repeated hour, the first time', repeated, '2026-10-25T00:30:00Z', true],
    ['the repeated hour, the second time', repeated, '2026-10-25T01:30:00Z', true],
    ['before the repeated hour', repeated, '2026-10-24T23:59:59Z', false],
    ['after the repeated hour', repeated, '2026-10-25T02:00:00Z', false],
    ['over midnight into the day of the change', overnight, '2026-03-29T02:59:00Z', true],
    ['over midnight, at its end on the wall', overnight, '2026-03-29T03:00:00Z', false],
    ['over midnight, the longer night', overnight, '2026-10-25T03:59:00Z', true],
    ['the last night of the week into the first day', { ...night, days: ['Sat'] }, '2026-11-29T05:59:00Z', true],
    ['a zone of half hours', { ...office, timeZone: 'Asia/Kolkata' }, '2026-11-24T01:30:00Z', true],
    ['the same zone, a minute before', { ...office, timeZone: 'Asia/Kolkata' }, '2026-11-24T01:29:59Z', false],
    ['a zone a day ahead', { ...office, days: ['Wed'], timeZone: 'Pacific/Kiritimati' }, '2026-11-24T18:00:00Z', true],
    ['a whole day to 24:00', { ...office, days: ['Tue'], from: '00:00', to: '24:00' }, '2026-11-24T22:59:00Z', true],
  ] as const)('%s', (_name, window, time, expected) => {
    expect(inWindow(window, at(time))).toBe(expected);
  });
});

describe('a setting', () => {
  const plain = inForce([policy('a', [READ], { session: { settings: ['app.tenant'], statementTimeout: 5000 } })]);
  const readOnly = inForce([policy('a', [READ], { session: { readOnly: true } })]);
  const any = inForce([policy('a', [EVERYTHING])]);
  const set = (name: string, value: string | null) => ({ kind: 'Set', name, value, list: null, local: false }) as const;

  test.each([
    ['application_name', 'x'],
    ['SEARCH_PATH', 'a, b'],
    ['TimeZone', null],
    ['enable_seqscan', 'off'],
    ['app.tenant', '7'],
    ['client_encoding', 'UTF8'],
    ['client_encoding', 'latin1'],
    ['standard_conforming_strings', 'ON'],
    ['row_security', 'on'],
    ['row_security', 'off'],
    ['statement_timeout', '5s'],
    ['statement_timeout', '100'],
    ['lock_timeout', '0'],
    ['work_mem', '256MB'],
    ['default_transaction_read_only', 'off'],
    ['client_min_messages', 'warning'],
    ['synchronize_seqscans', 'off'],
    ['check_function_bodies', 'false'],
    ['default_tablespace', ''],
    ['xmloption', 'content'],
    ['lc_time', 'de_DE.UTF-8'],
    ['restrict_nonsystem_relation_kind', 'view, foreign-table'],
  ])('%s = %s is allowed', (name, value) => {
    expect(checkSetting(plain, set(name, value), undefined)).toBeNull();
  });

  test.each([
    ['client_encoding', 'SJIS'],
    ['client_encoding', 'Shift_JIS_2004'],
    ['client_encoding', 'gbk'],
    ['client_encoding', 'big-5'],
    ['client_encoding', null],
    ['standard_conforming_strings', 'off'],
    ['zero_damaged_pages', 'on'],
    ['client_min_messages', 'debug1'],
    ['statement_timeout', '0'],
    ['statement_timeout', '6s'],
    ['statement_timeout', '1h'],
    ['statement_timeout', '-1'],
    ['statement_timeout', '100us'],
    ['statement_timeout', '0.4'],
    ['statement_timeout', null],
    ['work_mem', '1GB'],
    ['work_mem', '999999999'],
    ['session_replication_role', 'replica'],
    ['local_preload_libraries', 'x'],
    ['dynamic_library_path', '/tmp'],
    ['log_statement', 'none'],
    ['other.tenant', '7'],
    ['lo_compat_privileges', 'on'],
    ['temp_tablespaces', 'x'],
    ['restrict_nonsystem_relation_kind', ''],
  ])('%s = %s is not', (name, value) => {
    expect(checkSetting(plain, set(name, value), undefined)).not.toBeNull();
  });

  test('what a policy holds the session to is not freed by another’s list of settings, nor by Any', () => {
    const listing = policy('a', [EVERYTHING], {
      session: { settings: ['statement_timeout', 'transaction_read_only'], statementTimeout: 5000 },
    });
    const held = [listing, policy('b', [], { session: { readOnly: true } })];
    expect(checkSetting(inForce([listing]), set('statement_timeout', '0'), undefined)).toContain('at most 5000 ms');
    expect(checkSetting(inForce(held), set('transaction_read_only', 'off'), undefined)).toContain('read-only');
    expect(checkSetting(inForce(held), set('statement_timeout', '4s'), undefined)).toBeNull();
  });

  test('a read-only session stays so', () => {
    expect(checkSetting(readOnly, set('transaction_read_only', 'off'), undefined)).toContain('read-only');
    expect(checkSetting(readOnly, set('default_transaction_read_only', 'on'), undefined)).toBeNull();
  });

  test('what holds already may be set again; under Any all may be set but the gateway’s own', () => {
    expect(checkSetting(plain, set('log_statement', 'none'), 'none')).toBeNull();
    expect(checkSetting(any, set('session_replication_role', 'replica'), undefined)).toBeNull();
    for (const name of ['postern.key', 'Postern.x', 'postern'])
      expect(checkSetting(any, set(name, 'x'), 'x')).toContain('belongs to the gateway');
  });

  test.each([
    ['-c a=b', [{ name: 'a', value: 'b' }]],
    [
      '-ca=b --work-mem=1MB',
      [
        { name: 'a', value: 'b' },
        { name: 'work_mem', value: '1MB' },
      ],
    ],
    ['-c search_path=a,\\ b', [{ name: 'search_path', value: 'a, b' }]],
    ['  ', []],
    ['-B 100', undefined],
    ['-c', undefined],
    ['-c =x', undefined],
    ['a=b', undefined],
  ])('options %j', (text, expected) => {
    expect(parseOptions(text)).toEqual(expected);
  });
});
