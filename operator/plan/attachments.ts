import { unenforced } from '../../gateway/config/unenforced.ts';
import type { AccessPolicy, MaskingRule } from '../api/types.generated.ts';
import { order, targets } from './compile.ts';
import { type Draft, draft, listed, no, type Verdict, yes } from './conditions.ts';
import { type Configuration, describeOwn } from './configuration.ts';
import { confirm } from './confirmation.ts';
import { type Contents, contentOf, contents, keyOf } from './contents.ts';
import { late } from './gateway-conditions.ts';
import { type Problem, refOf } from './problems.ts';
import type { Attachment, GatewayInput, PodView } from './types.ts';

type Attached = AccessPolicy | MaskingRule;

/** A gateway as those see it that are attached to it. */
interface View {
  readonly input: GatewayInput;
  readonly configuration: Configuration;
  readonly acceptance: Verdict;
  /** The document that pods are to run: the new one, or where it is not good the last good one; null: none. */
  readonly target: { readonly revision: string; readonly contents: Contents } | null;
  /** Pods that count, by what is in the document that they run; null: not known. */
  readonly running: readonly { readonly contents: Contents | null; readonly pods: readonly PodView[] }[];
  /** What the pods say about objects, by `Kind/name`. */
  readonly findings: ReadonlyMap<string, Attachment['findings']>;
  readonly unenforced: ReadonlyMap<string, readonly string[]>;
}

/** What a gateway makes of all that names it, in the order of kinds and names. */
export function attachments(
  input: GatewayInput,
  configuration: Configuration,
  acceptance: Verdict,
): readonly Attachment[] {
  const view = look(input, configuration, acceptance);
  return [...input.policies, ...input.maskingRules]
    .filter((object) => targets(object, input.gateway))
    .sort((a, b) => order(keyOf(a), keyOf(b)))
    .map((object) => attachment(view, object));
}

function look(input: GatewayInput, configuration: Configuration, acceptance: Verdict): View {
  const { published, earlier } = input;
  const target = configuration.kind === 'Good' ? configuration : published;
  const documents = new Map(
    [...earlier, ...(published === null ? [] : [published]), ...(target === null ? [] : [target])].map(
      ({ revision, document }) => [revision, document],
    ),
  );
  const { counted, behind } = confirm(input, target?.revision ?? '');
  // Who is silent and is trusted runs what is to be run.
  const revisionOf = (pod: PodView) => pod.report?.revision ?? (behind.includes(pod) ? '' : (target?.revision ?? ''));
  const running = Map.groupBy(counted, revisionOf);
  const reports = counted.flatMap(({ report }) => report ?? []);
  return {
    input,
    configuration,
    acceptance,
    target: target === null ? null : { revision: target.revision, contents: contents(target.document) },
    running: [...running].map(([revision, pods]) => {
      const document = documents.get(revision);
      return { contents: document === undefined ? null : contents(document), pods };
    }),
    findings: group(reports.flatMap(({ findings }) => findings)),
    // Reports are cut where they are long: what this version does not do is known anyway.
    unenforced: reasons([
      ...reports.flatMap((report) => report.unenforced),
      ...(target === null ? [] : unenforced(target.document)),
    ]),
  };
}

interface Named {
  readonly kind: string;
  readonly name: string;
}

function group(findings: readonly (Named & Attachment['findings'][number])[]): View['findings'] {
  const sorted = findings.toSorted((a, b) => order(`${a.path}\n${a.message}`, `${b.path}\n${b.message}`));
  const groups = Map.groupBy(sorted, ({ kind, name }) => `${kind}/${name}`);
  return new Map(
    [...groups].map(([key, found]) => {
      const unique = new Map(found.map(({ path, message }) => [`${path}\n${message}`, { path, message }]));
      return [key, [...unique.values()]];
    }),
  );
}

function reasons(entries: readonly (Named & { readonly reason: string })[]): View['unenforced'] {
  const groups = Map.groupBy(entries, ({ kind, name }) => `${kind}/${name}`);
  return new Map([...groups].map(([key, found]) => [key, found.map(({ reason }) => reason)]));
}

function attachment(view: View, object: Attached): Attachment {
  const { kind, namespace, name, generation } = refOf(object);
  const problems =
    view.configuration.kind === 'Bad'
      ? view.configuration.problems.filter(({ object: at }) => at.kind === kind && at.name === name)
      : [];
  const findings = view.findings.get(`${kind}/${name}`) ?? [];
  const verdicts: [string, Verdict][] = [
    ['Accepted', accepted(view.input, object, problems)],
    ['Programmed', problems.length > 0 ? broken(view, problems) : programmed(view, object)],
  ];
  if (findings.length > 0) {
    const reason = object.kind === 'MaskingRule' ? 'ColumnNotFound' : 'TargetNotFound';
    const texts = findings.map(({ path, message }) => `${path}: ${message}`);
    verdicts.push(['ResolvedRefs', no(reason, listed(texts))]);
  }
  const conditions = verdicts.map(([type, verdict]): Draft => draft(type, verdict, generation));
  return { kind: object.kind, namespace, name, generation, conditions, findings };
}

function accepted({ now }: GatewayInput, object: Attached, problems: readonly Problem[]): Verdict {
  if (problems.length > 0) return no('Invalid', describeOwn(problems));
  if (object.kind === 'MaskingRule') return yes('Accepted');
  const { expiresAt, mode } = object.spec;
  if (expiresAt !== undefined && Date.parse(expiresAt) <= now)
    return yes('Accepted', 'in force for nobody: spec.expiresAt has passed');
  return mode === 'Audit'
    ? yes('Shadow', 'mode Audit: records what it would have done, grants nothing and denies nothing')
    : yes('Accepted');
}

function broken({ input }: View, problems: readonly Problem[]): Verdict {
  const kept = input.published === null ? 'nothing is in force yet' : 'the last good configuration stays in force';
  return no('Invalid', `${kept}: ${describeOwn(problems)}`);
}

/** Whether every pod that counts runs a document that has the object as it is now. */
function programmed(view: View, object: Attached): Verdict {
  const { input, configuration, acceptance, target, running } = view;
  const key = keyOf(object);
  const content =
    configuration.kind === 'Good' ? contents(configuration.document).get(key) : contentOf(object, input.gateway);
  const behind = running.filter((run) => run.contents?.get(key) !== content).flatMap(({ pods }) => pods);
  if (target === null || target.contents.get(key) !== content) return withheld(view);
  if (behind.length > 0) {
    const goesOut = acceptance.status !== 'False' || target.revision === input.published?.revision;
    return goesOut ? late(input, behind, target.revision) : withheld(view);
  }
  if (running.length === 0) {
    return acceptance.status === 'False'
      ? no(acceptance.reason, acceptance.message)
      : no('Progressing', 'no pod of the gateway is ready');
  }
  const unable = view.unenforced.get(`${object.kind}/${object.metadata.name}`);
  return unable === undefined ? yes('Programmed') : no('PartiallyProgrammed', listed(unable));
}

/** Why the object is not in the document that pods are to run. */
function withheld({ configuration, acceptance }: View): Verdict {
  if (configuration.kind === 'Good') return no(acceptance.reason, acceptance.message);
  return no(configuration.reason, `the gateway keeps what it has: ${configuration.message}`);
}
