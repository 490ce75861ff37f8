import type { ConfigDocument, Policy } from '../gateway/config/document.ts';
import { unenforced } from '../gateway/config/unenforced.ts';
import type { Unmatched } from '../gateway/policy/unmatched.ts';
import type { FieldError } from '../operator/api/problem.ts';
import { SCHEMAS } from '../operator/api/schemas.ts';
import type { PostgresGateway } from '../operator/api/types.generated.ts';
import { checkManifest, type Manifest } from '../operator/api/validate.ts';
import { compile } from '../operator/plan/compile.ts';
import type { ClusterIssuer } from '../operator/plan/gateway.ts';
import { compilePolicy } from '../operator/plan/policy.ts';
import type { Problem } from '../operator/plan/problems.ts';
import { type Loaded, type LoadedFiles, loadManifests } from './manifests.ts';
import { checkSecrets, readSecrets, type Secrets } from './secrets.ts';

/** A directory of manifests, checked and compiled. */
export type Project =
  | {
      readonly ok: true;
      readonly document: ConfigDocument;
      readonly secrets: Secrets;
      /** Secrets that are named and not there, said like problems: a gateway needs them, good manifests do not. */
      readonly missing: readonly string[];
      /** What a gateway will not do of it, and does in its place, said like problems. */
      readonly unenforced: readonly string[];
      /** `file:line: kind/name: field: message` for a policy of the document. */
      readonly say: (found: Unmatched) => string;
    }
  /** Every problem at once: `file:line: kind/name: field: message`. */
  | { readonly ok: false; readonly errors: readonly string[] };

/** Policies to try: of a project, or by themselves, without the gateway they are for. */
export type Proposal =
  | {
      readonly ok: true;
      readonly policies: readonly Policy[];
      /** null: the manifests hold none. */
      readonly project: (Project & { readonly ok: true }) | null;
    }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Reads, validates and compiles what belongs to one gateway; `name` is needed only where there are several. */
export function loadProject(paths: readonly string[], name: string | null): Project {
  return projectOf(loadManifests(paths), name, null);
}

/** The same of objects that have been read. */
export function projectOf(files: LoadedFiles, name: string | null, cluster: ClusterIssuer | null): Project {
  const read = check(files);
  if (!read.ok) return read;
  const gateway = choose([...read.ours.keys()], name);
  if (typeof gateway === 'string') return { ok: false, errors: [gateway] };
  return build(gateway, read, cluster);
}

/**
 * Reads policies, with the gateway if it is there or is `needed`; `name` chooses one of several, or says whose policies
 * are meant.
 */
export function loadProposal(paths: readonly string[], name: string | null, needed: boolean): Proposal {
  const files = loadManifests(paths);
  const read = check(files);
  if (!read.ok) return read;
  const manifests = [...read.ours.keys()];
  if (ofKind(manifests, 'PostgresGateway').length > 0 || needed) {
    const project = projectOf(files, name, null);
    return project.ok ? { ok: true, policies: project.document.policies, project } : project;
  }
  const policies = ofKind(manifests, 'AccessPolicy').filter(
    ({ spec }) => name === null || spec.targetRefs.some((target) => target.name === name),
  );
  if (policies.length === 0) return { ok: false, errors: ['no AccessPolicy is among the manifests'] };
  const problems: Problem[] = [];
  const roles = policies.flatMap(({ spec }) => spec.role ?? []);
  const compiled = policies.map((policy) => compilePolicy(policy, roles, problems));
  const sorted = compiled.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  return problems.length === 0
    ? { ok: true, policies: sorted, project: null }
    : { ok: false, errors: describeAll(problems, read) };
}

type Read =
  | { readonly ok: true; readonly ours: ReadonlyMap<Manifest, Loaded>; readonly objects: readonly Loaded[] }
  | { readonly ok: false; readonly errors: readonly string[] };

function check({ objects, errors }: LoadedFiles): Read {
  const found = [...errors, ...duplicates(objects)];
  const ours = new Map<Manifest, Loaded>();
  for (const loaded of objects.filter(isOurs)) {
    const checked = checkManifest(withDefaults(loaded.value));
    if (checked.ok) ours.set(checked.manifest, loaded);
    else found.push(...checked.errors.map(({ path, message }) => describe(loaded, path, message)));
  }
  return found.length > 0 ? { ok: false, errors: found } : { ok: true, ours, objects };
}

