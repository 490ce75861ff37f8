/**
 * Decoders of PostgreSQL's binary formats (the send functions in src/backend/utils/adt) into the words that a person
 * reads in a record. Each throws a RangeError for bytes that are not a value of its type.
 */

type Decoder = (value: Buffer) => string;

/** Digits before or after the point of a numeric; two bytes on the wire can ask for 130,000. */
const NUMERIC_DIGITS = 4096;

const utf8 = new TextDecoder('utf-8', { fatal: true });

function text(value: Buffer): string {
  return utf8.decode(value);
}

function sized(size: number, decode: Decoder): Decoder {
  return (value) => {
    if (value.length !== size) {
      throw new RangeError('wrong length');
    }
    return decode(value);
  };
}

function float4(value: Buffer): string {
  const number = value.readFloatBE(0);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(number.toPrecision(digits));
    if (Math.fround(short) === number) {
      return String(short);
    }
  }
  return String(number);
}

function pad(value: number | bigint, width: number): string {
  return String(value).padStart(width, '0');
}

const DAY_US = 86_400_000_000n;
const INT64_MAX = 0x7fff_ffff_ffff_ffffn;
const INT64_MIN = -0x8000_0000_0000_0000n;
/** 2000-01-01, PostgreSQL's epoch, in days since 1970-01-01. */
const EPOCH_DAYS = 10_957;

/** ISO 8601, years outside 0 to 9999 in the expanded form with a sign and six digits. */
function isoDate(days: number): string {
  // Days to civil date in the proleptic Gregorian calendar, in eras of 400 years; Date ends in the year 275760.
  const shifted = days + EPOCH_DAYS + 719_468;
  const era = Math.floor(shifted / 146_097);
  const day = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365,
  );
  const dayOfYear = day - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const date = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const written = year >= 0 && year <= 9999 ? pad(year, 4) : `${year < 0 ? '-' : '+'}${pad(Math.abs(year), 6)}`;
  return `${written}-${pad(month, 2)}-${pad(date, 2)}`;
}

function isoTime(microseconds: bigint): string {
  if (microseconds < 0n || microseconds > DAY_US) {
    throw new RangeError('not a time of day');
  }
  const seconds = microseconds / 1_000_000n;
  const fraction = microseconds % 1_000_000n;
  const whole = `${pad(seconds / 3600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}`;
  return fraction === 0n ? whole : `${whole}.${pad(fraction, 6).replace(/0+$/, '')}`;
}

function date(value: Buffer): string {
  const days = value.readInt32BE(0);
  if (days === 0x7fff_ffff) {
    return 'infinity';
  }
  return days === -0x8000_0000 ? '-infinity' : isoDate(days);
}

function timestamp(zone: string): Decoder {
  return (value) => {
    const at = value.readBigInt64BE(0);
    if (at === INT64_MAX) {
      return 'infinity';
    }
    if (at === INT64_MIN) {
      return '-infinity';
    }
    const within = ((at % DAY_US) + DAY_US) % DAY_US;
    return `${isoDate(Number((at - within) / DAY_US))}T${isoTime(within)}${zone}`;
  };
}

function timetz(value: Buffer): string {
  // Seconds west of Greenwich: the sign is the opposite of ISO's.
  const west = value.readInt32BE(8);
  const minutes = Math.floor(Math.abs(west) / 60);
  const seconds = Math.abs(west) % 60;
  const offset = `${west > 0 ? '-' : '+'}${pad(Math.floor(minutes / 60), 2)}:${pad(minutes % 60, 2)}`;
  return `${isoTime(value.readBigInt64BE(0))}${offset}${seconds === 0 ? '' : `:${pad(seconds, 2)}`}`;
}

const NUMERIC_SPECIAL: Readonly<Record<number, string>> = { 49152: 'NaN', 53248: 'Infinity', 61440: '-Infinity' };

/** numeric_send: count of base-10000 digits, weight of the first, sign, digits shown after the point, digits. */
function numeric(value: Buffer): string {
  const count = value.readInt16BE(0);
  const weight = value.readInt16BE(2);
  const sign = value.readUInt16BE(4);
  const scale = value.readUInt16BE(6);
  const special = NUMERIC_SPECIAL[sign];
  if (special !== undefined) {
    return special;
  }
  if (count < 0 || value.length !== 8 + 2 * count || (sign !== 0 && sign !== 0x4000)) {
    throw new RangeError('not a numeric');
  }
  if (weight * 4 > NUMERIC_DIGITS || scale > NUMERIC_DIGITS) {
    throw new RangeError('too many digits to show');
  }
  const group = (i: number): string => (i >= 0 && i < count ? pad(value.readUInt16BE(8 + 2 * i), 4) : '0000');
  let whole = '';
  for (let i = 0; i <= weight; i++) {
    whole += group(i);
  }
  let fraction = '';
  for (let i = weight + 1; fraction.length < scale; i++) {
    fraction += group(i);
  }
  const digits = whole.replace(/^0+(?=\d)/, '') || '0';
  return `${sign === 0 ? '' : '-'}${digits}${scale === 0 ? '' : `.${fraction.slice(0, scale)}`}`;
}

