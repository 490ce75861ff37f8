import type { StatementClass } from '../sql/classes.ts';

/** Version of the Open Cybersecurity Schema Framework whose classes and numbers are used: https://schema.ocsf.io/1.6.0 */
export const OCSF_VERSION = '1.6.0';

/** An activity of a class: `activity_id` and `activity_name`; 99 where the framework has no word. */
export interface Activity {
  readonly id: number;
  readonly name: string;
}

/** Datastore Activity [6005] in category Application Activity [6]. */
const READ: Activity = { id: 1, name: 'Read' };
const UPDATE: Activity = { id: 2, name: 'Update' };
export const CONNECT: Activity = { id: 3, name: 'Connect' };
const QUERY: Activity = { id: 4, name: 'Query' };
const WRITE: Activity = { id: 5, name: 'Write' };
const DELETE: Activity = { id: 7, name: 'Delete' };
export const DISCONNECT: Activity = { id: 99, name: 'Disconnect' };

const BY_CLASS: Partial<Record<StatementClass, Activity>> = {
  Select: QUERY,
  Catalog: QUERY,
  Cursor: QUERY,
  CopyTo: READ,
  Insert: WRITE,
  CopyFrom: WRITE,
  Merge: WRITE,
  Update: UPDATE,
  Delete: DELETE,
  Truncate: DELETE,
};

const others = new Map<string, Activity>();

/** The activity that a statement's first class is; the class's own name under 99 where OCSF has none. */
export function activityOf(primary: StatementClass): Activity {
  const known = BY_CLASS[primary] ?? others.get(primary);
  if (known !== undefined) {
    return known;
  }
  const other = { id: 99, name: primary };
  others.set(primary, other);
  return other;
}
