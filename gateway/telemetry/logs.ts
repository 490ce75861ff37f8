import { type DestinationStream, type Logger, pino } from 'pino';

/** Keys whose values never reach the log, at the top and one level below. */
const SECRET_KEYS = [
  'password',
  'passwd',
  'token',
  'accessToken',
  'refreshToken',
  'idToken',
  'authorization',
  'cookie',
  'secret',
  'clientSecret',
  'key',
  'privateKey',
  'credential',
];

export interface LoggerOptions {
  readonly level?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Fields of every line, such as the pod's name. */
  readonly base?: Readonly<Record<string, string>>;
  readonly destination?: DestinationStream;
}

/** The operational log: one JSON object a line, values under names of secrets replaced by `[Redacted]`. */
export function createLogger(options: LoggerOptions = {}): Logger {
  return pino(
    {
      level: options.level ?? 'info',
      base: options.base ?? null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[Redacted]' },
    },
    // fd 2: the standard output belongs to the audit sink, and two writers would tear each other's lines.
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
}
