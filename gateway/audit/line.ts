import { isIP } from 'node:net';
import { canonicalJson } from '../config/canonical.ts';
import { type Part, PLACE } from './line-buffer.ts';
import { OCSF_VERSION } from './ocsf.ts';

/** A record that lacks only its place in the log. */
export type Draft = readonly Part[];

/** A JSON string; lone surrogates, which canonical JSON does not know, become U+FFFD. */
export function quote(text: string): string {
  return JSON.stringify(text.isWellFormed() ? text : text.toWellFormed());
}

/** The start of `metadata`, up to the value of `sequence`, where the line is cut. */
export function metadataHead(eventCode: string, log: string): string {
  return `"metadata":{"event_code":"${eventCode}","log_name":"${log}","product":{"name":"Postern","vendor_name":"Postern"},"sequence":`;
}

/** The end of `metadata`, after the index in `uid`. */
export const METADATA_TAIL = `","version":"${OCSF_VERSION}"}`;

/** What stands between a line's index and the uid's own: `uid`, the log's id and the index, is the event's stable id. */
export function uidHead(log: string): Buffer {
  return Buffer.from(`,"uid":"${log}-`);
}

/** What stands in the place while a rare event is rendered as a whole. */
const UNPLACED = '"sequence":0,"uid":""';

/** Draft of a rare event given as an object without `metadata`. */
export function draftOf(eventCode: string, log: string, event: Readonly<Record<string, unknown>>): Draft {
  const whole = canonicalJson({
    ...event,
    metadata: {
      event_code: eventCode,
      log_name: log,
      product: { name: 'Postern', vendor_name: 'Postern' },
      sequence: 0,
      uid: '',
      version: OCSF_VERSION,
    },
  });
  // Inside a string the quotes of UNPLACED would be escaped: it occurs once.
  const at = whole.indexOf(UNPLACED);
  return [whole.slice(0, at + '"sequence":'.length), PLACE, whole.slice(at + UNPLACED.length - 1)];
}

/** An OCSF network endpoint: an address is an `ip`, anything else a `hostname`. */
export function endpoint(address: string, port: number): Readonly<Record<string, unknown>> {
  return isIP(address) === 0 ? { hostname: address.toWellFormed(), port } : { ip: address, port };
}
