import { expect, test } from 'vitest';
import { ProtocolError } from '../../gateway/wire/errors.ts';
import { encodeSync } from '../../gateway/wire/frontend.ts';
import { trace } from '../../gateway/wire/trace.ts';
import { messagesOf } from './samples.ts';

test('a transcript of every client message', () => {
  expect(trace('frontend', Buffer.concat(messagesOf('frontend'))).join('\n')).toBe(
    [
      'F\t8\tQuery\t "S\\xff\\x80"',
      'F\t27\tParse\t "s\\xff" "SELECT $1" 2 23 4294967295',
      'F\t35\tBind\t "\\x80p" "s" 2 0 1 3 2 \'\\x00\\xff\' -1 0 \'\' 1 1',
      'F\t7\tDescribe\t S "\\xe9"',
      'F\t6\tClose\t P ""',
      'F\t10\tExecute\t "p" -1',
      'F\t18\tFunctionCall\t 4294967295 0 1 -1 1',
      'F\t9\tCopyFail\t "stop"',
      'F\t4\tCopyDone',
      'F\t4\tSync',
      'F\t4\tFlush',
      'F\t4\tTerminate',
      'F\t11\tPasswordMessage\t <7 bytes>',
      'F\t25\tPasswordMessage\t <21 bytes>',
      "F\t13\tCopyData\t '\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01'",
      'F\t10\tPasswordMessage\t <6 bytes>',
    ].join('\n'),
  );
});

test('a transcript of every server message', () => {
  expect(trace('backend', Buffer.concat(messagesOf('backend'))).join('\n')).toBe(
    [
      'B\t8\tAuthentication\t 0',
      'B\t8\tAuthentication\t 2',
      'B\t8\tAuthentication\t 3',
      'B\t8\tAuthentication\t 7',
      'B\t8\tAuthentication\t 9',
      'B\t12\tAuthentication\t 5 <4 bytes>',
      'B\t42\tAuthentication\t 10 "SCRAM-SHA-256-PLUS" "SCRAM-SHA-256"',
      'B\t4\tBindComplete',
      'B\t4\tCloseComplete',
      'B\t4\tCopyDone',
      'B\t4\tEmptyQueryResponse',
      'B\t4\tNoData',
      'B\t4\tParseComplete',
      'B\t4\tPortalSuspended',
      'B\t11\tCopyInResponse\t \\x01 2 1 0',
      'B\t11\tCopyOutResponse\t \\x01 2 1 0',
      'B\t11\tCopyBothResponse\t \\x01 2 1 0',
      'B\t15\tCommandComplete\t "INSERT 0 1"',
      "B\t20\tDataRow\t 3 2 '\\xff\\xfe' -1 0 ''",
      'B\t36\tErrorResponse\t S "FATAL" V "FATAL" C "28000" M "no" D "d" P "7" \\x00',
      'B\t39\tNoticeResponse\t S "WARNING" V "WARNING" C "01000" M "mind" H "h" \\x00',
      "B\t10\tFunctionCallResponse\t 2 '42'",
      'B\t26\tNegotiateProtocolVersion\t 3.2 "_pq_.a" "_pq_.b"',
      'B\t12\tNotificationResponse\t 9 "c" "p"',
      'B\t14\tParameterDescription\t 2 25 4294967295',
      'B\t17\tParameterStatus\t "TimeZone" "UTC"',
      'B\t5\tReadyForQuery\t E',
      'B\t27\tRowDescription\t 1 "\\xc3\\xa4" 4294967295 -1 25 -1 -1 1',
      'B\t40\tBackendKeyData\t -7 <32 bytes>',
      'B\t9\tAuthentication\t 8 <1 bytes>',
      'B\t10\tAuthentication\t 11 <2 bytes>',
      'B\t10\tAuthentication\t 12 <2 bytes>',
    ].join('\n'),
  );
});

test('no secret is in a transcript', () => {
  const lines = trace('frontend', Buffer.concat(messagesOf('frontend'))).join('\n');
  expect(lines).not.toMatch(/secret|SCRAM|biws/);
});

test('an unfinished or malformed message is a ProtocolError', () => {
  expect(() => trace('frontend', encodeSync().subarray(0, 4))).toThrow(ProtocolError);
  expect(() => trace('frontend', Buffer.from([0x53, 0, 0, 0, 5, 0]))).toThrow(ProtocolError);
});
