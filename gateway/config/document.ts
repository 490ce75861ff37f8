/**
 * The configuration document: everything one gateway needs to know, compiled by `operator/plan` from the custom
 * resources, as one JSON value. Contains no secret: Secrets are named, and read through `SecretSource`.
 * Durations are milliseconds, sizes are bytes. `schema.json` beside this file is checked against these types.
 */

/** An input object, as it was when the document was compiled. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
}

/** One key of a Kubernetes Secret in the gateway's namespace. */
export interface SecretKey {
  readonly secret: string;
  readonly key: string;
}

export type ListenerAuthentication = 'Token' | 'OAuthBearer' | 'Certificate';

export interface Listener {
  readonly name: string;
  readonly port: number;
  readonly authentication: ListenerAuthentication;
}

export interface ListenerTls {
  readonly mode: 'Required' | 'Optional';
  readonly minVersion: '1.2' | '1.3';
  /** Secret of type kubernetes.io/tls (keys tls.crt, tls.key); null only with mode Optional. */
  readonly secret: string | null;
}

export type UpstreamTlsMode = 'VerifyFull' | 'VerifyCA' | 'Require' | 'Disable';
export type UpstreamAuthentication = 'ScramSha256' | 'Md5' | 'Password';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface Upstream {
  /** Tried in order. */
  readonly hosts: readonly HostPort[];
  readonly tls: { readonly mode: UpstreamTlsMode; readonly ca: SecretKey | null };
  readonly authentication: readonly UpstreamAuthentication[];
  readonly connectTimeout: number;
  /** Database roles the gateway can log in as; each Secret has keys `username` and `password`. */
  readonly roles: readonly { readonly name: string; readonly secret: string }[];
  /** Name of the role that reads the catalogue. */
  readonly catalogRole: string;
}

export type Issuer =
  | {
      readonly kind: 'Oidc';
      readonly name: string;
      readonly url: string;
      readonly audiences: readonly string[];
      readonly algorithms: readonly string[];
      readonly claims: { readonly username: string; readonly groups: string | null };
      /** PEM bundle for the issuer's HTTPS endpoint; null: the system's authorities. */
      readonly ca: SecretKey | null;
    }
  | {
      readonly kind: 'Kubernetes';
      readonly name: string;
      readonly audience: string;
      /** The cluster's issuer (`iss`) and its public keys: tokens are checked offline. */
      readonly issuer: string;
      readonly jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
    };

/** What one pod allows: the operator has divided what the gateway as a whole allows. */
export interface Limits {
  readonly connections: number;
  readonly connectionsPerIdentity: number;
  readonly connectionsPerSource: number;
  readonly statementBytes: number;
  readonly handshake: number;
  readonly idle: number;
  readonly sessionAge: number;
  /** How long a drain waits for sessions before it ends them with 57P01. */
  readonly drain: number;
}

export type Durability = 'Written' | 'Synced';
export type Redaction = 'Keep' | 'Omit';

export interface Audit {
  readonly durability: Durability;
  readonly onFailure: 'Deny' | 'Allow';
  readonly spoolBytes: number;
  readonly recording: 'None' | 'Statements';
  readonly redaction: { readonly parameters: Redaction; readonly literals: Redaction };
  /** Only stdout for now; others are refused when the document is compiled. */
  readonly sinks: readonly { readonly name: string; readonly kind: 'Stdout' }[];
  readonly alerts: Alerts | null;
}

/** Where denials and rules with `alert` are told. */
export interface Alerts {
  /** Secret with the keys url, key and, if wanted, token and ca.crt. */
  readonly secret: string;
  /** Whether they carry the statement's text, as far as `redaction` allows it. */
  readonly statements: 'Omit' | 'Keep';
}

export type RuleAction = 'Allow' | 'Deny';
export type Reach = 'Keyed' | 'Filtered' | 'Unbounded';

export interface Rule {
  readonly name: string;
  readonly action: RuleAction;
  /** Statement classes of `gateway/sql/classes.ts`, or the single word Any. Never empty. */
  readonly statements: readonly string[];
  /** `schema.name` patterns; null: not given (Allow: matches no relation; Deny: matches all). */
  readonly relations: readonly string[] | null;
  readonly functions: readonly string[];
  readonly reach: readonly Reach[] | null;
  /** Most rows that one write may change; null: as many as it likes. */
  readonly maxRows: number | null;
  readonly message: string | null;
  readonly alert: boolean;
}

export type Subject = { readonly user: string } | { readonly group: string };

