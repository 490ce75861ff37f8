import type { ConfigDocument, SecretKey, SecretSource } from './document.ts';

/** A Secret that a document names, and the keys of it that a gateway reads. */
export interface SecretUse {
  /** The field of the PostgresGateway that names it: `spec.tls.secretRef`. */
  readonly path: string;
  readonly secret: string;
  readonly keys: readonly string[];
  /** Those of `keys` without which what the Secret is for does not work. */
  readonly required: readonly string[];
}

/** The Secrets that a gateway reads. Keys of masks are not among them: this version does not mask. */
export function secretUses({ upstream, tls, identity, audit }: ConfigDocument): readonly SecretUse[] {
  const uses: SecretUse[] = [];
  const use = (path: string, secret: string, required: readonly string[], more: readonly string[] = []) =>
    uses.push({ path, secret, keys: [...required, ...more], required });
  const authorities = (path: string, ca: SecretKey | null) => {
    if (ca !== null) use(`${path}.caSecretRef`, ca.secret, [ca.key]);
  };
  for (const [i, { secret }] of upstream.roles.entries())
    use(`spec.upstream.roles[${i}].secretRef`, secret, ['password'], ['username']);
  authorities('spec.upstream.tls', upstream.tls.ca);
  if (tls.secret !== null) use('spec.tls.secretRef', tls.secret, ['tls.crt', 'tls.key']);
  for (const [i, issuer] of identity.issuers.entries())
    if (issuer.kind === 'Oidc') authorities(`spec.identity.issuers[${i}]`, issuer.ca);
  authorities('spec.identity.certificates', identity.certificates?.ca ?? null);
  if (audit.alerts !== null)
    use('spec.audit.alerts.webhookSecretRef', audit.alerts.secret, ['url', 'key'], ['token', 'ca.crt']);
  return uses;
}

/** A Secret of which something required is not there. */
export interface MissingSecret extends SecretUse {
  readonly missing: readonly string[];
  /** Some key of it can be read: it is there, and not as it should be. */
  readonly isThere: boolean;
}

/** What of the Secrets that a document names is not there. */
export function missingSecrets(document: ConfigDocument, secrets: SecretSource): readonly MissingSecret[] {
  return secretUses(document).flatMap((use) => {
    const isGiven = (key: string): boolean => secrets.read(use.secret, key) !== undefined;
    const missing = use.required.filter((key) => !isGiven(key));
    return missing.length === 0 ? [] : [{ ...use, missing, isThere: use.keys.some(isGiven) }];
  });
}
