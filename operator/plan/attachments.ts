import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { ConfigDocument, Policy } from '../../gateway/config/document.ts';
import { unenforced } from '../../gateway/config/unenforced.ts';
import type { AccessPolicy, MaskingRule } from '../api/types.generated.ts';
import { order, targets } from './compile.ts';
import { type Draft, draft, listed, no, type Verdict, yes } from './conditions.ts';
import { type Configuration, describe } from './configuration.ts';
import { type Confirmation, confirm } from './confirmation.ts';
import { late } from './gateway-conditions.ts';
import { compileMask } from './mask.ts';
import { compilePolicy } from './policy.ts';
import { type Problem, refOf } from './problems.ts';
import type { Attachment, GatewayInput, PodView } from './types.ts';

/** What a gateway makes of all that names it, in the order of kinds and names. */
export function attachments(
  input: GatewayInput,
  configuration: Configuration,
  acceptance: Verdict,
): readonly Attachment[] {
  const documents = knownDocuments(input, configuration);
  const target = configuration.kind === 'Good' ? configuration.revision : (input.published?.revision ?? '');
  const view: View = { input, configuration, acceptance, documents, confirmation: confirm(input, target), target };
  return [...input.policies, ...input.maskingRules]
    .filter((object) => targets(object, input.gateway))
    .sort((a, b) => order(`${a.kind}/${a.metadata.name}`, `${b.kind}/${b.metadata.name}`))
    .map((object) => attachment(view, object));
}

interface View {
  readonly input: GatewayInput;
  readonly configuration: Configuration;
  readonly acceptance: Verdict;
  readonly documents: ReadonlyMap<string, ConfigDocument>;
  readonly confirmation: Confirmation;
  /** The revision that pods are to run. */
  readonly target: string;
}

function knownDocuments(
  { published, earlier }: GatewayInput,
  configuration: Configuration,
): ReadonlyMap<string, ConfigDocument> {
  const present = configuration.kind === 'Good' ? [configuration] : [];
  const all = [...present, ...(published === null ? [] : [published]), ...earlier];
  return new Map(all.map(({ revision, document }) => [revision, document]));
}

function attachment(view: View, object: AccessPolicy | MaskingRule): Attachment {
  const { kind, namespace, name, generation } = refOf(object);
  const problems =
    view.configuration.kind === 'Bad'
      ? view.configuration.problems.filter(({ object: at }) => at.kind === kind && at.name === name)
      : [];
  const findings = findingsOf(view, object);
  const verdicts: [string, Verdict][] = [
    ['Accepted', acceptedOf(view, object, problems)],
    ['Programmed', programmedOf(view, object, problems)],
  ];
  if (findings.length > 0) {
    const reason = object.kind === 'MaskingRule' ? 'ColumnNotFound' : 'TargetNotFound';
    const texts = findings.map(({ path, message }) => `${path}: ${message}`);
    verdicts.push(['ResolvedRefs', no(reason, listed(texts))]);
  }
  const conditions = verdicts.map(([type, verdict]): Draft => draft(type, verdict, generation));
  return { kind: object.kind, namespace, name, generation, conditions, findings };
}

function findingsOf({ confirmation, input }: View, object: AccessPolicy | MaskingRule): Attachment['findings'] {
  const { kind, name } = refOf(object);
  const reports = confirmation.counted.flatMap(({ report }) => report?.findings ?? []);
  const own = reports.filter((finding) => finding.kind === kind && finding.name === name);
  const unique = new Map(own.map(({ path, message }) => [`${path}\n${message}`, { path, message }]));
  void input;
  return [...unique].sort(([a], [b]) => order(a, b)).map(([, finding]) => finding);
}

function acceptedOf({ input }: View, object: AccessPolicy | MaskingRule, problems: readonly Problem[]): Verdict {
  if (problems.length > 0) return no('Invalid', own(problems));
  if (object.kind === 'MaskingRule') return yes('Accepted');
  const { expiresAt, mode } = object.spec;
  if (expiresAt !== undefined && Date.parse(expiresAt) <= input.now)
    return yes('Accepted', 'in force for nobody: spec.expiresAt has passed');
  return mode === 'Audit'
    ? yes('Shadow', 'mode Audit: records what it would have done, grants nothing and denies nothing')
    : yes('Accepted');
}

