import { canonicalJson } from '../../gateway/config/canonical.ts';
import { type Clock, sleep, systemClock } from '../kube/clock.ts';
import { messageOf } from '../kube/errors.ts';
import type { Log } from '../kube/log.ts';
import type { KubeClient } from '../kube/types.ts';
import type { ClusterIssuer } from '../plan/gateway.ts';

export interface ClusterIssuerOptions {
  readonly client: Pick<KubeClient, 'raw'>;
  readonly log: Log;
  /** Called with each new one. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

const REFRESH = 300_000;
const FIRST_RETRY = 1_000;

/** Follows the issuer of the cluster and its public keys; gives the last good ones, null before there were any. */
export function followClusterIssuer(options: ClusterIssuerOptions): () => ClusterIssuer | null {
  const { log, onChange, signal, clock = systemClock } = options;
  let known: ClusterIssuer | null = null;
  const run = async (): Promise<void> => {
    let delay = FIRST_RETRY;
    while (!signal.aborted) {
      try {
        const issuer = await read(options.client, signal);
        const news = known === null || canonicalJson(known) !== canonicalJson(issuer);
        known = issuer;
        if (news) onChange();
        delay = FIRST_RETRY;
        await sleep(clock, REFRESH, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error: messageOf(error), delay }, 'The keys of the cluster for ServiceAccount tokens were not read');
        await sleep(clock, delay, signal);
        delay = Math.min(delay * 2, REFRESH);
      }
    }
  };
  void run();
  return () => known;
}

async function read(client: Pick<KubeClient, 'raw'>, signal: AbortSignal): Promise<ClusterIssuer> {
  const configuration = JSON.parse((await client.raw('/.well-known/openid-configuration', { signal })).toString());
  // Not at jwks_uri: that is meant for those outside, and may be an address that is none here.
  const { keys } = JSON.parse((await client.raw('/openid/v1/jwks', { signal })).toString());
  const { issuer } = configuration as { readonly issuer?: unknown };
  if (typeof issuer !== 'string' || issuer === '') throw new Error('the configuration names no issuer');
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isPublicKey))
    throw new Error('there are no public keys');
  const sorted = [...(keys as ClusterIssuer['jwks']['keys'])].sort((a, b) =>
    canonicalJson(a) < canonicalJson(b) ? -1 : 1,
  );
  return { issuer, jwks: { keys: sorted } };
}

/** A key that must not get into a document has a private part, or is a shared secret. */
function isPublicKey(key: unknown): boolean {
  if (typeof key !== 'object' || key === null) return false;
  const { kty } = key as { readonly kty?: unknown };
  return (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && !('d' in key) && !('k' in key);
}
