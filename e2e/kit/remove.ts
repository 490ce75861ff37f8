import { find, kubectl, remove, removeSites } from './kubectl.ts';
import { helm, SYSTEM } from './operator.ts';

/** The custom resources' definitions, in the order of crds/. */
export const CRDS = ['accesspolicies', 'accessrequests', 'maskingrules', 'postgresgateways'].map(
  (name) => `${name}.postern.dev`,
);

/** Makes the cluster one that has never seen the product. */
export async function removeEverything(): Promise<void> {
  if ((await find(null, 'namespace', SYSTEM)) !== null) {
    await helm('uninstall', 'postern', '--namespace', SYSTEM, '--ignore-not-found', '--wait');
  }
  for (const crd of CRDS) await remove(null, 'crd', crd);
  await remove(null, 'namespace', SYSTEM);
  await removeSites(true);
  await kubectl(['delete', 'clusterrole,clusterrolebinding', '-l', 'app.kubernetes.io/name=postern']);
}
