import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PARAMETERS, renderParameters, VALUE_BYTES } from '../../gateway/audit/parameters.ts';
import type { BoundParameter } from '../../gateway/audit/record.ts';
import { fuzzRuns } from '../kit/fuzz.ts';

function one(type: number, format: 'text' | 'binary', value: Buffer | null): unknown {
  const rendered = JSON.parse(renderParameters([{ type, format, value }]));
  expect(rendered).toHaveLength(1);
  return rendered[0];
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function int64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64BE(value);
  return buffer;
}

/** Bytes as PostgreSQL 18's send functions give them. */
const VALUES: readonly { readonly name: string; type: number; bytes: string; shown: unknown }[] = [
  { name: 'bool', type: 16, bytes: '01', shown: 'true' },
  { name: 'bytea', type: 17, bytes: '00ff', shown: '\\x00ff' },
  { name: 'name', type: 19, bytes: '6162', shown: 'ab' },
  { name: 'int8', type: 20, bytes: '8000000000000000', shown: '-9223372036854775808' },
  { name: 'int2', type: 21, bytes: 'ffff', shown: '-1' },
  { name: 'int4', type: 23, bytes: '0000002a', shown: '42' },
  { name: 'text', type: 25, bytes: '5a6fc3ab', shown: 'Zoë' },
  { name: 'oid', type: 26, bytes: 'ffffffff', shown: '4294967295' },
  { name: 'json', type: 114, bytes: '7b7d', shown: '{}' },
  { name: 'cidr', type: 650, bytes: '02180104 0a000000', shown: '10.0.0.0/24' },
  { name: 'float4', type: 700, bytes: '3dcccccd', shown: '0.1' },
  { name: 'float4 infinity', type: 700, bytes: '7f800000', shown: 'Infinity' },
  { name: 'float8', type: 701, bytes: '3fb999999999999a', shown: '0.1' },
  { name: 'float8 NaN', type: 701, bytes: '7ff8000000000000', shown: 'NaN' },
  { name: 'inet', type: 869, bytes: '02200004 c0a80001', shown: '192.168.0.1' },
  { name: 'inet with netmask', type: 869, bytes: '02080004 0a010203', shown: '10.1.2.3/8' },
  { name: 'inet v6', type: 869, bytes: '03800010 20010db8000000000000000000000001', shown: '2001:db8::1' },
  { name: 'bpchar', type: 1042, bytes: '612020', shown: 'a  ' },
  { name: 'varchar', type: 1043, bytes: '', shown: '' },
  { name: 'date', type: 1082, bytes: '00000000', shown: '2000-01-01' },
  { name: 'date in a leap year', type: 1082, bytes: '0000003b', shown: '2000-02-29' },
  { name: 'date before 1970', type: 1082, bytes: 'ffff8e92', shown: '1920-07-01' },
  { name: 'date before Christ', type: 1082, bytes: 'fff49d7b', shown: '-000043-03-15' },
  { name: 'date in five digits', type: 1082, bytes: '0037bb49', shown: '+012000-01-01' },
  { name: 'date infinity', type: 1082, bytes: '7fffffff', shown: 'infinity' },
  { name: 'time', type: 1083, bytes: '0000000a88cfe940', shown: '12:34:05' },
  { name: 'timestamp', type: 1114, bytes: '0000000000000001', shown: '2000-01-01T00:00:00.000001' },
  { name: 'timestamp before the epoch', type: 1114, bytes: 'ffffffffffffffff', shown: '1999-12-31T23:59:59.999999' },
  { name: 'timestamptz', type: 1184, bytes: '0002b578b58c6000', shown: '2024-02-29T00:00:00Z' },
  { name: 'timestamptz -infinity', type: 1184, bytes: '8000000000000000', shown: '-infinity' },
  { name: 'timetz', type: 1266, bytes: '0000000000000000 fffff1f0', shown: '00:00:00+01:00' },
  { name: 'numeric', type: 1700, bytes: '0002 0000 0000 0002 007b 1194', shown: '123.45' },
  { name: 'timetz west', type: 1266, bytes: '0000000a0eebb000 00004d58', shown: '12:00:00-05:30' },
  {
    name: 'numeric of twenty digits',
    type: 1700,
    bytes: '0008 0004 4000 0009 04d2 162e 2334 0d80 1ed2 04d2 162e 2328',
    shown: '-12345678901234567890.123456789',
  },
  { name: 'numeric with a scale and no digits', type: 1700, bytes: '0000 0000 0000 0002', shown: '0.00' },
  { name: 'numeric negative', type: 1700, bytes: '0001 0000 4000 0000 0001', shown: '-1' },
  { name: 'numeric zero', type: 1700, bytes: '0000 0000 0000 0000', shown: '0' },
  { name: 'numeric with zero groups', type: 1700, bytes: '0001 0002 0000 0000 0001', shown: '100000000' },
  { name: 'numeric below one', type: 1700, bytes: '0001 fffe 0000 0008 0005', shown: '0.00000005' },
  { name: 'numeric NaN', type: 1700, bytes: '0000 0000 c000 0000', shown: 'NaN' },
  { name: 'numeric Infinity', type: 1700, bytes: '0000 0000 d000 0020', shown: 'Infinity' },
  {
    name: 'uuid',
    type: 2950,
    bytes: '0193a0c4000070008000000000000001',
    shown: '0193a0c4-0000-7000-8000-000000000001',
  },
  { name: 'jsonb', type: 3802, bytes: '01 7b2261223a20317d', shown: '{"a": 1}' },
  {
    name: 'int4[] with a null',
    type: 1007,
    bytes: '00000001 00000001 00000017 00000002 00000001 00000004 0000002a ffffffff',
    shown: ['42', null],
  },
  {
    name: 'text[][]',
    type: 1009,
    bytes: '00000002 00000000 00000019 00000002 00000001 00000001 00000001 00000001 61 00000001 62',
    shown: [['a'], ['b']],
  },
  {
    name: 'timestamptz[]',
    type: 1185,
    bytes: '00000001 00000000 000004a0 00000001 00000001 00000008 0002b578b58c6000',
    shown: ['2024-02-29T00:00:00Z'],
  },
  {
    name: 'numeric[]',
    type: 1231,
    bytes: '00000001 00000000 000006a4 00000001 00000001 0000000c 0002 0000 0000 0001 0001 1388',
    shown: ['1.5'],
  },
  { name: 'an empty array', type: 1007, bytes: '00000000 00000000 00000017', shown: [] },
];

