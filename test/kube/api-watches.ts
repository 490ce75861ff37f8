import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../../operator/kube/types.ts';
import type { Happening, Kept } from './api-store.ts';

/** How the open watches of a resource come to an end, or to worse. */
export type Breakage =
  /** In order. */
  | 'close'
  | 'reset'
  /** An ERROR event with 410. */
  | 'gone'
  /** An ERROR event with 500. */
  | 'error'
  /** A line that is no JSON. */
  | 'garbage'
  /** Nothing is sent any more, the connection stays: a peer that is gone without a word. */
  | 'silence'
  /** The next event is cut in the middle of its line, and the connection with it. */
  | 'half'
  /** The stream ends in order in the middle of the next event's line. */
  | 'truncate';

interface Opening {
  readonly kept: Kept;
  readonly response: ServerResponse;
  readonly from: number;
  /** Milliseconds after which the server ends it. */
  readonly timeout: number;
  readonly selects: (object: KubeObject) => boolean;
}

interface Open extends Opening {
  fate: Breakage | null;
  readonly timer: NodeJS.Timeout;
}

export interface Watches {
  open(opening: Opening): void;
  happened(kept: Kept, happening: Happening): void;
  bookmark(kept: Kept): void;
  break(kept: Kept, how: Breakage): void;
  count(kept: Kept): number;
  close(): void;
}

export function createWatches(speed: number, version: () => number): Watches {
  const watches = new Set<Open>();
  const of = (kept: Kept): Open[] => [...watches].filter((watch) => watch.kept === kept);

  /** What enters the selection is told as added, what leaves it as deleted. */
  const tell = (watch: Open, { type, object, old }: Happening): void => {
    const before = old !== null && watch.selects(old);
    const after = type !== 'DELETED' && watch.selects(object);
    if (!before && !after) return;
    const told = after ? (before ? 'MODIFIED' : 'ADDED') : 'DELETED';
    send(watch, `${JSON.stringify({ type: told, object })}\n`);
  };

  const send = (watch: Open, line: string): void => {
    const { response, fate } = watch;
    if (fate === 'silence' || response.writableEnded) return;
    if (fate === 'half' || fate === 'truncate') {
      watch.fate = 'silence';
      const half = Buffer.from(line).subarray(0, Math.ceil(line.length / 2));
      if (fate === 'truncate') response.end(half);
      else response.write(half, () => response.socket?.destroy());
      return;
    }
    // In two pieces, the border somewhere in the middle of a character as likely as not.
    const bytes = Buffer.from(line);
    response.write(bytes.subarray(0, bytes.length >> 1));
    response.write(bytes.subarray(bytes.length >> 1));
  };

  const end = (watch: Open, how: Breakage): void => {
    const { response } = watch;
    if (response.writableEnded) return;
    const status = (code: number, reason: string): string =>
      `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, reason, message: `told to ${code}` } })}\n`;
    if (how === 'close') response.end();
    else if (how === 'reset') response.socket?.resetAndDestroy();
    else if (how === 'gone') response.end(status(410, 'Expired'));
    else if (how === 'error') response.end(status(500, 'InternalError'));
    else if (how === 'garbage') response.end('<html>502 Bad Gateway</html>\n');
    else watch.fate = how;
  };

  return {
    open: (opening) => {
      const { kept, response, from } = opening;
      const expire = (): void => void (watch.fate !== 'silence' && response.end());
      const watch: Open = { ...opening, fate: null, timer: setTimeout(expire, opening.timeout / speed) };
      watches.add(watch);
      response.on('close', () => {
        clearTimeout(watch.timer);
        watches.delete(watch);
      });
      response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
      response.flushHeaders();
      for (const happening of kept.history) if (happening.version > from) tell(watch, happening);
    },
    happened: (kept, happening) => {
      for (const watch of of(kept)) tell(watch, happening);
    },
    bookmark: (kept) => {
      const object = { kind: 'Bookmark', metadata: { resourceVersion: String(version()) } };
      for (const watch of of(kept)) send(watch, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    },
    break: (kept, how) => {
      for (const watch of of(kept)) end(watch, how);
    },
    count: (kept) => of(kept).length,
    close: () => {
      for (const { timer } of watches) clearTimeout(timer);
    },
  };
}
