import { request } from 'node:http';
import { text } from 'node:stream/consumers';

/** One HTTP request over a Unix domain socket. */
export function requestOver(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode!, body }), reject);
    });
    sent.once('error', reject);
    sent.end();
  });
}
