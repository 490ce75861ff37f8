import { describe, expect, it } from 'vitest';
import { type ClaimNames, readPerson } from '../../gateway/identity/claims.ts';

const NAMES: ClaimNames = { username: 'email', groups: 'groups' };

describe('user names', () => {
  const accepted: { name: string; value: string }[] = [
    { name: 'a quote', value: `o'brien@example.com` },
    { name: 'a double quote and a backslash', value: 'a"; DROP ROLE x; --\\' },
    { name: 'a space inside', value: 'Alice Liddell' },
    { name: 'any script', value: 'алиса@пример.рф' },
    { name: '256 bytes', value: 'é'.repeat(128) },
    { name: "somebody else's domain in another case, kept as it is", value: 'Alice@EXAMPLE.com' },
    { name: 'a name with "system" elsewhere', value: 'ecosystem:alice' },
  ];
  it.each(accepted)('carried exactly: $name', ({ value }) => {
    expect(readPerson({ email: value, groups: [] }, NAMES)).toMatchObject({ ok: true, username: value });
  });

  const refused: { name: string; value: unknown; reason: string }[] = [
    { name: 'a newline', value: 'alice\nroot', reason: 'BadUsername' },
    { name: 'a carriage return', value: 'alice\r', reason: 'BadUsername' },
    { name: 'a NUL', value: 'alice\0root', reason: 'BadUsername' },
    { name: 'an escape sequence', value: '\u001b[2Jalice', reason: 'BadUsername' },
    { name: 'a C1 control', value: 'alice\u0085', reason: 'BadUsername' },
    { name: 'a line separator', value: 'alice\u2028root', reason: 'BadUsername' },
    { name: 'a bidirectional override', value: 'alice\u202etoor', reason: 'BadUsername' },
    { name: 'half a surrogate pair', value: 'alice\ud800', reason: 'BadUsername' },
    { name: '257 bytes', value: 'a'.repeat(257), reason: 'BadUsername' },
    { name: '300 bytes in 100 characters', value: '€'.repeat(100), reason: 'BadUsername' },
    { name: 'nothing', value: '', reason: 'BadUsername' },
    { name: 'a space at the end', value: 'alice ', reason: 'BadUsername' },
    { name: 'a name of Kubernetes', value: 'system:serviceaccount:shop:app', reason: 'BadUsername' },
    { name: 'a name of Kubernetes in another case', value: 'System:Admin', reason: 'BadUsername' },
    { name: 'a number', value: 7, reason: 'BadUsername' },
    { name: 'a list', value: ['alice'], reason: 'BadUsername' },
    { name: 'null', value: null, reason: 'MissingClaim' },
    { name: 'no claim', value: undefined, reason: 'MissingClaim' },
  ];
  it.each(refused)('refused: $name', ({ value, reason }) => {
    const result = readPerson({ email: value, groups: [] }, NAMES);
    expect(result).toMatchObject({ ok: false, reason });
    if (typeof value === 'string' && value !== '') expect(JSON.stringify(result)).not.toContain(value);
  });

  it('an e-mail address that the issuer calls unverified is refused, one it says nothing about is not', () => {
    const email = 'ceo@example.com';
    expect(readPerson({ email, email_verified: false, groups: [] }, NAMES)).toMatchObject({ reason: 'BadUsername' });
    expect(readPerson({ email, email_verified: 'false', groups: [] }, NAMES)).toMatchObject({ reason: 'BadUsername' });
    expect(readPerson({ email, email_verified: true, groups: [] }, NAMES)).toMatchObject({ username: email });
    expect(readPerson({ email, groups: [] }, NAMES)).toMatchObject({ username: email });
  });
});

