import type { ConfigDocument, Issuer, SecretKey } from '../../gateway/config/document.ts';
import type { PostgresGateway } from '../api/types.generated.ts';
import type { Report } from './problems.ts';
import { parseDuration, parseSize } from './quantities.ts';

type Spec = PostgresGateway['spec'];
type IssuerSpec = NonNullable<Spec['identity']['issuers']>[number];

/** Issuer and public keys of the cluster, for `kubernetes` issuers. */
export interface ClusterIssuer {
  readonly issuer: string;
  readonly jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
}

function secretKey(reference: { readonly name: string; readonly key: string } | undefined): SecretKey | null {
  return reference === undefined ? null : { secret: reference.name, key: reference.key };
}

export function compileTls({ mode, minVersion, secretRef }: Spec['tls']): ConfigDocument['tls'] {
  return { mode, minVersion, secret: secretRef?.name ?? null };
}

export function compileUpstream(spec: Spec['upstream']): ConfigDocument['upstream'] {
  const { host, port, hosts, tls, authentication, connectTimeout, roles, catalogRole } = spec;
  return {
    hosts: host === undefined ? (hosts ?? []) : [{ host, port: port ?? 5432 }],
    tls: { mode: tls.mode, ca: secretKey(tls.caSecretRef) },
    authentication,
    connectTimeout: parseDuration(connectTimeout),
    roles: roles.map(({ name, secretRef }) => ({ name, secret: secretRef.name })),
    catalogRole,
  };
}

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

export function compileIdentity(
  { issuers = [], certificates, clockSkew }: Spec['identity'],
  cluster: ClusterIssuer | null,
  report: Report,
): ConfigDocument['identity'] {
  const compiled = issuers.flatMap((issuer, i): Issuer[] => {
    if (issuer.kubernetes === undefined) return [compileIssuer(issuer)];
    if (cluster !== null)
      return [{ kind: 'Kubernetes', name: issuer.name, audience: issuer.kubernetes.audience, ...cluster }];
    report(`spec.identity.issuers[${i}].kubernetes`, 'the keys of the cluster are not known here: use it in a cluster');
    return [];
  });
  const ca = secretKey(certificates?.caSecretRef);
  return { issuers: compiled, certificates: ca === null ? null : { ca }, clockSkew: parseDuration(clockSkew) };
}

/** An issuer with `url`; the schema requires `audiences` beside it. */
function compileIssuer({ name, url, audiences, algorithms, claims, caSecretRef }: IssuerSpec): Issuer {
  return {
    kind: 'Oidc',
    name,
    url: url!,
    audiences: audiences!,
    algorithms: algorithms ?? ALGORITHMS,
    claims: { username: claims?.username ?? 'sub', groups: claims?.groups ?? null },
    ca: secretKey(caSecretRef),
  };
}

/**
 * Limits on connections are the gateway's as a whole: each of its pods gets an equal share, rounded up. They are divided
 * by the pods that are wanted, not by those that are ready: the document is the same for all of them, and must not
 * change because one is restarted.
 */
export function compileLimits(spec: Spec['limits'], pods: number): ConfigDocument['limits'] {
  const { handshake, idle, sessionAge, drain, statementBytes } = spec;
  const share = (count: number): number => Math.ceil(count / pods);
  return {
    connections: share(spec.connections),
    connectionsPerIdentity: share(spec.connectionsPerIdentity),
    connectionsPerSource: share(spec.connectionsPerSource),
    statementBytes,
    handshake: parseDuration(handshake),
    idle: parseDuration(idle),
    sessionAge: parseDuration(sessionAge),
    drain: parseDuration(drain),
  };
}

/** What `refuseUnavailable` has refused is left out: there is no document then. */
export function compileAudit(spec: Spec['audit']): ConfigDocument['audit'] {
  const redact = (value: string): 'Keep' | 'Omit' => (value === 'Omit' ? 'Omit' : 'Keep');
  return {
    durability: spec.durability === 'Synced' ? 'Synced' : 'Written',
    onFailure: spec.onFailure,
    spoolBytes: parseSize(spec.spool.size),
    recording: spec.recording.mode === 'None' ? 'None' : 'Statements',
    redaction: { parameters: redact(spec.redaction.parameters), literals: redact(spec.redaction.literals) },
    sinks: spec.sinks.flatMap(({ name, stdout }) => (stdout === undefined ? [] : [{ name, kind: 'Stdout' as const }])),
    alerts:
      spec.alerts === undefined
        ? null
        : { secret: spec.alerts.webhookSecretRef.name, statements: spec.alerts.statements },
  };
}
