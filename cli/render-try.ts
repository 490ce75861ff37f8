import type { Change, ChangeKind, Report } from './tally.ts';

const TITLES: Readonly<Record<ChangeKind, string>> = {
  NewlyDenied: 'Newly denied',
  NewlyAllowed: 'Newly allowed',
};
/** Longest example that is shown whole, in characters. */
const MAX_EXAMPLE = 200;

/** For people. */
export function renderReport(report: Report): string {
  const { statements, users, from, to, newlyDenied, newlyAllowed, stillAllowed, stillDenied } = report;
  const lines = [
    `${plural(statements, 'statement')} of ${plural(users, 'user')}${from === null ? '' : `, ${from} to ${to}`}`,
  ];
  for (const kind of ['NewlyDenied', 'NewlyAllowed'] as const) {
    const changes = report.changes.filter(({ change }) => change === kind);
    lines.push('', `${TITLES[kind]}: ${kind === 'NewlyDenied' ? newlyDenied : newlyAllowed}`);
    for (const change of changes) lines.push(...renderChange(change));
  }
  lines.push('', `Unchanged: ${stillAllowed + stillDenied} (${stillAllowed} allowed, ${stillDenied} denied)`);
  for (const [reason, count] of Object.entries(report.skipped)) lines.push(`Not judged: ${count}, ${reason}`);
  if (report.foreignLines > 0) lines.push(`Left out: ${plural(report.foreignLines, 'line')} that hold no whole record`);
  return lines.join('\n');
}

function renderChange(change: Change): string[] {
  const { user, role, database, count, before, after, message, classes, relations, example } = change;
  const what = relations.length > 0 ? relations.join(', ') : classes.join(', ');
  const would = change.change === 'NewlyDenied' ? 'denied' : 'allowed';
  const was = would === 'denied' ? 'allowed' : 'denied';
  return [
    `  ${count}× ${user} as ${role} on ${database}: ${what}`,
    `      was ${was} by ${decider(before)}`,
    `      would be ${would} by ${decider(after)}${message === null ? '' : `: ${message}`}`,
    ...(example.text === null ? [] : [`      e.g. ${shorten(example.text)}`]),
    `      ${example.time} ${example.uid}`,
  ];
}

function decider(by: string | null): string {
  return by === null ? 'no rule' : `AccessPolicy ${by}`;
}

function shorten(text: string): string {
  // One line, and nothing that a terminal would take for a command.
  const line = text.replace(/\s+/g, ' ').replace(/\p{C}/gu, '?');
  return line.length > MAX_EXAMPLE ? `${line.slice(0, MAX_EXAMPLE)}…` : line;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
