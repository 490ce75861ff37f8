import type { Command, Program } from '../command.ts';
import { renderSessions } from '../local/render-sessions.ts';
import { DEFAULT_SOCKET, drainGateway, listSessions, terminateSession } from '../local/socket.ts';
import { plural } from '../table.ts';
import { noMore, one, readOutput, UsageError } from '../usage.ts';

const SOCKET = `      --socket PATH     The gateway's --admin-socket; ${DEFAULT_SOCKET} unless given
`;
const OPTIONS = { socket: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;

const SESSIONS: Command = {
  usage: `Usage: postern local sessions [OPTIONS]

Lists the open sessions of the gateway on this machine: who, as which role, from where, since when, in which state. What
their statements say is not among it; it is in the audit log.

${SOCKET}  -o, --output FORMAT   text (default) or json; --json is the same as -o json
`,
  options: { ...OPTIONS, output: { type: 'string', short: 'o' }, json: { type: 'boolean' } },
  async run({ values, positionals }) {
    noMore(positionals);
    const json = values.has('json') || readOutput(values) === 'json';
    const list = await listSessions(one(values, 'socket') ?? DEFAULT_SOCKET);
    console.log(json ? JSON.stringify(list, null, 2) : renderSessions(list.sessions, Date.now()));
    return 0;
  },
};

const DRAIN: Command = {
  usage: `Usage: postern local drain [OPTIONS]

Makes the gateway on this machine drain as a SIGTERM does: it takes no new sessions, ends each one as soon as it is in no
transaction, the rest at spec.limits.drain, and exits. Returns when that is done.

${SOCKET}      --grace SECONDS   First be unready for so long, and still take sessions, until no new ones are sent here; 0
      --json            One JSON object per line as it goes on
`,
  options: { ...OPTIONS, grace: { type: 'string' }, json: { type: 'boolean' } },
  async run({ values, positionals }) {
    noMore(positionals);
    const grace = one(values, 'grace') ?? '0';
    if (!/^\d{1,3}$/.test(grace)) throw new UsageError(`--grace ${grace}: whole seconds, 300 at most`);
    await drainGateway(one(values, 'socket') ?? DEFAULT_SOCKET, Number(grace), (progress) => {
      const { sessions, drained } = progress;
      const left = `draining: ${plural(sessions, 'session')} left`;
      console.log(values.has('json') ? JSON.stringify(progress) : drained ? 'drained' : left);
    });
    return 0;
  },
};

const TERMINATE: Command = {
  usage: `Usage: postern local terminate [OPTIONS] SESSION …

Ends sessions of the gateway on this machine, by their ids, in whatever state they are: the client gets 57P01, the
statement that runs is cancelled, the audit record says Terminated.

${SOCKET}`,
  options: OPTIONS,
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new UsageError('name the sessions, by their ids in "postern local sessions"');
    for (const id of positionals) {
      await terminateSession(one(values, 'socket') ?? DEFAULT_SOCKET, id);
      console.log(`terminated ${id}`);
    }
    return 0;
  },
};

const HELP = `postern local: the gateway on this machine, for whoever may run commands in its pod

Usage: postern local COMMAND [OPTIONS]

Commands:
  sessions   List the open sessions
  drain      End all sessions in good order, and the gateway with them
  terminate  End a session
`;

export const LOCAL: Program = {
  name: 'postern local',
  help: HELP,
  commands: {
    sessions: async () => SESSIONS,
    drain: async () => DRAIN,
    terminate: async () => TERMINATE,
  },
};
