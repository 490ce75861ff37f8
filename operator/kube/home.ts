import type { Credentials } from './credentials.ts';
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
