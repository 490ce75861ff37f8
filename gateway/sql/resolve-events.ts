import type { Found } from './resolve.ts';
import { functionUse } from './resolve-calls.ts';
import type { KnownEventTrigger, ResolveEnvironment } from './resolve-environment.ts';
import type { Surroundings } from './resolve-links.ts';

/** What a definition fires is code like that of any other trigger: a rule lists it, or the definition does not run. */
export function fireEventTriggers(
  tag: string,
  { catalog }: ResolveEnvironment,
  { found, around }: { found: Found; around: Surroundings },
): void {
  for (const trigger of catalog.eventTriggers ?? []) {
    if (!fires(trigger, tag) || (tag === 'REINDEX' && catalog.serverMajor < 17)) continue;
    const fn = around.fn(trigger.fn);
    const of = { schema: '', name: trigger.name };
    if (fn === undefined) found.unknown.push(`the function of the event trigger ${trigger.name}`);
    else if (!fn.safe) found.functions.push({ ...functionUse([fn]), door: 'EventTrigger', of });
  }
}

/** Commands that may drop something, and those that may write a table anew. */
const DROPS = /^(?:DROP|ALTER|\*)/;
const REWRITES = /^(?:ALTER (?:TABLE|TYPE|MATERIALIZED VIEW)|\*)/;

function fires({ event, tags }: KnownEventTrigger, tag: string): boolean {
  if (event === 'login' || (event === 'sql_drop' && !DROPS.test(tag))) return false;
  if (event === 'table_rewrite' && !REWRITES.test(tag)) return false;
  return tags.length === 0 || tag === '*' || tags.includes(tag);
}