describe('claim names', () => {
  const cases: { name: string; claims: ClaimNames; payload: Record<string, unknown>; groups: string[] }[] = [
    {
      name: 'a path into an object',
      claims: { username: 'email', groups: 'realm_access.roles' },
      payload: { realm_access: { roles: ['dba'] } },
      groups: ['dba'],
    },
    {
      name: 'a URL, dots and all',
      claims: { username: 'email', groups: 'https://example.com/claims/groups' },
      payload: { 'https://example.com/claims/groups': ['dba'] },
      groups: ['dba'],
    },
    {
      name: 'the literal name before the path',
      claims: { username: 'email', groups: 'a.b' },
      payload: { 'a.b': ['literal'], a: { b: ['path'] } },
      groups: ['literal'],
    },
    { name: 'none: the issuer has no groups', claims: { username: 'email', groups: null }, payload: {}, groups: [] },
  ];
  it.each(cases)('$name', ({ claims, payload, groups }) => {
    expect(readPerson({ email: 'alice', ...payload }, claims)).toMatchObject({ ok: true, groups });
  });

  it('never reach what every object inherits', () => {
    for (const username of ['constructor', 'constructor.name', '__proto__', 'toString.name']) {
      expect(readPerson({ groups: [] }, { username, groups: 'groups' })).toMatchObject({ reason: 'MissingClaim' });
    }
  });
});

describe('groups', () => {
  const refused: { name: string; payload: Record<string, unknown>; reason: string }[] = [
    { name: 'missing groups are not no groups', payload: {}, reason: 'MissingClaim' },
    { name: 'null', payload: { groups: null }, reason: 'MissingClaim' },
    {
      name: 'an overage marker in their place',
      payload: { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://graph' } } },
      reason: 'GroupsOverage',
    },
    {
      name: 'an overage marker beside some of them',
      payload: { groups: ['a'], _claim_names: { groups: 'src1' } },
      reason: 'GroupsOverage',
    },
    { name: 'hasgroups in their place', payload: { hasgroups: true }, reason: 'GroupsOverage' },
    { name: 'hasgroups as text', payload: { hasgroups: 'true' }, reason: 'GroupsOverage' },
    { name: 'one text', payload: { groups: 'dba' }, reason: 'Malformed' },
    { name: 'an object', payload: { groups: { dba: true } }, reason: 'Malformed' },
    { name: 'a list with a number', payload: { groups: ['dba', 7] }, reason: 'Malformed' },
    { name: 'a list with a list', payload: { groups: [['dba']] }, reason: 'Malformed' },
    { name: 'an empty name', payload: { groups: [''] }, reason: 'Malformed' },
    { name: 'a name with a newline', payload: { groups: ['a\nb'] }, reason: 'Malformed' },
    { name: 'a name of 1025 bytes', payload: { groups: ['a'.repeat(1025)] }, reason: 'Malformed' },
    { name: '1001 of them', payload: { groups: Array.from({ length: 1001 }, (_, n) => `g${n}`) }, reason: 'TooLarge' },
  ];
  it.each(refused)('refused: $name', ({ payload, reason }) => {
    expect(readPerson({ email: 'alice', ...payload }, NAMES)).toMatchObject({ ok: false, reason });
  });

  it('a pointer to other claims elsewhere does not matter', () => {
    const payload = { email: 'alice', groups: ['a'], _claim_names: { address: 'src1' }, hasgroups: false };
    expect(readPerson(payload, NAMES)).toMatchObject({ ok: true, groups: ['a'] });
  });

  it('that belong to Kubernetes are dropped and counted, the others kept in order and once', () => {
    const groups = ['b', 'system:masters', 'a', 'b', 'SYSTEM:nodes', 'B'];
    expect(readPerson({ email: 'alice', groups }, NAMES)).toEqual({
      ok: true,
      username: 'alice',
      groups: ['b', 'a', 'B'],
      reservedGroups: 2,
    });
  });

  it('an issuer without groups is not asked for them', () => {
    const names = { username: 'email', groups: null };
    expect(readPerson({ email: 'alice', hasgroups: true }, names)).toMatchObject({ ok: true, groups: [] });
  });
});
