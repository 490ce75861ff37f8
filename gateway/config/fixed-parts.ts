import type { ConfigDocument } from './document.ts';

/** What a gateway makes at its start and keeps until the next one; all else counts as soon as a document is in force. */
export function fixedParts({ listeners, audit, tracing, limits }: ConfigDocument): Readonly<Record<string, unknown>> {
  // Where alerts go is looked up each time.
  return { listeners, audit: { ...audit, alerts: null }, tracing, 'limits.statementBytes': limits.statementBytes };
}