export interface SessionLimits {
  readonly maxAge: number | null;
  readonly idle: number | null;
  readonly statementTimeout: number | null;
  readonly rows: number | null;
  readonly readOnly: boolean;
  /** Further settings that a client may change. */
  readonly settings: readonly string[];
}

/** What an identity may use, over all its sessions; null: as much as it likes. */
export interface IdentityLimits {
  readonly sessions: number | null;
  readonly statementsPerMinute: number | null;
  /** Days begin at 00:00 UTC. */
  readonly rowsPerDay: number | null;
  readonly bytesPerDay: number | null;
}

export interface Window {
  readonly days: readonly ('Mon' | 'Tue' | 'Wed' | 'Thu' | 'Fri' | 'Sat' | 'Sun')[];
  /** "HH:MM"; `from` later than `to` spans midnight and belongs to the day it began on. */
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
}

export interface Policy {
  readonly namespace: string;
  readonly name: string;
  readonly mode: 'Enforce' | 'Audit';
  readonly subjects: readonly Subject[];
  /** Empty: every database. */
  readonly databases: readonly string[];
  /** Name in `upstream.roles`; null only for policies that carry Deny rules alone. */
  readonly role: string | null;
  readonly rules: readonly Rule[];
  readonly session: SessionLimits;
  readonly limits: IdentityLimits;
  readonly window: Window | null;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | null;
}

export type TruncateUnit = 'Year' | 'Quarter' | 'Month' | 'Week' | 'Day' | 'Hour';

/** How a value is hidden. */
export type Mask =
  | { readonly type: 'Null' }
  | { readonly type: 'Redact' }
  | { readonly type: 'Email' }
  /** Characters that stay at the beginning and at the end. */
  | { readonly type: 'Partial'; readonly prefix: number; readonly suffix: number }
  /** Columns of one domain hash alike; null: those of the rule. */
  | { readonly type: 'Hash'; readonly domain: string | null }
  /** Exactly one of both is given: dates are cut to the unit, numbers to the step. */
  | { readonly type: 'Truncate'; readonly unit: TruncateUnit | null; readonly step: number | null }
  | { readonly type: 'Range'; readonly step: number }
  | { readonly type: 'Constant'; readonly value: string };

export interface MaskedColumn {
  /** Names in which `*` stands for any characters; as a schema it means those of users only. */
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly mask: Mask;
}

export interface Detector {
  readonly type: 'PaymentCard' | 'Iban' | 'Email' | 'Custom';
  /** Regular expression of a Custom detector; null for the others. */
  readonly pattern: string | null;
  readonly mask: Mask;
}

/** A MaskingRule: what is hidden from whom. */
export interface MaskRule {
  readonly namespace: string;
  readonly name: string;
  /** From whom; empty: from everybody. */
  readonly subjects: readonly Subject[];
  /** From whom not, whatever `subjects` says. */
  readonly except: readonly Subject[];
  readonly columns: readonly MaskedColumn[];
  readonly detectors: readonly Detector[];
  readonly trustedFunctions: readonly string[];
  readonly trustedRelations: readonly string[];
  readonly trustedChannels: readonly string[];
  /** Key of masks of type Hash; null: there are none. */
  readonly hashKey: SecretKey | null;
}

export interface ConfigDocument {
  readonly schemaVersion: 1;
  readonly gateway: ObjectRef;
  /** Every input object, sorted by kind, namespace, name. */
  readonly objects: readonly ObjectRef[];
  readonly listeners: readonly Listener[];
  readonly tls: ListenerTls;
  readonly upstream: Upstream;
  readonly identity: {
    readonly issuers: readonly Issuer[];
    readonly certificates: { readonly ca: SecretKey } | null;
    /** Allowed difference between this clock and an issuer's. */
    readonly clockSkew: number;
  };
  readonly limits: Limits;
  readonly audit: Audit;
  /** Sorted by namespace and name: the documented order of policies. */
  readonly policies: readonly Policy[];
  /** Sorted by namespace and name. */
  readonly masks: readonly MaskRule[];
  /** OTLP/HTTP endpoint for traces, as configured for the gateway; null: no traces. */
  readonly tracing: { readonly endpoint: string } | null;
}

/** A validated document and its content hash (SHA-256 over the canonical bytes, lower-case hex). */
export interface Revision {
  readonly revision: string;
  readonly document: ConfigDocument;
}

/** Where Secrets named in the document are read from: mounted files in a pod, manifests in `postern dev`. */
export interface SecretSource {
  /** The current bytes; undefined where the Secret or key does not exist. Read anew at each call. */
  read(secret: string, key: string): Buffer | undefined;
}
