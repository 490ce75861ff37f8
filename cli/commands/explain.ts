import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.ts';
import { explain } from '../explain.ts';
import { files, MANIFEST_OPTIONS, MANIFESTS } from '../manifest-options.ts';
import { loadProject } from '../project.ts';
import { allowed, renderExplanation } from '../render-explain.ts';
import { all, noMore, one, readOutput, report, UsageError } from '../usage.ts';

export const EXPLAIN: Command = {
  usage: `Usage: postern explain -f FILE|DIR [-f …] --as USER [OPTIONS] SQL

Says what the gateway would decide about each statement of SQL at the beginning of a session: the facts, every rule that
matches in the order in which they are looked at, the verdict and why. "-" in place of SQL reads standard input.

${MANIFESTS}      --as USER         The user name, as the issuer gives it
      --group GROUP     A group of the user; can be repeated
      --role ROLE       The database role to ask for (the user parameter); the first offered one unless given
      --database NAME   The database; the role's own unless given
      --server          Ask the gateway's database what names mean; else they are taken for granted
  -o, --output FORMAT   text (default) or json

Exit code 1: a statement would be denied.
`,
  options: {
    ...MANIFEST_OPTIONS,
    as: { type: 'string' },
    group: { type: 'string', multiple: true },
    role: { type: 'string' },
    database: { type: 'string' },
    server: { type: 'boolean' },
    // As it was called at first.
    live: { type: 'boolean' },
    output: { type: 'string', short: 'o' },
  },
  async run({ values, positionals }) {
    const [sql, ...more] = positionals;
    const user = one(values, 'as');
    const output = readOutput(values);
    if (user === null) throw new UsageError('say with --as whose statement it is');
    if (sql === undefined) throw new UsageError('give the SQL, in quotes, or - for standard input');
    noMore(more);
    if (sql === '-' && files(values).includes('-')) throw new UsageError('SQL and manifests cannot both be -');
    const server = values.has('server') || values.has('live');
    const project = loadProject(files(values), one(values, 'gateway'));
    if (!project.ok) return report(project.errors);
    if (server && project.missing.length > 0) return report(project.missing);
    const options = {
      user,
      groups: all(values, 'group'),
      role: one(values, 'role'),
      database: one(values, 'database'),
      server,
    };
    const explanation = await explain(
      project.document,
      project.secrets,
      sql === '-' ? await readAll(process.stdin) : sql,
      options,
    );
    console.log(output === 'json' ? JSON.stringify(explanation, null, 2) : renderExplanation(explanation, options));
    return allowed(explanation) ? 0 : 1;
  },
};
