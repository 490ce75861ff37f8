import { writeSync } from 'node:fs';
import { openAuditLog } from '../../gateway/audit/log.ts';
import { intent, options, outcome, SESSION } from './kit.ts';

/**
 * Runs statements for ever, three at a time, and tells each one that may be forwarded: `<number>\n` on fd 1. A failure is told
 * as `! <reason>\n`, the end of it as `=\n`. Arguments: directory, durability.
 */

const [directory, durability] = process.argv.slice(2);
const log = await openAuditLog(
  options(directory as string, { durability: durability === 'Synced' ? 'Synced' : 'Written' }),
);
const session = log.session(SESSION);
let statement = 0;
let failing = false;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function next(): void {
  const own = ++statement;
  session.record(intent(own));
  log.settle((error) => {
    if (error === null) {
      say(String(own));
    }
    if ((error !== null) !== failing) {
      failing = error !== null;
      say(error === null ? '=' : `! ${error.message}`);
    }
    session.record(outcome(own, error === null ? {} : { status: 'Denied' }));
    // Slow while refused: what is kept in memory must fit under the limit that the test sets.
    setTimeout(next, error === null ? 0 : 50);
  });
}

for (let i = 0; i < 3; i++) {
  next();
}
