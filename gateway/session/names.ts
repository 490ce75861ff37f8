import type { RowLimit } from '../policy/decision.ts';
import type { RawStatement } from '../sql/facts.ts';
import type { Judged, Verdict } from './judged.ts';

/** A prepared statement, made by Parse or by SQL PREPARE: one namespace. */
export interface PreparedStatement {
  readonly text: string;
  /** null: not understood, and allowed all the same (class Any). */
  readonly raw: RawStatement | null;
  /** Type OIDs that Parse gave or the server described; shorter than the parameters where not known. */
  parameterTypes: readonly number[];
  /** The last verdict, for as long as what it hung on has not changed. */
  verdict: Verdict | null;
}

/** A portal, made by Bind or by DECLARE: one namespace. */
export interface Portal {
  readonly statement: PreparedStatement;
  /** Made by DECLARE … WITH HOLD: outlives its transaction. */
  readonly held: boolean;
  /** What runs under the intent that Bind wrote; null: made by DECLARE. */
  running: Running | null;
}

/** One statement between its intent and its outcome. */
export interface Running {
  /** Number within the session, as in the records. */
  readonly statement: number;
  readonly judged: Judged;
  /** Query: how to take back what it did to names, should it not come to run. */
  undo: readonly Undo[];
  /** The most rows that it may change; null: as many as it likes. */
  bound: RowLimit | null;
  /** Its rows are counted one by one, as a limit may cut them: decided as the result begins, null before that. */
  metered: boolean | null;
  rows: number;
  bytes: number;
  /** An Execute has been sent. */
  executed: boolean;
  /** The server gave up the portal for now (PortalSuspended). */
  suspended: boolean;
  ended: boolean;
}

/** Undoes one change of a name; changes are undone in reverse order. */
export interface Undo {
  readonly names: Map<string, PreparedStatement> | Map<string, Portal>;
  readonly key: string;
  readonly previous: PreparedStatement | Portal | undefined;
}

/** Bytes of a name that the server compares (NAMEDATALEN - 1). */
const NAME_BYTES = 63;

/**
 * The key under which the server files a name given in a protocol message (`latin1`: byte-transparent).
 * Test: "names that agree in their first 63 bytes are one name" (Parse, Close and Parse again under names that differ
 * later would otherwise leave us judging the first text while the server runs the second).
 */
export function protocolName(name: string): string {
  return name.length > NAME_BYTES ? name.slice(0, NAME_BYTES) : name;
}

/** The same for a name from SQL text (UTF-8 semantics). */
export function sqlName(name: string): string {
  return protocolName(Buffer.from(name, 'utf8').toString('latin1'));
}

/**
 * What the session has prepared and opened. Changes are made when a message is forwarded, and undone when the server
 * refuses or skips it. May hold names that the server has dropped (it then answers 26000 or 34000 itself), never a
 * name with another content than the server's.
 */
export class Names {
  readonly statements = new Map<string, PreparedStatement>();
  readonly portals = new Map<string, Portal>();

  setStatement(key: string, value: PreparedStatement | undefined): Undo {
    return change(this.statements, key, value);
  }

  setPortal(key: string, value: Portal | undefined): Undo {
    return change(this.portals, key, value);
  }

  undo(changes: readonly Undo[]): void {
    for (let i = changes.length - 1; i >= 0; i--) {
      const { names, key, previous } = changes[i]!;
      if (previous === undefined) names.delete(key);
      else (names as Map<string, unknown>).set(key, previous);
    }
  }

  /** Every statement goes (DEALLOCATE ALL, DISCARD ALL). */
  clearStatements(): Undo[] {
    return [...this.statements.keys()].map((key) => this.setStatement(key, undefined));
  }

  clearPortals(): Undo[] {
    return [...this.portals.keys()].map((key) => this.setPortal(key, undefined));
  }

  /** The transaction ended: portals without hold are gone. Returns what they were still running. */
  endTransaction(): Running[] {
    if (this.portals.size === 0) return [];
    const left: Running[] = [];
    for (const [key, portal] of this.portals) {
      if (portal.held) continue;
      this.portals.delete(key);
      if (portal.running !== null && !portal.running.ended) left.push(portal.running);
    }
    return left;
  }
}

function change<V extends PreparedStatement | Portal>(names: Map<string, V>, key: string, value: V | undefined): Undo {
  const previous = names.get(key);
  if (value === undefined) names.delete(key);
  else names.set(key, value);
  return { names: names as Map<string, PreparedStatement> | Map<string, Portal>, key, previous };
}
