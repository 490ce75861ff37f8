/** What kubectl said, as one sentence and what to do. */
export function explainFailure(said: string): string {
  const forbidden =
    /User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?/.exec(said);
  if (forbidden !== null) {
    const [, user, verb, resource, group, namespace] = forbidden;
    const what = group === '' ? resource : `${resource}.${group}`;
    const where = namespace === undefined ? 'in all namespaces' : `in namespace ${namespace}`;
    return `${user} may not ${verb} ${what} ${where}: ask for a role that allows it (docs/kubectl.md lists what is needed)`;
  }
  const known = KNOWN.find(([pattern]) => pattern.test(said));
  const words = lastLine(said);
  return known === undefined ? `kubectl failed: ${words}` : `${known[1]} (${words})`;
}

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [
    /doesn't have a resource type|no matches for kind|could not find the requested resource/,
    'this cluster does not know that kind: install the CRDs of Postern, or choose another --context',
  ],
  [
    /Unauthorized|must be logged in|provide credentials/,
    'the cluster does not accept your credentials: sign in again, or choose another --context',
  ],
  [/\(Forbidden\)/, 'the cluster does not allow that'],
  [
    /context .* does not exist|no context exists|context was not found/,
    'there is no such context: "kubectl config get-contexts" lists them',
  ],
  [
    /connection refused|no such host|Unable to connect|i\/o timeout|Client\.Timeout|was refused/,
    'the cluster cannot be reached: check --context and your network',
  ],
];

/** Why a command in a pod has failed: what the command said, or kubectl in its place. */
export function explainExec(said: string): string {
  return /\(Forbidden\)/.test(said) ? explainFailure(said) : lastLine(said);
}

/** What kubectl said last that says something. */
function lastLine(said: string): string {
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(command terminated|Warning:|See postern)/.test(line));
  return (lines.at(-1) ?? 'it said nothing').replace(/^(error|Error from server \(\w+\)|postern local): /i, '');
}
