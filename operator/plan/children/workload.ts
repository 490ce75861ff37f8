import type { ConfigDocument } from '../../../gateway/config/document.ts';
import { childNames, isStateful, selectorLabels } from '../names.ts';
import type { Child, GatewayInput, Installation } from '../types.ts';
import { child } from './child.ts';
import { DATA_VOLUME, podTemplate } from './pod.ts';

type Gateway = GatewayInput['gateway'];

/** Seconds after which a rollout that does not get on counts as stuck. */
const PROGRESS_DEADLINE = 120;
const OLD_REPLICA_SETS = 3;
const MEBIBYTE = 1024 * 1024;
/** What the data directory holds beside the spool, and a tenth of it, in MiB. */
const DATA_MARGIN = 64;

/** A Deployment, or a StatefulSet where the spool is on a claim of its own. */
export function workload(gateway: Gateway, document: ConfigDocument, installation: Installation): Child {
  const name = childNames(gateway).workload;
  const size = dataSize(document);
  const common = {
    // An autoscaler owns the number where there is one.
    ...(gateway.spec.autoscaling === undefined ? { replicas: gateway.spec.replicas } : {}),
    selector: { matchLabels: selectorLabels(gateway.metadata.name) },
  };
  if (isStateful(gateway.spec)) {
    return child(gateway, 'apps/v1', 'StatefulSet', name, {
      spec: {
        ...common,
        serviceName: childNames(gateway).peers,
        // One pod that does not start keeps no other from it.
        podManagementPolicy: 'Parallel',
        updateStrategy: { type: 'RollingUpdate' },
        // Evidence outlives the gateway.
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        revisionHistoryLimit: OLD_REPLICA_SETS,
        volumeClaimTemplates: [claim(gateway, size)],
        template: podTemplate(gateway, document, installation, null),
      },
    });
  }
  return child(gateway, 'apps/v1', 'Deployment', name, {
    spec: {
      ...common,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      minReadySeconds: 0,
      progressDeadlineSeconds: PROGRESS_DEADLINE,
      revisionHistoryLimit: OLD_REPLICA_SETS,
      template: podTemplate(gateway, document, installation, { emptyDir: { sizeLimit: size } }),
    },
  });
}

function claim({ spec }: Gateway, storage: string): Record<string, unknown> {
  const { storageClassName } = spec.audit.spool.volumeClaimTemplate ?? {};
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: DATA_VOLUME },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage } },
      ...(storageClassName === undefined ? {} : { storageClassName }),
    },
  };
}

function dataSize({ audit }: ConfigDocument): string {
  return `${Math.ceil((audit.spoolBytes * 1.1) / MEBIBYTE) + DATA_MARGIN}Mi`;
}
