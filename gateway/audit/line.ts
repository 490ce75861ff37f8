import { isIP } from 'node:net';
import { canonicalJson } from '../config/canonical.ts';
import { OCSF_VERSION } from './ocsf.ts';

/**
 * A record without its place in the log: what stands in the line before `sequence`, and what after `uid`.
 */
export interface Draft {
  readonly before: string;
  readonly after: string;
}

/** A JSON string; lone surrogates, which canonical JSON does not know, become U+FFFD. */
export function quote(text: string): string {
  return JSON.stringify(text.isWellFormed() ? text : text.toWellFormed());
}

/** The start of `metadata`, up to the value of `sequence`, where the line is cut. */
export function metadataHead(eventCode: string, log: string): string {
  return `"metadata":{"event_code":"${eventCode}","log_name":"${log}","product":{"name":"Postern","vendor_name":"Postern"},"sequence":`;
}

/** The end of `metadata`, after `uid`. */
export const METADATA_TAIL = `,"version":"${OCSF_VERSION}"}`;

/** The line at its place. `uid`, the log's id and the index, is the event's stable id. */
export function joinLine(draft: Draft, log: string, index: number): string {
  return `${draft.before}${index},"uid":"${log}-${index}"${draft.after}\n`;
}

/** What stands between `before` and `after` while a rare event is rendered as a whole. */
const PLACE = '"sequence":0,"uid":""';

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
  // Inside a string the quotes of PLACE would be escaped: it occurs once.
  const at = whole.indexOf(PLACE);
  return { before: whole.slice(0, at + '"sequence":'.length), after: whole.slice(at + PLACE.length) };
}

/** An OCSF network endpoint: an address is an `ip`, anything else a `hostname`. */
export function endpoint(address: string, port: number): Readonly<Record<string, unknown>> {
  return isIP(address) === 0 ? { hostname: address.toWellFormed(), port } : { ip: address, port };
}
