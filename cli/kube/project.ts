import type { PostgresGateway } from '../../operator/api/types.generated.ts';
import type { Loaded } from '../manifests.ts';
import { type Project, projectOf } from '../project.ts';
import type { Kubectl } from './kubectl.ts';
import { type Attached, needGateway, RESOURCES } from './objects.ts';

/** Who signs ServiceAccount tokens decides nothing here. */
const CLUSTER = { issuer: 'https://kubernetes.default.svc', jwks: { keys: [] } };

/** A gateway of the cluster and what is attached to it, checked and compiled as the operator does. */
export async function loadFromCluster(kubectl: Kubectl, name: string): Promise<Project> {
  const gateway = await needGateway(kubectl, name);
  const [policies, masks] = await Promise.all([
    kubectl.list<Attached>(RESOURCES.policies, { all: false }),
    kubectl.list<Attached>(RESOURCES.masks, { all: false }),
  ]);
  const attached = [...policies, ...masks].filter(({ spec }) => spec.targetRefs.some((target) => target.name === name));
  return projectOf({ objects: [gateway, ...attached].map(asLoaded), errors: [] }, name, CLUSTER);
}

function asLoaded(object: PostgresGateway | Attached): Loaded {
  const { namespace } = object.metadata;
  return { value: { ...object }, where: () => `namespace ${namespace}` };
}