/** Without the object's own name. */
function own(problems: readonly Problem[]): string {
  return describe(problems).replace(/^\S+ \S+ /, '');
}

function programmedOf(view: View, object: AccessPolicy | MaskingRule, problems: readonly Problem[]): Verdict {
  const { input, acceptance, confirmation, target } = view;
  if (problems.length > 0) {
    const kept = input.published === null ? 'nothing is in force yet' : 'the last good configuration stays in force';
    return no('Invalid', `${kept}: ${own(problems)}`);
  }
  const content = contentOf(object, input.gateway.spec.upstream.roles);
  const behind = confirmation.counted.filter((pod) => !holds(view, pod, content));
  if (behind.length > 0) return lagging(view, behind);
  if (!isIn(view.documents.get(target), content)) return withheld(view);
  if (confirmation.counted.length === 0) {
    return acceptance.status === 'False'
      ? no(acceptance.reason, acceptance.message)
      : no('Progressing', `no pod of gateway ${input.gateway.metadata.name} is ready`);
  }
  return unenforcedOf(view, object) ?? yes('Programmed');
}

/** Pods that run a document without the object: it is on its way there, or held back. */
function lagging(view: View, behind: readonly PodView[]): Verdict {
  const { input, configuration, acceptance, target } = view;
  if (configuration.kind === 'Bad' || (acceptance.status === 'False' && target !== input.published?.revision))
    return withheld(view);
  return late(input, behind, target).verdict;
}

/** Why the object is not in the document that pods are to run. */
function withheld({ input, configuration, acceptance }: View): Verdict {
  const where = `gateway ${input.gateway.metadata.name}`;
  if (configuration.kind === 'Bad')
    return no(configuration.reason, `${where} keeps what it has: ${configuration.message}`);
  return no(acceptance.reason, `${where}: ${acceptance.message}`);
}

/** Whether the document that a pod runs has the object as it is now; one that is silent and is trusted has the target. */
function holds({ documents, confirmation, target }: View, pod: PodView, content: Content): boolean {
  const revision = pod.report?.revision ?? (confirmation.behind.includes(pod) ? null : target);
  return revision !== null && isIn(documents.get(revision), content);
}

interface Content {
  readonly list: 'policies' | 'masks';
  readonly namespace: string;
  readonly name: string;
  readonly json: string;
}

/** What the object becomes in a document: generations start anew with an object that is made anew, contents do not lie. */
function contentOf(object: AccessPolicy | MaskingRule, roles: readonly { readonly name: string }[]): Content {
  const { namespace, name } = object.metadata;
  const names = roles.map((role) => role.name);
  return object.kind === 'MaskingRule'
    ? { list: 'masks', namespace, name, json: canonicalJson(compileMask(object)) }
    : { list: 'policies', namespace, name, json: canonicalJson(compilePolicy(object, names, []) satisfies Policy) };
}

function isIn(document: ConfigDocument | undefined, { list, namespace, name, json }: Content): boolean {
  const found = document?.[list].find((entry) => entry.namespace === namespace && entry.name === name);
  return found !== undefined && canonicalJson(found) === json;
}

/** What the pods cannot do of it; null: they can all of it. */
function unenforcedOf({ confirmation, documents, target }: View, object: AccessPolicy | MaskingRule): Verdict | null {
  const { kind, name } = refOf(object);
  const silent = confirmation.counted.some(({ report }) => report === null);
  const assumed = silent ? unenforced(documents.get(target)!) : [];
  const said = [...confirmation.counted.flatMap(({ report }) => report?.unenforced ?? []), ...assumed];
  const reasons = said.filter((entry) => entry.kind === kind && entry.name === name).map(({ reason }) => reason);
  return reasons.length === 0 ? null : no('PartiallyProgrammed', listed(reasons));
}
