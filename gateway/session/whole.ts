import { decodeCommandComplete, decodeReadyForQuery } from '../wire/backend.ts';
import { HEADER, lengthAt } from '../wire/reader.ts';
import { BACKEND } from '../wire/types.ts';
import { isLimited, noteRelayed } from './cut.ts';
import type { Reply } from './replies.ts';
import { abandonReplaced, endReply } from './server-messages.ts';
import type { SessionState } from './state.ts';

/**
 * A chunk that holds all answers to the oldest run or Query and nothing else, as small results come: dealt with as one.
 * False: it is to be looked at message by message, with the same result (test: "a run is answered and recorded as the
 * messages that it is made of").
 */
export function answerWhole(s: SessionState, chunk: Buffer): boolean {
  const head = s.replies.head();
  if (head === undefined || !isPlain(head)) return false;
  const answer = readAnswer(head, chunk);
  if (answer === null || (answer.rows > 0 && isLimited(s))) return false;
  const { rows, rowBytes, tagStart, tagEnd } = answer;
  const complete = decodeCommandComplete(chunk, tagStart, tagEnd);
  const { status } = decodeReadyForQuery(chunk, tagEnd + HEADER, chunk.length);
  const running = head.running[0]!;
  abandonReplaced(s, head.undo);
  s.port.toClient(chunk);
  if (rows > 0) {
    running.metered ??= false;
    noteRelayed(s, running, rows, rowBytes);
  }
  s.finish(running, 'Completed', null, complete);
  endReply(s, head, status);
  return true;
}

/** One statement that is not complete yet (rows may have passed), and nothing hangs on the single answers. */
function isPlain({ kind, awaited, running, at, refusal, question, cut }: Reply): boolean {
  if (kind === 'Run') return awaited === 0;
  if (kind !== 'Query' || at > 0 || running.length !== 1) return false;
  const { bound, undo } = running[0]!;
  return refusal === null && question === null && cut === null && bound === null && undo.length === 0;
}

interface Answer {
  readonly rows: number;
  readonly rowBytes: number;
  /** Where the body of CommandComplete stands; behind it comes ReadyForQuery, to the end of the chunk. */
  readonly tagStart: number;
  readonly tagEnd: number;
}

/** null: something else than the plain answers, or not all of them. */
function readAnswer({ kind, parts }: Reply, chunk: Buffer): Answer | null {
  let at = kind === 'Run' ? messageEnd(chunk, 0, BACKEND.BindComplete) : 0;
  if (parts[1] === 'DescribePortal' && chunk[at] === BACKEND.NoData) at = messageEnd(chunk, at, BACKEND.NoData);
  else if (parts[1] === 'DescribePortal' || (kind === 'Query' && chunk[at] === BACKEND.RowDescription))
    at = messageEnd(chunk, at, BACKEND.RowDescription);
  const rowStart = at;
  let rows = 0;
  for (; chunk[at] === BACKEND.DataRow; rows += 1) at = messageEnd(chunk, at, BACKEND.DataRow);
  const tagEnd = messageEnd(chunk, at, BACKEND.CommandComplete);
  const end = messageEnd(chunk, tagEnd, BACKEND.ReadyForQuery);
  return end === chunk.length ? { rows, rowBytes: at - rowStart, tagStart: at + HEADER, tagEnd } : null;
}

/** Where the message of that type ends which begins at `at`; beyond the chunk: there is none, or not all of it. */
function messageEnd(chunk: Buffer, at: number, type: number): number {
  if (at + HEADER > chunk.length || chunk[at] !== type) return chunk.length + 1;
  const length = lengthAt(chunk, at + 1);
  return length < 4 ? chunk.length + 1 : at + 1 + length;
}
