import { encodeSync } from '../wire/frontend.ts';
import type { Bytes } from './environment.ts';
import { auditDenied } from './judge.ts';
import { replacement } from './refusal.ts';
import { type Reply, reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/** Bytes that wait for their record, with the reply that was noted for them. */
export interface StagedUnit {
  readonly bytes: Bytes;
  readonly reply: Reply | null;
}

/**
 * What cannot be recorded does not run: takes back everything that was noted for the staged messages (the newest of
 * the reply queue) and sends replacements, so that the server fails where they would have run.
 */
export function refuseStaged(s: SessionState, units: readonly StagedUnit[], reason: string): void {
  // An error may have come meanwhile for which the server would skip some of them: those are gone already.
  // Test: "whatever cannot be recorded does not run, and the answers stay in step, whenever the disk is full".
  const first = units.findIndex(({ reply: item }) => item !== null);
  // What goes on with a message that has been sent goes there all the same, what goes on with one that is refused does not.
  // Test: "a message that cannot be recorded is kept from the server to its last byte".
  for (const { bytes } of units.slice(0, first < 0 ? units.length : first)) s.port.toServer(bytes, null);
  if (first >= 0) s.spillForwarded = false;
  const queued = new Set(s.replies.items());
  const replies = units.flatMap(({ reply: item }) => (item !== null && queued.has(item) ? [item] : []));
  if (replies.length === 0) return;
  for (const item of replies.toReversed()) {
    s.replies.pop();
    for (const running of item.running.toReversed()) s.names.undo(running.undo);
    s.names.undo(item.undo);
    for (const running of item.running) running.ended = true; // no outcome can be had either
  }
  const refusal = auditDenied(null, reason).refusal!;
  let skipping = false;
  for (const item of replies) {
    if (item.kind !== 'Sync' && !skipping) skipping = replace(s, item, refusal);
    // A run ends with its Sync.
    if (item.kind !== 'Sync' && item.kind !== 'Run') continue;
    s.forward(encodeSync(), reply('Sync'));
    skipping = false;
  }
  s.skipping = skipping;
}

/** Sends what fails in the place of a message; true: the server skips to the next Sync after it. */
function replace(s: SessionState, item: Reply, refusal: NonNullable<Reply['refusal']>): boolean {
  const nonce = s.env.nonce();
  if (item.kind === 'Query') {
    s.forward(replacement.query(Buffer.alloc(0), nonce), replyWith('Query', { refusal, nonce }));
    return false;
  }
  if (item.kind === 'FunctionCall') {
    s.forward(replacement.functionCall(), replyWith('FunctionCall', { refusal }));
    return false;
  }
  if (item.kind === 'CopyEnd') return false;
  s.forward(replacement.extended(nonce), replyWith('Refused', { refusal, nonce }));
  return true;
}
