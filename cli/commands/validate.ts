import type { Command } from '../command.ts';
import { files, MANIFEST_OPTIONS, MANIFESTS } from '../manifest-options.ts';
import { loadProject } from '../project.ts';
import { plural } from '../table.ts';
import { askForUnmatched } from '../unmatched.ts';
import { noMore, one, report } from '../usage.ts';

export const VALIDATE: Command = {
  usage: `Usage: postern validate -f FILE|DIR [-f …] [OPTIONS]

Checks manifests as the API server and the operator would, and says every problem with file, line and field.

${MANIFESTS}      --server          Ask the gateway's server as well: databases, roles, relations and functions that it lacks
`,
  options: { ...MANIFEST_OPTIONS, server: { type: 'boolean' } },
  async run({ values, positionals }) {
    noMore(positionals);
    const project = loadProject(files(values), one(values, 'gateway'));
    if (!project.ok) return report(project.errors);
    if (values.has('server')) {
      if (project.missing.length > 0) return report(project.missing);
      const unmatched = await askForUnmatched(project.document, project.secrets);
      if (unmatched.length > 0) return report(unmatched.map(project.say));
    }
    const { gateway, policies, masks, listeners } = project.document;
    const counts = [plural(listeners.length, 'listener'), plural(policies.length, 'policy')];
    if (masks.length > 0) counts.push(plural(masks.length, 'masking rule'));
    console.log(`PostgresGateway ${gateway.namespace}/${gateway.name} is good: ${counts.join(', ')}`);
    for (const notice of project.unenforced) console.error(notice);
    for (const missing of project.missing) console.error(`${missing}: it has to be in the cluster`);
    return 0;
  },
};
