import { createHmac } from 'node:crypto';
import type { SecretSource } from '../config/document.ts';

/** Where alerts go, as the Secret says at this moment. */
export interface Receiver {
  readonly url: URL;
  readonly key: Buffer;
  /** Sent as a bearer token; null: none. */
  readonly token: string | null;
  /** Authorities in place of the system's; null: the system's. */
  readonly ca: Buffer | null;
}

const KEY = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const [LEAST, MOST] = [24, 64];

/** Reads the receiver; a string says what is wrong with its Secret, and quotes nothing of it. */
export function readReceiver(secrets: SecretSource, secret: string): Receiver | string {
  const read = (key: string) => secrets.read(secret, key);
  const at = `Secret ${secret}: key`;
  const url = readUrl(read('url'));
  if (typeof url === 'string') return `${at} url ${url}`;
  const written = read('key');
  if (written === undefined) return `${at} key is missing`;
  const key = Buffer.from(KEY.exec(written.toString('utf8').trim())?.[1] ?? '', 'base64');
  if (key.length < LEAST || key.length > MOST)
    return `${at} key must be whsec_ and ${LEAST} to ${MOST} bytes in base64`;
  const token = read('token')?.toString('utf8').trim() ?? null;
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) return `${at} token must be one word of visible ASCII`;
  return { url, key, token, ca: read('ca.crt') ?? null };
}

function readUrl(bytes: Buffer | undefined): URL | string {
  if (bytes === undefined) return 'is missing';
  const text = bytes.toString('utf8').trim();
  if (!URL.canParse(text)) return 'is no URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'must hold no password: use the key token';
  if (url.protocol === 'https:') return url;
  if (url.protocol !== 'http:') return 'must begin with https://';
  return isLoopback(url.hostname) ? url : 'must begin with https://, http is for loopback addresses alone';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** The headers of Standard Webhooks: what was sent, when, and who can have sent it. */
export function signedHeaders({ key, token }: Receiver, id: string, body: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'postern',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
}
