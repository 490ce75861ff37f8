import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildErrorChallenge,
  isErrorAcknowledgement,
  parseOAuthBearer,
} from '../../gateway/identity/sasl-oauthbearer.ts';

/** ^A stands for the separator, as in the RFC. */
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll('^A', '\x01'), 'latin1');

describe("the client's first message", () => {
  it('of RFC 7628 section 4.1, without the authorization identity, carries the token', () => {
    const vector = 'n,,^Ahost=server.example.com^Aport=143^Aauth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^A^A';
    expect(parseOAuthBearer(bytes(vector))).toEqual({
      kind: 'Token',
      token: 'vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==',
    });
  });

  it('of RFC 7628 section 4.1 as printed names an authorization identity and is refused, as by PostgreSQL', () => {
    const vector = Buffer.from(
      'bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB',
      'base64',
    );
    expect(parseOAuthBearer(vector)).toMatchObject({ kind: 'Invalid' });
  });

  const accepted: { name: string; text: string; expected: object }[] = [
    { name: "libpq's first leg is discovery", text: 'n,,^Aauth=^A^A', expected: { kind: 'Discovery' } },
    {
      name: "libpq's second leg",
      text: 'n,,^Aauth=Bearer a.b-c_d.e^A^A',
      expected: { kind: 'Token', token: 'a.b-c_d.e' },
    },
    { name: 'y: a client that knows channel binding', text: 'y,,^Aauth=Bearer x^A^A', expected: { token: 'x' } },
    { name: 'the scheme in any case', text: 'n,,^Aauth=bEARER x^A^A', expected: { token: 'x' } },
    { name: 'several spaces after the scheme', text: 'n,,^Aauth=Bearer   x^A^A', expected: { token: 'x' } },
    { name: 'unknown keys before and after', text: 'n,,^Aa=1^Aauth=Bearer x^Az=^A^A', expected: { token: 'x' } },
    {
      name: 'a value with line breaks elsewhere',
      text: 'n,,^Ax=a\r\n\tb^Aauth=Bearer x^A^A',
      expected: { token: 'x' },
    },
  ];
  it.each(accepted)('$name', ({ text, expected }) => {
    expect(parseOAuthBearer(bytes(text))).toMatchObject(expected);
  });

  const refused: { name: string; text: string }[] = [
    { name: 'empty', text: '' },
    { name: 'a separator alone', text: '^A' },
    { name: 'the header alone', text: 'n,,' },
    { name: 'a half header', text: 'n,^Aauth=Bearer secret^A^A' },
    { name: 'an unknown flag', text: 'x,,^Aauth=Bearer secret^A^A' },
    { name: 'channel binding', text: 'p=tls-unique,,^Aauth=Bearer secret^A^A' },
    { name: 'an authorization identity', text: 'n,a=root,^Aauth=Bearer secret^A^A' },
    { name: 'no separator after the header', text: 'n,,auth=Bearer secret^A^A' },
    { name: 'no pairs', text: 'n,,^A^A' },
    { name: 'no auth', text: 'n,,^Ahost=x^A^A' },
    { name: 'auth twice', text: 'n,,^Aauth=Bearer secret^Aauth=Bearer secret^A^A' },
    { name: 'auth twice, once empty', text: 'n,,^Aauth=^Aauth=Bearer secret^A^A' },
    { name: 'auth in capitals', text: 'n,,^AAUTH=Bearer secret^A^A' },
    { name: 'no final separator', text: 'n,,^Aauth=Bearer secret^A' },
    { name: 'no separators at all', text: 'n,,^Aauth=Bearer secret' },
    { name: 'bytes after the end', text: 'n,,^Aauth=Bearer secret^A^Ax' },
    { name: 'a third separator', text: 'n,,^Aauth=Bearer secret^A^A^A' },
    { name: 'an empty key', text: 'n,,^A=x^Aauth=Bearer secret^A^A' },
    { name: 'a key with a digit', text: 'n,,^Aa1=x^Aauth=Bearer secret^A^A' },
    { name: 'a pair without value', text: 'n,,^Ahost^Aauth=Bearer secret^A^A' },
    { name: 'a NUL', text: 'n,,^Aauth=Bearer sec\0ret^A^A' },
    { name: 'a byte above ASCII', text: 'n,,^Aauth=Bearer secr\xe9t^A^A' },
    { name: 'another scheme', text: 'n,,^Aauth=Basic secret^A^A' },
    { name: 'a scheme without token', text: 'n,,^Aauth=Bearer ^A^A' },
    { name: 'a token without scheme', text: 'n,,^Aauth=secret^A^A' },
    { name: 'a token with a space', text: 'n,,^Aauth=Bearer secret token^A^A' },
    { name: 'a space before the scheme', text: 'n,,^Aauth= Bearer secret^A^A' },
    { name: 'padding inside the token', text: 'n,,^Aauth=Bearer sec=ret^A^A' },
  ];
  it.each(refused)('refused: $name', ({ text }) => {
    const result = parseOAuthBearer(bytes(text));
    expect(result.kind).toBe('Invalid');
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  it('any bytes get an answer, and a token comes back as it was sent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        expect(['Token', 'Discovery', 'Invalid']).toContain(parseOAuthBearer(data).kind);
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9\-._~+/]{1,300}={0,2}$/), (token) => {
        expect(parseOAuthBearer(bytes(`n,,^Aauth=Bearer ${token}^A^A`))).toEqual({ kind: 'Token', token });
      }),
    );
  });

  it('is read from a view on a larger buffer', () => {
    const whole = bytes('garbage n,,^Aauth=Bearer x^A^A garbage');
    expect(parseOAuthBearer(whole.subarray(8, -8))).toEqual({ kind: 'Token', token: 'x' });
  });
});

describe('the error challenge', () => {
  it('is that of RFC 7628 section 4.3', () => {
    const expected =
      'eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0=';
    const challenge = buildErrorChallenge({ issuerUrl: 'https://example.com', scope: 'example_scope' });
    expect(challenge.toString('base64')).toBe(expected);
  });

  it('lets libpq derive the issuer byte for byte, a final slash included', () => {
    const challenge = buildErrorChallenge({ issuerUrl: 'https://example.com/', scope: 'openid' });
    const { 'openid-configuration': url } = JSON.parse(challenge.toString()) as Record<string, string>;
    expect(url?.replace('/.well-known/openid-configuration', '')).toBe('https://example.com/');
  });

  it('points nowhere without an OpenID issuer', () => {
    expect(buildErrorChallenge(null).toString()).toBe('{"status":"invalid_token"}');
  });

  it('is acknowledged by a single separator and nothing else', () => {
    expect(isErrorAcknowledgement(bytes('^A'))).toBe(true);
    for (const text of ['', '^A^A', 'x', 'n,,^Aauth=Bearer secret^A^A']) {
      expect(isErrorAcknowledgement(bytes(text))).toBe(false);
    }
  });
});
