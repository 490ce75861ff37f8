import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { AlertEvent } from './event.ts';
import { type Receiver, signedHeaders } from './receiver.ts';

/** What became of one attempt. */
export type Posted =
  | { readonly ok: true }
  /** `retryAfter`: seconds that the receiver asks to wait; null: it does not say. */
  | { readonly ok: false; readonly reason: string; readonly retryAfter: number | null };

/** Sends an event once. Redirects are not followed: they could lead where nobody configured it to. Never rejects. */
export async function post(receiver: Receiver, event: AlertEvent, now: number, signal: AbortSignal): Promise<Posted> {
  try {
    return await send(receiver, event, now, signal);
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return { ok: false, reason: signal.aborted ? 'it did not answer in time' : (code ?? name), retryAfter: null };
  }
}

function send(receiver: Receiver, event: AlertEvent, now: number, signal: AbortSignal): Promise<Posted> {
  const { url, ca } = receiver;
  const options = {
    method: 'POST',
    headers: signedHeaders(receiver, event.id, event.body, now),
    agent: false as const,
    signal,
  };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === 'http:'
        ? requestHttp(url, options)
        : requestHttps(url, ca === null ? options : { ...options, ca });
    request.on('error', reject);
    request.on('response', (response) => {
      const status = response.statusCode ?? 0;
      // What it says beyond the status is of no use here; it is read so that the connection ends well.
      response.on('error', () => {});
      response.resume();
      if (status >= 200 && status < 300) resolve({ ok: true });
      else {
        const retryAfter = seconds(response.headers['retry-after']);
        resolve({ ok: false, reason: `it answered with status ${status}`, retryAfter });
      }
    });
    request.end(event.body);
  });
}

function seconds(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : null;
}