/** The gateway that is meant, or why there is none. */
function choose(manifests: readonly Manifest[], name: string | null): PostgresGateway | string {
  const all = ofKind(manifests, 'PostgresGateway');
  const gateways = all.filter(({ metadata }) => name === null || metadata.name === name);
  const names = all.map(({ metadata }) => metadata.name).join(', ');
  const [gateway] = gateways;
  if (gateways.length > 1) return `choose one with --gateway: ${names}`;
  if (gateway !== undefined) return gateway;
  if (name === null) return 'no PostgresGateway is among the manifests';
  return `no PostgresGateway ${name} is among the manifests${names === '' ? '' : `; there is ${names}`}`;
}

function build(
  gateway: PostgresGateway,
  read: Read & { readonly ok: true },
  clusterIssuer: ClusterIssuer | null,
): Project {
  const { ours, objects } = read;
  const manifests = [...ours.keys()];
  const plan = compile({
    gateway,
    policies: ofKind(manifests, 'AccessPolicy'),
    maskingRules: ofKind(manifests, 'MaskingRule'),
    clusterIssuer,
    pods: 1,
  });
  const errors = [
    ...describeAll(plan.problems, read),
    ...ofKind(manifests, 'AccessRequest').map((request) =>
      describe(ours.get(request)!, 'kind', 'AccessRequest is not available in this version: nobody can approve yet'),
    ),
  ];
  if (plan.document === null) return { ok: false, errors };
  const secrets = readSecrets(objects, gateway.metadata.namespace);
  const { missing, incomplete } = checkSecrets(plan.document, secrets);
  const said = ({ path, message }: FieldError) => describe(ours.get(gateway)!, path, message);
  errors.push(...incomplete.map(said));
  if (errors.length > 0) return { ok: false, errors };
  const say = ({ path, message, ...object }: Unmatched) =>
    describeAll([{ object: { ...object, generation: 1 }, path, message }], read)[0]!;
  const notices = unenforced(plan.document).map(({ reason, ...object }) => ({
    object: { ...object, generation: 1 },
    path: '',
    message: reason,
  }));
  return {
    ok: true,
    document: plan.document,
    secrets,
    missing: missing.map(said),
    unenforced: describeAll(notices, read),
    say,
  };
}

function describeAll(problems: readonly Problem[], { ours }: Read & { readonly ok: true }): string[] {
  const at = new Map([...ours].map(([manifest, loaded]) => [key(manifest), loaded]));
  return problems.map(({ object, path, message }) =>
    describe(at.get(`${object.kind}/${object.namespace}/${object.name}`)!, path, message),
  );
}

function ofKind<K extends Manifest['kind']>(manifests: readonly Manifest[], kind: K): Extract<Manifest, { kind: K }>[] {
  return manifests.filter((manifest): manifest is Extract<Manifest, { kind: K }> => manifest.kind === kind);
}

/** Objects of our API group, whatever they call themselves; other people's are left alone. */
function isOurs({ value }: Loaded): boolean {
  return String(value.apiVersion).startsWith('postern.dev/') || SCHEMAS.has(String(value.kind));
}

/** What the operator has written into it is not of the manifest, whatever its version knew. */
function withDefaults({ status: _, ...value }: Loaded['value']): Record<string, unknown> {
  return { ...value, metadata: { namespace: 'default', ...(value.metadata as object | undefined) } };
}

function key({ kind, metadata }: Manifest): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`;
}

function describe(loaded: Loaded, path: string, message: string): string {
  const { kind, metadata } = loaded.value as { kind?: string; metadata?: { name?: string } };
  return `${loaded.where(path)}: ${kind}/${metadata?.name}: ${path === '' ? '' : `${path}: `}${message}`;
}

function duplicates(objects: readonly Loaded[]): string[] {
  const seen = new Set<string>();
  return objects.flatMap((loaded) => {
    const { kind, metadata } = loaded.value as { kind?: string; metadata?: { name?: string; namespace?: string } };
    const id = `${kind}/${metadata?.namespace ?? 'default'}/${metadata?.name}`;
    if (seen.has(id)) return [`${loaded.where('metadata.name')}: ${id} is there twice`];
    seen.add(id);
    return [];
  });
}
