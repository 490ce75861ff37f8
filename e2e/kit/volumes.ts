import { apply, kubectl } from './kubectl.ts';
import { nodeNames, onNode } from './nodes.ts';

/** A class of volumes that are folders of the workers: claims wait for the pod, as they do with anybody's local disks. */
const CLASS = 'postern-e2e-local';
const FOLDER = '/var/local/postern-e2e';

/**
 * The class that claims of tests name: undefined is the cluster's default one; where there is none, volumes are made on
 * the nodes, `each` of them per worker.
 */
export async function storageClass(each: number): Promise<string | undefined> {
  const classes = JSON.parse(await kubectl(['get', 'storageclass', '-o', 'json'])).items as readonly {
    readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  }[];
  const annotation = 'storageclass.kubernetes.io/is-default-class';
  if (classes.some(({ metadata }) => metadata.annotations?.[annotation] === 'true')) return undefined;
  await removeVolumes();
  const workers = await nodeNames('!node-role.kubernetes.io/control-plane');
  for (const node of workers) {
    const folders = Array.from({ length: each }, (_, i) => `${FOLDER}/${i}`);
    await onNode(node, `rm -rf ${FOLDER} && mkdir -p ${folders.join(' ')}`);
    await apply(localClass(), ...folders.map((path, i) => volume(node, path, `postern-e2e-${node}-${i}`)));
  }
  return CLASS;
}

/** Removes what `storageClass` made; claims on them must be gone. */
export async function removeVolumes(): Promise<void> {
  await kubectl(['delete', 'pv,storageclass', '-l', `postern-e2e=volume`, '--ignore-not-found', '--timeout=60s']);
}

function localClass(): object {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: CLASS, labels: { 'postern-e2e': 'volume' } },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
}

function volume(node: string, path: string, name: string): object {
  const expression = { key: 'kubernetes.io/hostname', operator: 'In', values: [node] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, labels: { 'postern-e2e': 'volume' } },
    spec: {
      storageClassName: CLASS,
      capacity: { storage: '2Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  };
}
