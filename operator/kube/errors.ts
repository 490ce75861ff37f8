import type { KubeErrorReason } from './types.ts';

/** What the API server found wrong with one field. */
export interface Cause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

interface Details {
  readonly status?: number | null;
  /** Milliseconds after which the server wants to be asked again. */
  readonly retryAfter?: number | null;
  readonly causes?: readonly Cause[];
  readonly cause?: unknown;
}

/** What every call of the client rejects with. The message is the API server's own, or says what became of the connection. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly reason: KubeErrorReason;
  /** `GET /api/v1/pods`: what was asked. */
  readonly request: string;
  /** The HTTP status; null: there was no answer. */
  readonly status: number | null;
  readonly retryAfter: number | null;
  readonly causes: readonly Cause[];

  constructor(reason: KubeErrorReason, request: string, message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.request = request;
    this.status = details.status ?? null;
    this.retryAfter = details.retryAfter ?? null;
    this.causes = details.causes ?? [];
  }
}

/** The fields of a Status object that count here; none of them can be relied on. */
interface Status {
  readonly code?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly causes?: unknown; readonly retryAfterSeconds?: unknown } | null;
}

const REASONS: Readonly<Record<number, KubeErrorReason>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  429: 'TooManyRequests',
};

/** The error that an answer other than 2xx stands for; `body` as it came, which need not be a Status object. */
export function answerError(request: string, code: number, body: Buffer, retryAfter: string | undefined): KubeError {
  const text = body.toString('utf8');
  const status = parseStatus(text) ?? { message: text.slice(0, 200).trim() };
  return statusError(request, code, status, retryAfter);
}

/** The error that a Status object stands for, in an answer or in an ERROR event of a watch. */
export function statusError(request: string, code: number, status: Status, retryAfter?: string): KubeError {
  const message = typeof status.message === 'string' && status.message !== '' ? status.message : `HTTP status ${code}`;
  return new KubeError(reasonOf(code, status.reason), request, message, {
    status: code,
    retryAfter: retryAfterOf(retryAfter) ?? seconds(status.details?.retryAfterSeconds),
    causes: causesOf(status.details?.causes),
  });
}

/** Anything that was thrown around a request, as an error of the client. */
export function transportError(request: string, thrown: unknown): KubeError {
  if (thrown instanceof KubeError) return thrown;
  return new KubeError('Transport', request, messageOf(thrown), { cause: thrown });
}

/** The text of anything that can be thrown. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // Several addresses tried: what each attempt said is in `errors`, the message is empty.
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(messageOf).join(', ');
  return thrown.message === '' ? thrown.name : thrown.message;
}

function reasonOf(code: number, reason: unknown): KubeErrorReason {
  if (reason === 'AlreadyExists') return 'AlreadyExists';
  if (reason === 'Expired' || reason === 'Gone') return 'Gone';
  return REASONS[code] ?? (code >= 400 && code < 500 ? 'Invalid' : 'Server');
}

function parseStatus(text: string): Status | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}

/** The header in seconds, or as the date that proxies send. */
function retryAfterOf(header: string | undefined): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

function seconds(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value * 1000 : null;
}

function causesOf(causes: unknown): readonly Cause[] {
  if (!Array.isArray(causes)) return [];
  return causes.map((cause: Partial<Record<keyof Cause, unknown>> | null) => ({
    field: String(cause?.field ?? ''),
    reason: String(cause?.reason ?? ''),
    message: String(cause?.message ?? ''),
  }));
}
