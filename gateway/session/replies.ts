import type { PreparedStatement, Progress, Running, Undo } from './names.ts';
import type { Question } from './question.ts';
import type { Refusal } from './refusal.ts';

/** What the server owes us for one message that was forwarded (PostgreSQL documentation, 54.2 Message Flow). */
export type ReplyKind =
  | 'Query'
  | 'Parse'
  | 'Bind'
  | 'DescribeStatement'
  | 'DescribePortal'
  | 'Execute'
  | 'Close'
  | 'Sync'
  | 'FunctionCall'
  /** A message of ours in the place of a denied one: only an ErrorResponse can come. */
  | 'Refused'
  /** CopyDone or CopyFail passed here: nothing comes for it. */
  | 'CopyEnd'
  /** Several messages as one, see run.ts. */
  | 'Run';

export interface Reply {
  readonly kind: ReplyKind;
  /** Changes of names to take back if the server refuses or skips the message. */
  readonly undo: readonly Undo[];
  /** The statements that run under it, in order: several only for Query. */
  readonly running: readonly Running[];
  /** Query: the one whose answer is awaited. */
  at: number;
  /** What the client gets for the failure that carries `nonce`. */
  readonly refusal: Refusal | null;
  readonly nonce: string;
  /** Asked by the gateway itself: nothing of it reaches the client. */
  readonly question: Question | null;
  /** DescribeStatement: whom the parameter types belong to. */
  readonly describes: PreparedStatement | null;
  /** The result is being cut: rows are dropped until the answer ends. */
  cut: Cut | null;
  /** Run: what it is made of, and which of that is awaited. */
  readonly parts: readonly ReplyKind[];
  awaited: number;
}

/** A result that has outgrown a limit. */
export interface Cut {
  readonly refusal: Refusal;
  /** CommandComplete came in spite of the cancel; it is kept back until ReadyForQuery tells what became of it. */
  completed: boolean;
}

const NOTHING: readonly never[] = [];

/** For a message that is forwarded as it is. */
export function reply(kind: ReplyKind, undo: readonly Undo[] = NOTHING, running: readonly Running[] = NOTHING): Reply {
  return make(kind, undo, running, NOTHING);
}

export function runReply(parts: readonly ReplyKind[], undo: readonly Undo[], running: readonly Running[]): Reply {
  return make('Run', undo, running, parts);
}

/** Field by field: spreading, or reading from an object that has another shape each time, costs more than all the rest. */
function make(kind: ReplyKind, undo: readonly Undo[], running: readonly Running[], parts: readonly ReplyKind[]): Reply {
  return {
    kind,
    undo,
    running,
    at: 0,
    refusal: null,
    nonce: '',
    question: null,
    describes: null,
    cut: null,
    parts,
    awaited: 0,
  };
}

/** For any other, in which more is remembered. */
export function replyWith(
  kind: ReplyKind,
  parts: Partial<Omit<Reply, 'kind' | 'at' | 'cut' | 'parts' | 'awaited'>>,
): Reply {
  return { ...reply(kind), ...parts };
}

/** The server skips nothing behind it for a failure in front of it. */
function isBoundary({ kind }: Reply): boolean {
  return kind === 'Sync' || kind === 'Query' || kind === 'FunctionCall' || kind === 'Run';
}

/**
 * First in, first out, with cheap removal at the head. A CopyEnd mark never stands in front: nothing comes for it, and a
 * queue that held nothing else would look as if an answer were due (test: "a session goes on after COPY FROM").
 */
export class ReplyQueue implements Progress {
  #items: Reply[] = [];
  #head = 0;
  /** Boundaries pushed, and those whose answers have come. */
  #sent = 0;
  #answered = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  get sent(): number {
    return this.#sent;
  }

  mayFail(mark: number): boolean {
    return this.length > 0 && mark < this.#sent && mark >= this.#answered;
  }

  isOver(mark: number): boolean {
    return this.length === 0 || mark < this.#answered;
  }

  push(item: Reply): void {
    if (isBoundary(item)) this.#sent += 1;
    if (this.length > 0) this.#items.push(item);
    else if (item.kind !== 'CopyEnd') {
      // A list that begins with its first is no larger than it needs to be: there is hardly ever a second.
      this.#items = [item];
      this.#head = 0;
    }
  }

  /** What the next server message belongs to. */
  head(): Reply | undefined {
    return this.#items[this.#head];
  }

  shift(): Reply | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    if (isBoundary(item)) this.#answered += 1;
    do this.#head += 1;
    while (this.#items[this.#head]?.kind === 'CopyEnd');
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
      this.#answered = this.#sent;
    } else if (this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Puts in the place of a run at the head the messages of which an answer is still awaited. */
  unfold(): void {
    const { parts, awaited, undo, running } = this.#items[this.#head]!;
    const left = parts.slice(awaited).map((kind) => {
      if (kind === 'Bind') return reply(kind, undo, running);
      return kind === 'Execute' ? reply(kind, NOTHING, running) : reply(kind);
    });
    this.#items.splice(this.#head, 1, ...left);
  }

  /** What comes after the head. */
  second(): Reply | undefined {
    return this.#items[this.#head + 1];
  }

  last(): Reply | undefined {
    return this.length === 0 ? undefined : this.#items[this.#items.length - 1];
  }

  /** Removes the newest entry. */
  pop(): Reply | undefined {
    const item = this.length === 0 ? undefined : this.#items.pop();
    if (item !== undefined && isBoundary(item)) this.#sent -= 1;
    return item;
  }

  /** After an error in the extended protocol the server skips to Sync: takes out what it skips, oldest first. */
  takeToSync(): { readonly skipped: Reply[]; readonly sync: boolean } {
    const skipped: Reply[] = [];
    for (let item = this.#items[this.#head]; item !== undefined; item = this.#items[this.#head]) {
      if (item.kind === 'Sync') return { skipped, sync: true };
      skipped.push(item);
      this.shift();
    }
    return { skipped, sync: false };
  }

  /** In copy-in mode the server ignores Sync until CopyDone or CopyFail: no ReadyForQuery comes for those. */
  dropSyncsOfCopy(): { readonly ended: boolean } {
    const i = this.#head + 1;
    while (this.#items[i]?.kind === 'Sync') this.#items.splice(i, 1);
    return { ended: this.#items[i]?.kind === 'CopyEnd' };
  }

  some(test: (item: Reply) => boolean): boolean {
    for (let i = this.#head; i < this.#items.length; i++) if (test(this.#items[i]!)) return true;
    return false;
  }

  /** Everything, oldest first. */
  items(): Reply[] {
    return this.#items.slice(this.#head);
  }

  /** The same; the queue is empty afterwards. */
  drain(): Reply[] {
    const all = this.items();
    this.#items = [];
    this.#head = 0;
    return all;
  }
}
