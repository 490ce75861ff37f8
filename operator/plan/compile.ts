import type { ConfigDocument, Issuer, SecretKey } from '../../gateway/config/document.ts';
import { compilePolicy } from './policy.ts';
import { type Fields, fields, items, type Manifest, number, type Problem, refOf, string, strings } from './problems.ts';
import { parseDuration, parseSize } from './quantities.ts';

/** Everything that is attached to one gateway. */
export interface PlanInput {
  readonly gateway: Manifest;
  readonly policies: readonly Manifest[];
  readonly maskingRules: readonly Manifest[];
  /** Issuer and public keys of the cluster, for `kubernetes` issuers; null: not known. */
  readonly clusterIssuer: { readonly issuer: string; readonly jwks: { readonly keys: readonly Fields[] } } | null;
}

/** A problem leaves the whole gateway without a document: to drop one policy might drop its Deny rules. */
export type Plan =
  | { readonly document: ConfigDocument; readonly problems: readonly [] }
  | { readonly document: null; readonly problems: readonly Problem[] };

type Report = (path: string, message: string) => void;

/** Compiles manifests into the configuration document; pure, and the same for any order of arrival. */
export function compile(input: PlanInput): Plan {
  const problems: Problem[] = [];
  const { gateway } = input;
  const report: Report = (path, message) => problems.push({ object: refOf(gateway), path, message });
  const policies = input.policies.filter((policy) => targets(policy, gateway)).sort(byName);
  for (const mask of input.maskingRules.filter((rule) => targets(rule, gateway))) {
    problems.push({
      object: refOf(mask),
      path: 'spec',
      message: 'masking is not available in this version: remove the MaskingRule',
    });
  }
  const { spec } = gateway;
  const roles = items(fields(spec.upstream).roles).map(({ name }) => String(name));
  const compiled = policies.map((policy) => compilePolicy(policy, roles, problems));
  refuseUnavailable(spec, report);
  const document: ConfigDocument = {
    schemaVersion: 1,
    gateway: refOf(gateway),
    objects: [gateway, ...policies]
      .map(refOf)
      .sort((a, b) => order(`${a.kind}/${a.namespace}/${a.name}`, `${b.kind}/${b.namespace}/${b.name}`)),
    listeners: items(spec.listeners).map(({ name, port, authentication }) => ({
      name: String(name),
      port: number(port, 0),
      authentication: authentication as 'Token',
    })),
    tls: listenerTls(fields(spec.tls), report),
    upstream: upstream(fields(spec.upstream), roles, report),
    identity: identity(fields(spec.identity), input, report),
    limits: limits(fields(spec.limits), report),
    audit: audit(fields(spec.audit), report),
    policies: compiled,
    tracing: tracing(fields(spec.telemetry)),
  };
  return problems.length === 0 ? { document, problems: [] } : { document: null, problems };
}

