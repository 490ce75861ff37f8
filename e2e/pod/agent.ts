/**
 * SQL clients in the cluster that tests command over HTTP. The sessions are the agent's own: they live on when the way
 * from the tests into the cluster, through the API server, does not.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLIENT, type MintOptions, RESOURCE } from '../../test/kit/issuer.ts';
import { Beat } from './beat.ts';
import type { Answer, Command } from './protocol.ts';
import { failureOf, Session } from './session.ts';

const sessions = new Map<string, Session>();
const beats = new Map<string, Beat>();

function execute(command: Command): Promise<unknown> | unknown {
  switch (command.do) {
    case 'connect':
      return connect(command.session, new Session(command.login));
    case 'query':
      return answer(named(command.session).query(command.sql));
    case 'until':
      return until(command);
    case 'cancel':
      return answer(named(command.session).cancel(command.host, command.port));
    case 'state':
      return named(command.session).state;
    case 'close':
      return answer(named(command.session).end());
    case 'beat':
      beats.set(command.name, new Beat(command));
      return { ok: true, rows: [] };
    case 'stop':
      return beats.get(command.name)!.stop();
    case 'mint':
      return mint({ username: command.username, groups: command.groups });
  }
}

function named(name: string): Session {
  const session = sessions.get(name);
  if (session === undefined) throw new Error(`there is no session ${name}`);
  return session;
}

function connect(name: string, session: Session): Promise<Answer> {
  sessions.set(name, session);
  return answer(session.open());
}

async function answer(doing: Promise<unknown>): Promise<Answer> {
  try {
    return { ok: true, rows: ((await doing) ?? []) as Extract<Answer, { ok: true }>['rows'] };
  } catch (error) {
    return { ok: false, ...failureOf(error) };
  }
}

async function until({ session, sql, sqlstate, within }: Extract<Command, { do: 'until' }>): Promise<Answer> {
  for (const end = Date.now() + within; ; await sleep(10)) {
    const last = await answer(named(session).query(sql));
    if ((last.ok ? '00000' : last.code) === sqlstate || Date.now() > end || !named(session).state.open) return last;
  }
}

/** A token from the issuer, as a machine fetches one. */
async function mint(order: MintOptions): Promise<{ readonly token: string }> {
  const credentials = Buffer.from(`${CLIENT}:${process.env.ISSUER_SECRET}`).toString('base64');
  const response = await fetch(`${process.env.ISSUER_URL}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${credentials}`, 'x-order': JSON.stringify(order) },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE }),
  });
  const body = (await response.json()) as { access_token?: string };
  if (body.access_token === undefined) throw new Error(`no token: HTTP ${response.status} ${JSON.stringify(body)}`);
  return { token: body.access_token };
}

const server = createServer(async (request, response) => {
  try {
    const result = request.method === 'GET' ? {} : await execute(JSON.parse(await text(request)) as Command);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(result));
  } catch (error) {
    response.writeHead(500).end((error as Error).message);
  }
});
server.requestTimeout = 0;
server.listen(8080);
process.once('SIGTERM', () => process.exit(0));
