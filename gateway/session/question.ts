import { decodeDataRow } from '../wire/backend.ts';
import { encodeBind, encodeClose, encodeExecute, encodeFlush, encodeParse, encodeSync } from '../wire/frontend.ts';

/** Rows of text values as the gateway's own questions get them. */
export type QuestionRows = readonly (readonly (string | null)[])[];

/** A query of the gateway on the client's own upstream session; invisible to the client. */
export interface Question {
  /** Sent with its own Sync (no pipeline open), so that its failure harms nothing. */
  readonly alone: boolean;
  readonly chunks: Buffer[];
  readonly done: (rows: QuestionRows) => void;
  readonly failed: (message: string) => void;
}

export interface QuestionText {
  readonly sql: string;
  readonly parameters: readonly string[];
}

/** The messages that ask it: under a name of its own, so the client's unnamed statement and portal stay. */
export function encodeQuestion(text: QuestionText, name: string, alone: boolean): readonly Buffer[] {
  return [
    encodeParse({ statement: name, text: Buffer.from(text.sql), parameterTypes: text.parameters.map(() => TEXT) }),
    encodeBind({
      portal: name,
      statement: name,
      formats: [],
      parameters: text.parameters.map((p) => Buffer.from(p)),
      resultFormats: [],
    }),
    encodeExecute(name, 0),
    // A portal outlives its statement, up to the end of the transaction (test: "questions leave no portal behind").
    encodeClose('P', name),
    encodeClose('S', name),
    alone ? encodeSync() : encodeFlush(),
  ];
}

/** OID of type text. */
const TEXT = 25;

/** The rows in DataRow messages that came in pieces. */
export function readRows(chunks: readonly Buffer[]): QuestionRows {
  const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  const rows: (string | null)[][] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    rows.push(decodeDataRow(bytes.subarray(at + 5, end)).values.map((v) => v?.toString('utf8') ?? null));
    at = end;
  }
  return rows;
}