function targets(object: Manifest, gateway: Manifest): boolean {
  return (
    object.metadata.namespace === gateway.metadata.namespace &&
    items(object.spec.targetRefs).some(({ kind, name }) => kind === 'PostgresGateway' && name === gateway.metadata.name)
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byName(a: Manifest, b: Manifest): number {
  return order(`${a.metadata.namespace}/${a.metadata.name}`, `${b.metadata.namespace}/${b.metadata.name}`);
}

/** What is not there yet is refused by name. */
function refuseUnavailable(spec: Fields, report: Report): void {
  const { durability, sinks, recording, redaction, alerts } = fields(spec.audit);
  if (durability === 'Acknowledged')
    report('spec.audit.durability', 'Acknowledged is not available in this version: use Written or Synced');
  for (const [i, sink] of items(sinks).entries()) {
    for (const kind of ['otlp', 's3']) {
      if (sink[kind] !== undefined)
        report(`spec.audit.sinks[${i}].${kind}`, `the sink ${kind} is not available in this version: use stdout`);
    }
  }
  if (fields(recording).mode === 'Full')
    report('spec.audit.recording.mode', 'Full is not available in this version: use Statements or None');
  for (const [name, value] of Object.entries(fields(redaction))) {
    if (value === 'Hash')
      report(`spec.audit.redaction.${name}`, 'Hash is not available in this version: use Keep or Omit');
  }
  if (alerts !== undefined) report('spec.audit.alerts', 'alert webhooks are not available in this version: remove it');
  for (const [i, { authentication }] of items(spec.listeners).entries()) {
    if (authentication === 'Certificate') {
      report(
        `spec.listeners[${i}].authentication`,
        'Certificate is not available in this version: use Token or OAuthBearer',
      );
    }
  }
}

function listenerTls({ mode, minVersion, secretRef }: Fields, report: Report): ConfigDocument['tls'] {
  const secret = string(fields(secretRef).name);
  if (mode !== 'Optional' && secret === null)
    report('spec.tls.secretRef', 'name the Secret with tls.crt and tls.key, or set spec.tls.mode to Optional');
  return {
    mode: mode === 'Optional' ? 'Optional' : 'Required',
    minVersion: minVersion === '1.3' ? '1.3' : '1.2',
    secret,
  };
}

function secretKey(value: unknown, key: string): SecretKey | null {
  const reference = fields(value);
  const secret = string(reference.name);
  return secret === null ? null : { secret, key: string(reference.key) ?? key };
}

function upstream(spec: Fields, roles: readonly string[], report: Report): ConfigDocument['upstream'] {
  const port = number(spec.port, 5432);
  const host = string(spec.host);
  const hosts =
    host === null
      ? items(spec.hosts).map((h) => ({ host: String(h.host), port: number(h.port, port) }))
      : [{ host, port }];
  if (hosts.length === 0) report('spec.upstream.host', 'name the database server: host, or hosts');
  const catalogRole = string(spec.catalogRole) ?? roles[0] ?? '';
  if (!roles.includes(catalogRole))
    report('spec.upstream.catalogRole', `"${catalogRole}" is not one of spec.upstream.roles (${roles.join(', ')})`);
  const tls = fields(spec.tls);
  return {
    hosts,
    tls: { mode: (string(tls.mode) ?? 'VerifyFull') as 'VerifyFull', ca: secretKey(tls.caSecretRef, 'ca.crt') },
    authentication: (strings(spec.authentication).length > 0
      ? strings(spec.authentication)
      : ['ScramSha256']) as 'ScramSha256'[],
    connectTimeout: duration(spec.connectTimeout, '5s', (message) => report('spec.upstream.connectTimeout', message)),
    roles: items(spec.roles).map(({ name, secretRef }) => ({
      name: String(name),
      secret: String(fields(secretRef).name),
    })),
    catalogRole,
  };
}

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

function identity(spec: Fields, { clusterIssuer }: PlanInput, report: Report): ConfigDocument['identity'] {
  const issuers = items(spec.issuers).map((issuer, i): Issuer | null => {
    const name = String(issuer.name);
    if (issuer.kubernetes !== undefined) {
      const audience = string(fields(issuer.kubernetes).audience) ?? 'postern';
      if (clusterIssuer !== null) return { kind: 'Kubernetes', name, audience, ...clusterIssuer };
      report(`spec.identity.issuers[${i}].kubernetes`, 'the keys of the cluster are not known here');
      return null;
    }
    const url = string(issuer.url) ?? '';
    if (!/^https:/.test(url) && !/^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::|\/|$)/.test(url)) {
      report(`spec.identity.issuers[${i}].url`, 'must be https (http only on loopback)');
    }
    const claims = fields(issuer.claims);
    return {
      kind: 'Oidc',
      name,
      url,
      audiences: strings(issuer.audiences),
      algorithms: strings(issuer.algorithms).length > 0 ? strings(issuer.algorithms) : ALGORITHMS,
      claims: { username: string(claims.username) ?? 'sub', groups: string(claims.groups) },
      ca: secretKey(issuer.caSecretRef, 'ca.crt'),
    };
  });
  const ca = secretKey(fields(spec.certificates).caSecretRef, 'ca.crt');
  return {
    issuers: issuers.filter((issuer) => issuer !== null),
    certificates: ca === null ? null : { ca },
    clockSkew: duration(spec.clockSkew, '30s', (message) => report('spec.identity.clockSkew', message)),
  };
}

function limits(spec: Fields, report: Report): ConfigDocument['limits'] {
  const time = (name: string, otherwise: string): number =>
    duration(spec[name], otherwise, (message) => report(`spec.limits.${name}`, message));
  return {
    connections: number(spec.connections, 500),
    connectionsPerIdentity: number(spec.connectionsPerIdentity, 20),
    connectionsPerSource: number(spec.connectionsPerSource, 100),
    statementBytes: number(spec.statementBytes, 131_072),
    handshake: time('handshake', '10s'),
    idle: time('idle', '30m'),
    sessionAge: time('sessionAge', '12h'),
    drain: time('drain', '30s'),
  };
}

function audit(spec: Fields, report: Report): ConfigDocument['audit'] {
  const size = string(fields(spec.spool).size) ?? '1Gi';
  const spoolBytes = parseSize(size);
  if (spoolBytes === undefined) report('spec.audit.spool.size', `"${size}" is not a size such as 1Gi`);
  const redaction = fields(spec.redaction);
  const redact = (value: unknown): 'Keep' | 'Omit' => (value === 'Omit' ? 'Omit' : 'Keep');
  return {
    durability: spec.durability === 'Synced' ? 'Synced' : 'Written',
    onFailure: spec.onFailure === 'Allow' ? 'Allow' : 'Deny',
    spoolBytes: spoolBytes ?? 0,
    recording: fields(spec.recording).mode === 'None' ? 'None' : 'Statements',
    redaction: { parameters: redact(redaction.parameters), literals: redact(redaction.literals) },
    sinks: items(spec.sinks)
      .filter(({ stdout }) => stdout !== undefined)
      .map(({ name }) => ({ name: String(name), kind: 'Stdout' as const })),
  };
}

function tracing(spec: Fields): ConfigDocument['tracing'] {
  const endpoint = string(fields(spec.traces).endpoint);
  return endpoint === null ? null : { endpoint };
}

function duration(value: unknown, otherwise: string, report: (message: string) => void): number {
  const text = string(value) ?? otherwise;
  const parsed = parseDuration(text);
  if (parsed === undefined) report(`"${text}" is not a duration such as 30s, 15m or 12h`);
  return parsed ?? 0;
}
