import type { CatalogConnection } from './connection.ts';

/** Milliseconds for an answer that costs the server nothing, for one that has to be put together, and for a farewell. */
export const PATIENCE = { answer: 10_000, reading: 35_000, farewell: 1000 } as const;

/** A server that is silent, whatever became of it, is not waited for: TCP would do so for a quarter of an hour. */
export async function within<T>(work: Promise<T>, milliseconds: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), milliseconds);
  });
  work.catch(() => {}); // what comes after the alarm is nobody's
  try {
    return await Promise.race([work, alarm]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets go of a connection, whether the server hears of it or not. */
export async function leave(connection: CatalogConnection | null): Promise<void> {
  if (connection === null) return;
  await within(connection.end(), PATIENCE.farewell, () => new Error('no farewell')).catch(() => {});
}

export function silent({ host = 'the server', port }: CatalogConnection, milliseconds: number): Error {
  const where = port === undefined ? host : `${host}:${port}`;
  return new Error(`${where} has not answered a question of the catalogue role for ${milliseconds / 1000} seconds`);
}
