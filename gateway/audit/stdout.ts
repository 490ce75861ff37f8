import { write } from 'node:fs';
import { type DestinationStream, pino } from 'pino';
import type { Sink } from './options.ts';

/** Where lines go: what `openStdout` gives, or any Writable. */
export interface LineStream {
  write(chunk: Buffer, done: (error?: Error | null) => void): boolean;
}

const NEWLINE = 10;
/** Milliseconds to wait when a pipe without blocking is full. */
const FULL_MS = 20;

/**
 * The process's standard output, written from the thread pool: `process.stdout` blocks the event loop, and with it
 * every session, while a pipe is full.
 */
export function openStdout(fd = 1): LineStream {
  return {
    write(chunk, done) {
      const step = (at: number): void => {
        write(fd, chunk, at, chunk.length - at, null, (error, written) => {
          if (error?.code === 'EAGAIN') {
            setTimeout(step, FULL_MS, at).unref();
          } else if (error !== null) {
            done(error);
          } else if (at + written < chunk.length) {
            step(at + written);
          } else {
            done();
          }
        });
      };
      step(0);
      return true;
    },
  };
}
/** Stands for the event in the line that pino renders; cannot occur in what surrounds it. */
const PLACE = '"@event@"';

/**
 * One line per event as pino writes it: level, time, `event`, msg "audit". pino renders what surrounds the events once
 * per batch, and the records are put in as they are: rendering each anew would cost more than all else in the gateway.
 */
function envelope(): () => readonly [Buffer, Buffer] {
  let rendered = '';
  const destination: DestinationStream = {
    write(line) {
      rendered = line;
    },
  };
  const logger = pino({ base: null }, destination);
  return () => {
    logger.info({ event: PLACE.slice(1, -1) }, 'audit');
    const at = rendered.indexOf(PLACE);
    return [Buffer.from(rendered.slice(0, at)), Buffer.from(rendered.slice(at + PLACE.length))];
  };
}

/** Writes every record as one line; a batch is done when the stream has taken it, so a slow reader slows the shipper. */
export function createStdoutSink(name: string, stream: LineStream): Sink {
  const surround = envelope();
  return {
    name,
    send(lines) {
      const [before, after] = surround();
      const parts: Buffer[] = [];
      for (let at = 0; at < lines.length; ) {
        const end = lines.indexOf(NEWLINE, at);
        parts.push(before, lines.subarray(at, end), after);
        at = end + 1;
      }
      return new Promise((resolve, reject) => {
        stream.write(Buffer.concat(parts), (error) => (error ? reject(error) : resolve()));
      });
    },
  };
}
