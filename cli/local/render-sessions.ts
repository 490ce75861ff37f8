import type { OpenSession } from '../../gateway/telemetry/admin-socket.ts';
import { renderDuration, renderTable } from '../table.ts';

const HEAD = ['SESSION', 'USER', 'ROLE', 'DATABASE', 'APPLICATION', 'CLIENT', 'STATE', 'SINCE', 'AGE', 'STATEMENTS'];
const STATES: Readonly<Record<OpenSession['state'], string>> = {
  Idle: 'idle',
  InTransaction: 'in transaction',
  Active: 'active',
};

/** For people; `pod` of each where they come from several. */
export function renderSessions(sessions: readonly (OpenSession & { readonly pod?: string })[], now: number): string {
  if (sessions.length === 0) return 'no sessions';
  const pods = sessions.some(({ pod }) => pod !== undefined);
  const rows = sessions.map((one) => [...(pods ? [one.pod ?? ''] : []), ...cells(one, now)]);
  return renderTable(pods ? ['POD', ...HEAD] : HEAD, rows);
}

function cells(session: OpenSession, now: number): string[] {
  const { id, user, role, database, applicationName, client, state, since, started, statements } = session;
  const ago = (time: string) => renderDuration(now - Date.parse(time));
  const where = [id, user, role, database, applicationName || '-', client];
  return [...where, STATES[state], since === null ? '-' : ago(since), ago(started), String(statements)];
}
