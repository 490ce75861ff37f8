import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Writes docs/audit-events.md from gateway/audit/event.schema.json; with `--check` it only compares, and exits 1 where
 * the file is not what the schema says.
 */

interface Node {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly (string | number)[];
  readonly const?: unknown;
  readonly anyOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly 'x-events'?: readonly string[];
}

const SCHEMA = new URL('../gateway/audit/event.schema.json', import.meta.url);
const PAGE = new URL('../docs/audit-events.md', import.meta.url);

const INTRODUCTION = `# Audit events

<!-- Generated from gateway/audit/event.schema.json by tools/generate-events.ts. -->

The gateway's book is a log of events, one canonical JSON object (RFC 8785) a line, in the terms of
[OCSF](https://schema.ocsf.io/1.6.0) 1.6.0. What OCSF has no field for stands under \`unmapped.postern\`.

| Event (\`metadata.event_code\`) | OCSF class | When |
|---|---|---|
| \`authentication\` | Authentication [3002] Logon | somebody signed in, or failed to |
| \`session_start\` | Datastore Activity [6005] Connect | the upstream connection is ready |
| \`prepare\` | Datastore Activity [6005] | before a Parse message is forwarded: text and decision |
| \`intent\` | Datastore Activity [6005] | before the first message that can run a statement is forwarded |
| \`outcome\` | Datastore Activity [6005] | the statement ended: rows, bytes, duration, SQLSTATE |
| \`session_end\` | Datastore Activity [6005] other | the session ended, and why |
| \`revision\` | Entity Management [3004] Update | another configuration came into force, or was rejected |
| \`log_start\`, \`log_stop\` | Event Log Activity [1008] Start, Stop | the gateway opened or closed the log; no stop before a start: it was killed |
| \`log_repair\` | Event Log Activity [1008] other | half a record was found at the start and set aside |
| \`log_gap\` | Event Log Activity [1008] other | records could not be had for a time: how long, why, what was refused |

An intent without an outcome is a statement that was under way when the gateway died. An event's id
(\`metadata.uid\`) is stable: sinks deliver at least once, and the id tells what came twice.

What is left out: with \`redaction.literals: Omit\` the whole text, and with it every message that may quote it (a text is
shown whole or not at all); with \`redaction.parameters: Omit\` the parameters; with \`recording: None\` both. Whatever
the configuration says, the text and the parameters of a statement that may carry a password (ALTER ROLE … PASSWORD, a
user mapping, a connection string, a text that could not be understood and speaks of one) stay out; \`text_omitted\` says
so, and classes, relations and the decision are there all the same.

## Fields

`;

function kindOf(node: Node): string {
  if (node.enum !== undefined) {
    return node.enum.map((value) => `\`${value}\``).join(' ');
  }
  if (node.const !== undefined) {
    return `\`${String(node.const)}\``;
  }
  if (node.anyOf !== undefined) {
    return 'value';
  }
  return node.type ?? 'any';
}

/** Kinds of events; authentication, five of a session, revision and four of the log are all. */
const KINDS = 11;

function eventsOf(events: readonly string[]): string {
  return events.length === KINDS ? 'all' : events.map((event) => `\`${event}\``).join(' ');
}

/** A row for each field, and for each field of objects and of arrays' objects below it. */
function rows(path: string, node: Node, events: string): string[] {
  const own = node['x-events'] === undefined ? events : eventsOf(node['x-events']);
  const row = `| \`${path}\` | ${kindOf(node)} | ${own} | ${node.description ?? ''} |\n`;
  const below = (at: string, of: Node): string[] =>
    Object.entries(of.properties ?? {}).flatMap(([name, child]) => rows(`${at}.${name}`, child, own));
  const items = node.items === undefined ? [] : below(`${path}[]`, node.items);
  const value = node.items?.anyOf === undefined ? [] : rows(`${path}[]`, node.items, own);
  return [row, ...below(path, node), ...items, ...value];
}

const schema = JSON.parse(readFileSync(SCHEMA, 'utf8')) as Node;
const table = Object.entries(schema.properties ?? {}).flatMap(([name, node]) => rows(name, node, ''));
const page = `${INTRODUCTION}| Field | Type | Events | Meaning |\n|---|---|---|---|\n${table.join('')}`;

if (!process.argv.includes('--check')) {
  writeFileSync(PAGE, page);
} else if (readFileSync(PAGE, 'utf8') !== page) {
  process.stderr.write('docs/audit-events.md is not what the schema says: run tools/generate-events.ts\n');
  process.exitCode = 1;
}
