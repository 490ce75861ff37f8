/** A connection for catalogue queries; `pg.Client` satisfies it once connected. */
export interface CatalogConnection {
  /** Of the server, for people. */
  readonly host?: string;
  readonly port?: number;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
}

/** What a catalogue reports about itself: no statement, no value. */
export interface CatalogLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}
