const PREFIX = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** Whom a token speaks for, as the API server says. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly uid: string;
}

/** The parts of a TokenReview's status that count here. */
interface ReviewStatus {
  readonly authenticated?: unknown;
  readonly audiences?: unknown;
  readonly user?: { readonly username?: unknown; readonly extra?: Readonly<Record<string, unknown>> };
}

/**
 * The caller of a reviewed token; null: it is not for this audience, or not bound to a pod. An API server that knows
 * nothing of audiences names none, and its word does not count (test: "a review that names no audience").
 */
export function readCaller(status: unknown, audience: string): Caller | null {
  if (typeof status !== 'object' || status === null) return null;
  const { authenticated, audiences, user } = status as ReviewStatus;
  if (authenticated !== true || !Array.isArray(audiences) || !audiences.includes(audience)) return null;
  const [, namespace, serviceAccount] = PREFIX.exec(String(user?.username)) ?? [];
  const pod = only(user?.extra?.[POD_NAME]);
  const uid = only(user?.extra?.[POD_UID]);
  if (namespace === undefined || serviceAccount === undefined || pod === null || uid === null) return null;
  return { namespace, serviceAccount, pod, uid };
}

function only(value: unknown): string | null {
  return Array.isArray(value) && value.length === 1 && typeof value[0] === 'string' && value[0] !== ''
    ? value[0]
    : null;
}

/** Longer than any token of a ServiceAccount. */
const MAX_TOKEN = 8192;
const TOKEN = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/;

/** The bearer token of a request; null: none that could be a ServiceAccount's. */
export function bearerToken(authorization: string | undefined): string | null {
  if (authorization === undefined || authorization.length > MAX_TOKEN) return null;
  return TOKEN.exec(authorization)?.[1] ?? null;
}

/** When a token ends, in milliseconds since the epoch, as it says itself; null: it does not say. Whether it is good is the API server's to say. */
export function expiryOf(token: string): number | null {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const exp = (payload as { readonly exp?: unknown } | null)?.exp;
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
