import type { Answer, Beats, Command, Login, State } from '../pod/protocol.ts';
import { Forward } from './forward.ts';
import { INFRA } from './infra.ts';

const way = new Forward(INFRA, 'deploy/agent', 8080);

/** The agent's answer. A way that broke is built again for the commands that may be given twice. */
async function send<T>(command: Command): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let reached = false;
    try {
      const url = await way.url();
      await fetch(url, { signal: AbortSignal.timeout(5000) });
      reached = true;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(command) });
      if (!response.ok) throw new Error(`the agent: ${await response.text()}`);
      return (await response.json()) as T;
    } catch (error) {
      if (reached || attempt === 10) throw error;
      await way.close();
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}

/** A session that the agent holds at a gateway. */
export interface Held {
  query(sql: string): Promise<Answer>;
  /** Repeats the statement until it ends with this SQLSTATE (`00000`: works). */
  until(sqlstate: string, sql: string, within?: number): Promise<Answer>;
  /** Sends a CancelRequest to this address. */
  cancel(host: string, port: number): Promise<Answer>;
  state(): Promise<State>;
  close(): Promise<void>;
}

let counter = 0;

/** What signing in led to: a session, or a refusal. */
export async function signIn(login: Login): Promise<{ readonly answer: Answer; readonly session: Held }> {
  counter += 1;
  const name = `${process.pid}-${counter}`;
  const answer = await send<Answer>({ do: 'connect', session: name, login });
  const session: Held = {
    query: (sql) => send({ do: 'query', session: name, sql }),
    until: (sqlstate, sql, within = 60_000) => send({ do: 'until', session: name, sql, sqlstate, within }),
    cancel: (host, port) => send({ do: 'cancel', session: name, host, port }),
    state: () => send({ do: 'state', session: name }),
    close: async () => void (await send({ do: 'close', session: name })),
  };
  return { answer, session };
}

/** Signs in and holds the session; throws where it is refused. */
export async function hold(login: Login): Promise<Held> {
  const { answer, session } = await signIn(login);
  if (!answer.ok) throw new Error(`not signed in: ${answer.code} ${answer.message}`);
  return session;
}

/** Starts a statement that the agent repeats by itself; the result stops it and tells how it went. */
export async function beat(order: {
  readonly login: Login;
  readonly sql: string;
  readonly every?: number;
  readonly sessions: 'one' | 'each';
}): Promise<() => Promise<Beats>> {
  counter += 1;
  const name = `${process.pid}-${counter}`;
  await send({ do: 'beat', every: 100, ...order, name });
  return () => send({ do: 'stop', name });
}

/** An access token of the issuer in the cluster, fetched from inside. */
export function mint(order: { readonly username: string; readonly groups: readonly string[] }): Promise<string> {
  return send<{ token: string }>({ do: 'mint', ...order }).then(({ token }) => token);
}

export function closeAgent(): Promise<void> {
  return way.close();
}
