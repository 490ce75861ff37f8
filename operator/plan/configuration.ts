import type { ConfigDocument } from '../../gateway/config/document.ts';
import { documentErrors } from '../../gateway/config/load.ts';
import type { Reason } from '../api/conditions.ts';
import { MAX_CONFIG_BYTES, pack } from './children/config-map.ts';
import { wantedPods } from './children/scaling.ts';
import { compile } from './compile.ts';
import type { Problem } from './problems.ts';
import { revisionOf } from './text.ts';
import type { GatewayInput } from './types.ts';

/** What a gateway and all that is attached to it make together. */
export type Configuration =
  | { readonly kind: 'Good'; readonly document: ConfigDocument; readonly revision: string }
  | {
      readonly kind: 'Bad';
      readonly reason: Reason & ('Invalid' | 'ConfigTooLarge');
      readonly message: string;
      /** Empty: it is no single object's fault. */
      readonly problems: readonly Problem[];
    };

/** As the document's schema has it; the gateway itself is one of them. */
const MAX_OBJECTS = 4096;

/** Compiles, and checks as the gateway and the API server will. */
export function configure(input: GatewayInput): Configuration {
  const { document, problems } = compile({ ...input, pods: Math.max(1, wantedPods(input.gateway, input.workload)) });
  if (document === null) return { kind: 'Bad', reason: 'Invalid', message: describe(problems), problems };
  const revision = revisionOf(document);
  // Most plans are made because a pod has said something: what is published has been looked at before.
  if (revision === input.published?.revision) return { kind: 'Good', document: input.published.document, revision };
  if (document.objects.length > MAX_OBJECTS) {
    const message = `${document.objects.length - 1} objects are attached, ${MAX_OBJECTS - 1} fit: use several gateways`;
    return { kind: 'Bad', reason: 'ConfigTooLarge', message, problems };
  }
  const errors = documentErrors(document);
  if (errors.length > 0) return notGood(errors, document);
  const bytes = pack(document).length + Buffer.byteLength(input.installation.control.ca);
  if (bytes <= MAX_CONFIG_BYTES) return { kind: 'Good', document, revision };
  const message =
    `${bytes} bytes gzipped, ${MAX_CONFIG_BYTES} fit into a ConfigMap: ` +
    'spread the policies over several gateways, or use patterns in the place of long lists';
  return { kind: 'Bad', reason: 'ConfigTooLarge', message, problems };
}

/** What the definitions of the kinds let through and a gateway would not take: said of the object, where it is one's. */
function notGood(errors: readonly string[], document: ConfigDocument): Configuration {
  const blamed = errors.flatMap((error) => blame(error, document));
  const whole = blamed.length === errors.length;
  const message = whole ? describe(blamed) : `the configuration is not good: ${errors[0]}`;
  return { kind: 'Bad', reason: 'Invalid', message, problems: whole ? blamed : [] };
}

function blame(error: string, { objects, policies, masks }: ConfigDocument): readonly Problem[] {
  const [, list, index, path = '', message = ''] = /^(policies|masks)\[(\d+)\][.]?([^:]*): (.*)$/s.exec(error) ?? [];
  const [kind, part] =
    list === 'policies' ? ['AccessPolicy', policies[Number(index)]] : ['MaskingRule', masks[Number(index)]];
  const object = objects.find((one) => one.kind === kind && one.name === part?.name);
  return list === undefined || object === undefined
    ? []
    : [{ object, path: path === '' ? 'spec' : `spec.${path}`, message }];
}

/** The first problem, by name of its object, and how many there are besides. */
function describe(problems: readonly Problem[]): string {
  const texts = problems
    .map(({ object, path, message }) => `${object.kind} ${object.name}: ${path}: ${message}`)
    .sort();
  return texts.length === 1 ? texts[0]! : `${texts[0]} (and ${texts.length - 1} more)`;
}

/** The same for problems of one object, without its name. */
export function describeOwn(problems: readonly Problem[]): string {
  return describe(problems).replace(/^\S+ \S+: /, '');
}