function uuid(value: Buffer): string {
  const hex = value.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  // The URL parser knows the shortest form (RFC 5952) of an address in brackets.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** inet_send: family (2, 3), bits of the netmask, is_cidr, length, address. */
function inet(value: Buffer): string {
  const bits = value.readUInt8(1);
  const cidr = value.readUInt8(2) === 1;
  const size = value.readUInt8(3);
  if ((size !== 4 && size !== 16) || value.length !== 4 + size) {
    throw new RangeError('not an address');
  }
  const bytes = value.subarray(4);
  const address = size === 4 ? bytes.join('.') : ipv6(bytes);
  return !cidr && bits === size * 8 ? address : `${address}/${bits}`;
}

function jsonb(value: Buffer): string {
  if (value.readUInt8(0) !== 1) {
    throw new RangeError('unknown version of jsonb');
  }
  return text(value.subarray(1));
}

const boolean: Decoder = (value) => (value.readUInt8(0) === 0 ? 'false' : 'true');

/** By type OID (src/include/catalog/pg_type.dat). */
const SCALARS: ReadonlyMap<number, Decoder> = new Map<number, Decoder>([
  [16, sized(1, boolean)],
  [17, (value) => `\\x${value.toString('hex')}`],
  [18, text],
  [19, text],
  [20, sized(8, (value) => String(value.readBigInt64BE(0)))],
  [21, sized(2, (value) => String(value.readInt16BE(0)))],
  [23, sized(4, (value) => String(value.readInt32BE(0)))],
  [25, text],
  [26, sized(4, (value) => String(value.readUInt32BE(0)))],
  [114, text],
  [650, inet],
  [700, sized(4, float4)],
  [701, sized(8, (value) => String(value.readDoubleBE(0)))],
  [705, text],
  [869, inet],
  [1042, text],
  [1043, text],
  [1082, sized(4, date)],
  [1083, sized(8, (value) => isoTime(value.readBigInt64BE(0)))],
  [1114, sized(8, timestamp(''))],
  [1184, sized(8, timestamp('Z'))],
  [1266, sized(12, timetz)],
  [1700, numeric],
  [2950, sized(16, uuid)],
  [3802, jsonb],
]);

/** Array type to element type. */
const ARRAYS: ReadonlyMap<number, number> = new Map([
  [199, 114],
  [651, 650],
  [1000, 16],
  [1001, 17],
  [1002, 18],
  [1003, 19],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1014, 1042],
  [1015, 1043],
  [1016, 20],
  [1021, 700],
  [1022, 701],
  [1028, 26],
  [1041, 869],
  [1115, 1114],
  [1182, 1082],
  [1183, 1083],
  [1185, 1184],
  [1231, 1700],
  [1270, 1266],
  [2951, 2950],
  [3807, 3802],
]);

export type Decoded = string | null | readonly Decoded[];

/** Dimensions nested deeper than PostgreSQL's own MAXDIM do not exist. */
const MAX_DIMENSIONS = 6;

/** array_send: dimensions, has nulls, element type, (length, lower bound) each, then the elements with their lengths. */
function array(value: Buffer, element: number, decode: Decoder): Decoded {
  const dimensions = value.readInt32BE(0);
  if (dimensions < 0 || dimensions > MAX_DIMENSIONS || value.readUInt32BE(8) !== element) {
    throw new RangeError('not such an array');
  }
  const lengths = Array.from({ length: dimensions }, (_, i) => value.readInt32BE(12 + 8 * i));
  const elements = lengths.reduce((product, length) => product * length, 1);
  // Lengths that lie would keep the loop below busy: each element has four bytes at least.
  if (lengths.some((length) => length < 1) || elements * 4 > value.length) {
    throw new RangeError('fewer bytes than elements');
  }
  let at = 12 + 8 * dimensions;
  const item = (): string | null => {
    const length = value.readInt32BE(at);
    at += 4;
    if (length === -1) {
      return null;
    }
    if (length < 0 || at + length > value.length) {
      throw new RangeError('element beyond the end');
    }
    at += length;
    return decode(value.subarray(at - length, at));
  };
  if (dimensions === 0) {
    return [];
  }
  const level = (depth: number): Decoded => {
    const items: Decoded[] = [];
    const length = lengths[depth] ?? 0;
    for (let i = 0; i < length; i++) {
      items.push(depth === dimensions - 1 ? item() : level(depth + 1));
    }
    return items;
  };
  const items = level(0);
  if (at !== value.length) {
    throw new RangeError('bytes after the last element');
  }
  return items;
}

/** The value in words; undefined: a type that is not known here, or bytes that are not a value of it. */
export function decodeBinary(type: number, value: Buffer): Decoded | undefined {
  const element = ARRAYS.get(type);
  const decode = SCALARS.get(element ?? type);
  if (decode === undefined) {
    return undefined;
  }
  try {
    return element === undefined ? decode(value) : array(value, element, decode);
  } catch {
    // Malformed: kept as bytes; the server will say what it thinks of it.
    return undefined;
  }
}
