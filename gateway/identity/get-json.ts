import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** Largest answer accepted, in bytes: discovery documents and key sets are a few kilobytes. */
const MAX_BODY_BYTES = 256 * 1024;

export interface GetJsonOptions {
  /** PEM authorities that replace the system's; null: the system's. */
  readonly ca: Buffer | null;
  readonly signal: AbortSignal;
}

/**
 * Fetches a JSON object. Redirects are not followed: they could lead to an address that was never configured.
 * Rejects with an Error whose message quotes nothing of the answer.
 */
export async function getJson(url: URL, options: GetJsonOptions): Promise<Readonly<Record<string, unknown>>> {
  const body = await getBody(url, options);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new Error('the answer is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('the answer is not a JSON object');
  }
  return value as Readonly<Record<string, unknown>>;
}

function getBody(url: URL, { ca, signal }: GetJsonOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { signal, headers: { accept: 'application/json' }, agent: false as const };
    const request =
      url.protocol === 'https:'
        ? requestHttps(url, ca === null ? options : { ...options, ca })
        : requestHttp(url, options);
    const fail = (error: Error): void => {
      request.destroy();
      reject(error);
    };
    request.on('error', fail);
    request.on('response', (response) => {
      response.on('error', fail);
      if (response.statusCode !== 200) return fail(new Error(`the answer has status ${response.statusCode}`));
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BODY_BYTES) return fail(new Error(`the answer is longer than ${MAX_BODY_BYTES} bytes`));
        chunks.push(chunk);
      });
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    request.end();
  });
}
