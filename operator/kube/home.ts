import type { Credentials } from './credentials.ts';
import { KubeError } from './errors.ts';
import type { KubeMeta, OwnerReference } from './types.ts';

/**
 * Whom what this process keeps in its own namespace belongs to: its ServiceAccount, so that the garbage collector removes
 * it with the installation. null: it runs under none of that namespace, such as by a kubeconfig.
 */
export type Home = () => Promise<OwnerReference | null>;

/** Reads it from the token, which the API server made: no right to look it up is needed. */
export function homeOf(credentials: Credentials, namespace: string): Home {
  return async () => {
    const { authorization = '' } = (await credentials.current()).headers;
    const claims = claimsOf(authorization);
    const account = claims?.serviceaccount;
    if (claims?.namespace !== namespace || !account?.name || !account.uid) return null;
    return { apiVersion: 'v1', kind: 'ServiceAccount', name: account.name, uid: account.uid };
  };
}

/** Makes objects the property of a home. */
export interface Owning {
  /** As `ownedBy`. */
  of<Meta extends KubeMeta>(metadata: Meta): Promise<Meta>;
  /** Writes with the owner; where the cluster refuses that, without, and from then on. */
  write<Meta extends KubeMeta, Answer>(metadata: Meta, write: (metadata: Meta) => Promise<Answer>): Promise<Answer>;
}

/**
 * Clusters with the admission plugin OwnerReferencesPermissionEnforcement let only those change an owner who may delete
 * the object, which the operator may not: a lease that is held, or a certificate that is renewed, counts for more.
 */
export function createOwning(home: Home): Owning {
  let refused = false;
  const of = async <Meta extends KubeMeta>(metadata: Meta): Promise<Meta> =>
    refused ? metadata : ownedBy(metadata, await home());
  return {
    of,
    async write(metadata, write) {
      const owned = await of(metadata);
      try {
        return await write(owned);
      } catch (error) {
        if (owned === metadata || !(error instanceof KubeError) || error.reason !== 'Forbidden') throw error;
      }
      const answer = await write(metadata);
      refused = true;
      return answer;
    },
  };
}

/** With this owner in the place of a former one of its name; the same object where nothing is to be done. */
export function ownedBy<Meta extends KubeMeta>(metadata: Meta, owner: OwnerReference | null): Meta {
  const present = metadata.ownerReferences ?? [];
  if (owner === null || present.some(({ uid }) => uid === owner.uid)) return metadata;
  const others = present.filter(({ kind, name }) => kind !== owner.kind || name !== owner.name);
  return { ...metadata, ownerReferences: [...others, owner] };
}

interface Claims {
  readonly namespace?: string;
  readonly serviceaccount?: { readonly name?: string; readonly uid?: string };
}

/** What Kubernetes says in a token of a ServiceAccount that is bound to an object; tokens of other makes say nothing. */
function claimsOf(authorization: string): Claims | null {
  const [, payload] = authorization.replace(/^Bearer /, '').split('.');
  if (payload === undefined) return null;
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Record<string, unknown> | null;
    return (claims?.['kubernetes.io'] as Claims | undefined) ?? null;
  } catch {
    return null;
  }
}
