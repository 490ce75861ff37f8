import { once } from 'node:events';
import type http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createCertificateAuthority } from '../../test/kit/tls.ts';
import { createFaults, type Fault } from '../../test/kube/api-faults.ts';
import type { ApiServerAddress } from './api-server.ts';

/** Stands between an operator and the API server, and fails as told. */
export interface FaultProxy extends ApiServerAddress {
  inject(fault: Fault): void;
  clear(): void;
  /** Watches of a resource say nothing any more, those that are open and those to come: their peer is gone without a word. */
  freeze(plural: string): void;
  /** What is frozen ends, and all other watches with it. */
  thaw(): void;
  close(): Promise<void>;
}

interface Watch {
  readonly plural: string;
  readonly upstream: http.IncomingMessage;
  readonly response: http.ServerResponse;
}

export async function startFaultProxy(api: ApiServerAddress): Promise<FaultProxy> {
  const faults = createFaults();
  const frozen = new Set<string>();
  const watches = new Set<Watch>();
  const agent = new https.Agent({ keepAlive: true, ca: api.ca });
  const authority = await createCertificateAuthority('Faults');
  const { keyPem, certPem } = await authority.server(['127.0.0.1']);

  const forward = async (request: http.IncomingMessage, body: Buffer, response: http.ServerResponse): Promise<void> => {
    const { method, headers, url = '/' } = request;
    const out = https.request(new URL(url, api.url), { method, headers, agent });
    response.once('close', () => out.destroy());
    out.end(body);
    const [upstream] = (await once(out, 'response')) as [http.IncomingMessage];
    response.writeHead(upstream.statusCode ?? 502, upstream.headers);
    response.flushHeaders();
    const plural = pluralOf(url);
    if (new URL(url, api.url).searchParams.get('watch') === 'true') {
      const watch = { plural, upstream, response };
      watches.add(watch);
      response.once('close', () => watches.delete(watch));
      if (frozen.has(plural)) return;
    }
    upstream.on('error', () => response.destroy()).pipe(response);
  };

  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = Buffer.concat(await request.toArray());
    const { pathname, searchParams } = new URL(request.url ?? '/', api.url);
    const { method = 'GET', headers } = request;
    const seen = { method, path: pathname, query: searchParams, headers, body: null, at: Date.now() };
    const resource = { group: '', plural: pluralOf(request.url ?? '/') };
    if (!(await faults.meet(seen, resource, response))) await forward(request, body, response);
  };

  const server = https.createServer({ key: keyPem, cert: certPem }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ...api,
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: authority.caPem,
    inject: faults.add,
    clear: faults.clear,
    freeze(plural) {
      frozen.add(plural);
      for (const watch of watches) if (watch.plural === plural) watch.upstream.unpipe(watch.response).resume();
    },
    thaw() {
      frozen.clear();
      for (const { response } of watches) response.destroy();
    },
    async close() {
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await once(server, 'close');
    },
  };
}

/** `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME`, with what there is of it. */
function pluralOf(url: string): string {
  const parts = new URL(url, 'https://api').pathname.split('/').slice(1);
  const rest = parts[0] === 'api' ? parts.slice(2) : parts.slice(3);
  return (rest[0] === 'namespaces' && rest.length > 2 ? rest[2] : rest[0]) ?? '';
}
