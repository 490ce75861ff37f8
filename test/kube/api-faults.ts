import type { ServerResponse } from 'node:http';
import type { Resource } from '../../operator/kube/types.ts';
import type { Seen } from './api-server.ts';

export type Verb = 'list' | 'watch' | 'get' | 'apply' | 'create' | 'update' | 'delete';

/** What becomes of a request instead of its answer. */
export type Act =
  /** An answer with this status, and a Status object unless a body is given. */
  | {
      readonly status: number;
      readonly reason?: string;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly details?: object;
    }
  /** The connection is cut before an answer. */
  | 'reset'
  /** Half of an answer, then the connection is cut. */
  | 'half'
  /** No answer ever: a peer that is gone without a word. */
  | 'silence'
  /** Answered when the promise resolves. */
  | { readonly until: Promise<unknown> };

export interface Fault {
  readonly on: Verb;
  readonly resource?: Resource;
  /** So many requests pass before. */
  readonly skip?: number;
  /** How many meet the fault; else one. */
  readonly times?: number;
  readonly act: Act;
}

export interface Faults {
  add(fault: Fault): void;
  clear(): void;
  /** Whether the request has met its fault and needs no answer. */
  meet(seen: Seen, resource: Pick<Resource, 'group' | 'plural'> | null, response: ServerResponse): Promise<boolean>;
}

export function createFaults(): Faults {
  let armed: { readonly fault: Fault; skip: number; times: number }[] = [];
  const next = (verb: Verb, plural: string | undefined): Act | null => {
    for (const one of armed) {
      const { fault } = one;
      if (fault.on !== verb || (fault.resource !== undefined && fault.resource.plural !== plural)) continue;
      if (one.skip > 0) {
        one.skip -= 1;
        continue;
      }
      one.times -= 1;
      if (one.times <= 0) armed = armed.filter((other) => other !== one);
      return fault.act;
    }
    return null;
  };
  return {
    add: (fault) => void armed.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 }),
    clear: () => {
      armed = [];
    },
    meet: async (seen, resource, response) => {
      const act = next(verbOf(seen), resource?.plural);
      if (act === null) return false;
      if (typeof act === 'object' && 'until' in act) {
        await act.until;
        return false;
      }
      perform(act, response);
      return true;
    },
  };
}

function perform(act: Exclude<Act, { until: unknown }>, response: ServerResponse): void {
  if (act === 'silence') return;
  if (act === 'reset') return void response.socket?.resetAndDestroy();
  if (act === 'half') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"kind":"List","metadata":{"resourceVersion":"7"},"items":[', () => response.socket?.destroy());
    return;
  }
  const { status, reason = '', details } = act;
  response.writeHead(status, { 'content-type': 'application/json', ...act.headers });
  response.end(
    act.body ?? JSON.stringify({ kind: 'Status', code: status, reason, message: `told to ${status}`, details }),
  );
}

function verbOf({ method, path, query }: Seen): Verb {
  if (method === 'GET' && query.get('watch') === 'true') return 'watch';
  if (method === 'GET') return query.get('limit') === null ? 'get' : 'list';
  if (method === 'PATCH') return 'apply';
  if (method === 'POST') return 'create';
  return method === 'PUT' ? 'update' : path === '' ? 'get' : 'delete';
}