const REFUSED: readonly { readonly name: string; type: number; bytes: string }[] = [
  { name: 'an unknown type', type: 600, bytes: '0102' },
  { name: 'no type', type: 0, bytes: '0102' },
  { name: 'an int4 of three bytes', type: 23, bytes: '000001' },
  { name: 'text that is not UTF-8', type: 25, bytes: 'ff' },
  { name: 'a jsonb of another version', type: 3802, bytes: '02 7b7d' },
  { name: 'a numeric that asks for 130,000 digits', type: 1700, bytes: '0001 7fff 0000 0000 0001' },
  { name: 'a numeric without its digits', type: 1700, bytes: '0005 0000 0000 0000' },
  {
    name: 'an array that claims two thousand million elements',
    type: 1007,
    bytes: '00000001 00000000 00000017 7fffffff 00000001',
  },
  {
    name: 'an array of two thousand million empty arrays',
    type: 1007,
    bytes: '00000002 00000000 00000017 7fffffff 00000001 00000000 00000001',
  },
  {
    name: 'an array of another element type',
    type: 1007,
    bytes: '00000001 00000000 00000019 00000001 00000001 00000001 61',
  },
  {
    name: 'an array with an element beyond the end',
    type: 1009,
    bytes: '00000001 00000000 00000019 00000001 00000001 000000ff 61',
  },
  {
    name: 'an array with bytes after the last element',
    type: 1009,
    bytes: '00000001 00000000 00000019 00000001 00000001 00000001 61 62',
  },
  { name: 'an array of seven dimensions', type: 1007, bytes: '00000007 00000000 00000017' },
  { name: 'a time after midnight of the next day', type: 1083, bytes: '7fffffffffffffff' },
];

describe('binary parameters', () => {
  it.each(VALUES)('$name reads $shown', ({ type, bytes, shown }) => {
    expect(one(type, 'binary', hex(bytes))).toEqual(shown);
  });

  it.each(REFUSED)('$name is shown as bytes', ({ type, bytes }) => {
    const value = hex(bytes);
    expect(one(type, 'binary', value)).toEqual({ base64: value.toString('base64'), bytes: value.length, type });
  });

  it('agree with Date on every timestamp that Date knows', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          const micros = BigInt(date.getTime() - Date.UTC(2000, 0, 1)) * 1000n;
          expect(one(1184, 'binary', int64(micros))).toBe(date.toISOString().replace(/\.?0*Z$/, 'Z'));
        },
      ),
    );
  });

  it('of any bytes and any type never throw and stay bounded', () => {
    const types = [...new Set([...VALUES, ...REFUSED].map(({ type }) => type))];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 200 }), (type, bytes) => {
        const parameter: BoundParameter = { type, format: 'binary', value: Buffer.from(bytes) };
        expect(renderParameters([parameter]).length).toBeLessThan(20_000);
      }),
      { numRuns: fuzzRuns(2000) },
    );
  });
});

describe('text parameters', () => {
  it('are shown as they are', () => {
    expect(one(1184, 'text', Buffer.from('2024-02-29 00:00:00+00'))).toBe('2024-02-29 00:00:00+00');
    expect(one(0, 'text', null)).toBeNull();
  });

  it('that are not UTF-8 are shown as bytes', () => {
    expect(one(25, 'text', Buffer.from([0xe9]))).toEqual({ base64: '6Q==', bytes: 1, type: 25 });
  });

  it('are cut at a character and say how long they were', () => {
    const value = Buffer.from(`x${'é'.repeat(VALUE_BYTES)}`);
    expect(one(25, 'text', value)).toEqual({ bytes: value.length, text: `x${'é'.repeat(VALUE_BYTES / 2 - 1)}` });
    expect(one(3802, 'binary', Buffer.concat([Buffer.from([1]), Buffer.alloc(10_000, 'a')]))).toMatchObject({
      bytes: 10_000,
    });
  });
});

describe('many parameters', () => {
  it('are shown up to a number', () => {
    const parameters = Array.from({ length: 65_535 }, (): BoundParameter => ({ type: 0, format: 'text', value: null }));
    expect(JSON.parse(renderParameters(parameters))).toHaveLength(PARAMETERS);
  });

  it('are shown up to a size', () => {
    const value = Buffer.alloc(VALUE_BYTES, '\u0001');
    const parameters = Array.from({ length: 1000 }, (): BoundParameter => ({ type: 25, format: 'text', value }));
    expect(renderParameters(parameters).length).toBeLessThan(300_000);
  });
});
