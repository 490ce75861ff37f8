import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { parseDocument } from '../../gateway/config/load.ts';
import { exampleDocument } from './fixture.ts';

const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** The example with one value replaced: a path of names and indices. */
function withValue(path: readonly (string | number)[], value: unknown): unknown {
  const copy = structuredClone(exampleDocument()) as unknown as Record<string | number, unknown>;
  let at = copy;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  const last = path.at(-1) as string;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

const OIDC = exampleDocument().identity.issuers[0] as ConfigDocument['identity']['issuers'][number];

const BAD: readonly (readonly [string, (string | number)[], unknown, string])[] = [
  ['an unknown schema version', ['schemaVersion'], 2, 'schemaVersion: 2 is not known; this gateway runs version 1'],
  ['a missing schema version', ['schemaVersion'], undefined, 'document: field "schemaVersion" is missing'],
  ['an unknown field at the top', ['secrets'], [], 'document: unknown field "secrets"'],
  ['an unknown field in a rule', ['policies', 0, 'rules', 0, 'most'], 1, 'policies[0].rules[0]: unknown field "most"'],
  ['a missing field', ['upstream', 'catalogRole'], undefined, 'upstream: field "catalogRole" is missing'],
  ['a port above 65535', ['listeners', 0, 'port'], 65536, 'listeners[0].port: must be <= 65535'],
  ['no listener', ['listeners'], [], 'listeners: must NOT have fewer than 1 items'],
  [
    'a rule without statements',
    ['policies', 0, 'rules', 0, 'statements'],
    [],
    'policies[0].rules[0].statements: must NOT have fewer than 1 items',
  ],
  [
    'an action that cannot be enforced',
    ['policies', 0, 'rules', 0, 'action'],
    'RequireApproval',
    'policies[0].rules[0].action: must be one of Allow, Deny',
  ],
  [
    'an unsigned token algorithm',
    ['identity', 'issuers', 0, 'algorithms'],
    ['none'],
    'identity.issuers[0].algorithms[0]: must be one of',
  ],
  [
    'a symmetric token algorithm',
    ['identity', 'issuers', 0, 'algorithms'],
    ['HS256'],
    'identity.issuers[0].algorithms[0]: must be one of',
  ],
  [
    'a private key among the cluster keys',
    ['identity', 'issuers', 0],
    { kind: 'Kubernetes', name: 'c', audience: 'a', issuer: 'i', jwks: { keys: [{ kty: 'RSA', d: 'x' }] } },
    'identity.issuers[0].jwks.keys[0].d: boolean schema is false',
  ],
  [
    'an unknown kind of issuer',
    ['identity', 'issuers', 0, 'kind'],
    'Saml',
    'identity.issuers[0]: value of tag "kind" must be in oneOf',
  ],
  ['a name that is no string', ['gateway', 'name'], 7, 'gateway.name: must be string'],
  [
    'a catalogue role that is not listed',
    ['upstream', 'catalogRole'],
    'other',
    'upstream.catalogRole: "other" is not one of upstream.roles',
  ],
  [
    'a policy with a role that is not listed',
    ['policies', 0, 'role'],
    'other',
    'policies[0].role: "other" is not one of upstream.roles',
  ],
  [
    'Allow rules without a role',
    ['policies', 0, 'role'],
    null,
    'policies[0].role: is needed by a policy with Allow rules',
  ],
  [
    'Any beside another class',
    ['policies', 0, 'rules', 0, 'statements'],
    ['Any', 'Select'],
    'policies[0].rules[0].statements: Any stands alone',
  ],
  ['two issuers of one name', ['identity', 'issuers'], [OIDC, OIDC], 'identity.issuers[1].name: corp is given twice'],
  [
    'two listeners on one port',
    ['listeners', 1],
    { name: 'b', port: 5432, authentication: 'Token' },
    'listeners[1].port: 5432 is given twice',
  ],
  [
    'certificates without an authority',
    ['listeners', 0, 'authentication'],
    'Certificate',
    'listeners[0].authentication: Certificate needs identity.certificates',
  ],
  [
    'tokens without an issuer',
    ['identity', 'issuers'],
    [],
    'listeners[0].authentication: Token needs identity.issuers',
  ],
  ['required TLS without a Secret', ['tls', 'secret'], null, 'tls.secret: is needed when tls.mode is Required'],
];

describe('parseDocument', () => {
  it('reads plain and gzip bytes into the same revision, named by the SHA-256 of the canonical bytes', () => {
    const document = exampleDocument();
    const expected = createHash('sha256').update(canonicalJson(document)).digest('hex');
    for (const bytes of [
      bytesOf(document),
      gzipSync(bytesOf(document)),
      Buffer.from(JSON.stringify(document, null, 4)),
    ]) {
      const loaded = parseDocument(bytes);
      expect(loaded).toEqual({ ok: true, revision: { revision: expected, document } });
    }
  });

  it.each(BAD)('refuses %s and says where', (_name, path, value, message) => {
    const loaded = parseDocument(bytesOf(withValue(path, value)));
    expect(loaded.ok).toBe(false);
    if (!loaded.ok) expect(loaded.errors.join('\n')).toContain(message);
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'document: is empty'],
    ['text that is not JSON', Buffer.from('password: hunter2'), 'document: is not JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'document: is not UTF-8'],
    ['broken gzip', Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]), 'document: is not valid gzip data'],
    ['cut gzip', gzipSync(bytesOf(exampleDocument())).subarray(0, 200), 'document: is not valid gzip data'],
    ['a number', Buffer.from('1'), 'document: must be object'],
    ['null', Buffer.from('null'), 'document: must be object'],
  ])('refuses %s', (_name, bytes, message) => {
    expect(parseDocument(bytes)).toEqual({ ok: false, errors: [message] });
  });

  it('refuses a decompression bomb without unpacking it', () => {
    const bomb = gzipSync(Buffer.alloc(40 * 1024 * 1024, 0x20));
    expect(parseDocument(bomb)).toEqual({ ok: false, errors: ['document: is larger than 33554432 bytes'] });
  });

  it('does not quote the text that is not JSON', () => {
    const loaded = parseDocument(Buffer.from('{"password": hunter2}'));
    expect(JSON.stringify(loaded)).not.toContain('hunter2');
  });
});
