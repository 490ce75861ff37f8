import { existsSync } from 'node:fs';
import path from 'node:path';

/** Path of a program of KUBEBUILDER_ASSETS; throws with the remedy where it is not there. */
export function asset(program: 'etcd' | 'kube-apiserver'): string {
  const folder = process.env.KUBEBUILDER_ASSETS;
  const remedy =
    'set KUBEBUILDER_ASSETS to a folder that holds etcd and kube-apiserver, such as `setup-envtest use -p path` prints';
  if (folder === undefined || folder === '') throw new Error(`KUBEBUILDER_ASSETS is not set: ${remedy}`);
  const file = path.join(folder, program);
  if (!existsSync(file)) throw new Error(`KUBEBUILDER_ASSETS is ${folder}, where there is no ${program}: ${remedy}`);
  return file;
}
