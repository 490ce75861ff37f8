import { type CertificateAuthority, createCertificateAuthority } from '../../test/kit/tls.ts';
import type { Login } from '../pod/protocol.ts';
import { mint, signIn } from './agent.ts';
import { condition } from './conditions.ts';
import { eventually } from './eventually.ts';
import { all, apply, get, kubectl, restrictedNamespace, type Thing } from './kubectl.ts';
import { GATEWAY, gatewayObject, policyObjects, secretObjects } from './manifests.ts';

const GATEWAY_LABEL = `postern.dev/gateway=${GATEWAY}`;

interface Person {
  readonly username: string;
  readonly groups: readonly string[];
}

/** People of the issuer. */
export const ANN: Person = { username: 'ann@example.com', groups: ['data-analysts'] };
export const DORA: Person = { username: 'dora@example.com', groups: ['dba'] };

/** A namespace of the restricted profile with a gateway in front of the tests' database. */
export interface Site {
  readonly namespace: string;
  readonly authority: CertificateAuthority;
  /** The gateway's Service. */
  readonly host: string;
  gateway(): Promise<Thing>;
  /** Those that are not on their way out. */
  pods(): Promise<readonly Thing[]>;
  /** How somebody signs in at the gateway's Service, or at one of its pods. */
  login(person: Person, pod?: Thing): Promise<Login>;
  /** Until the gateway's present generation is Ready. */
  ready(within?: number): Promise<void>;
}

/** Creates the site with two replicas; `change` replaces fields of the gateway's spec. */
export async function createSite(namespace: string, change: object = {}): Promise<Site> {
  const authority = await createCertificateAuthority(`Postern e2e ${namespace}`);
  await restrictedNamespace(namespace);
  await apply(...(await secretObjects(namespace, authority)));
  await apply(gatewayObject(namespace, change), ...policyObjects(namespace));
  const host = `${GATEWAY}.${namespace}.svc`;
  const site: Site = {
    namespace,
    authority,
    host,
    gateway: () => get(namespace, 'postgresgateway', GATEWAY),
    async pods() {
      const pods = await all(namespace, 'pods', GATEWAY_LABEL);
      return pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    },
    async login(person, pod) {
      const where = pod === undefined ? { host } : { host: pod.status.podIP as string, serverName: host };
      const rest = { user: person.username, database: 'shop', ca: authority.caPem };
      return { ...where, ...rest, port: 5432, password: await mint(person) };
    },
    ready: (within = 60_000) => ready(namespace, within),
  };
  await site.ready(120_000);
  await reachable(site);
  return site;
}

/** A gateway is Ready with its first pod, and nodes send nobody to a pod for a moment after it has become ready. */
async function reachable(site: Site): Promise<void> {
  await eventually('all pods are ready', async () => {
    const pods = await site.pods();
    return pods.every((pod) => condition(pod, 'Ready')?.status === 'True') ? true : undefined;
  });
  await eventually('the Service leads to the pods', async () => {
    const { answer, session } = await signIn(await site.login(ANN));
    if (answer.ok) await session.close();
    return !answer.ok && answer.code === 'ECONNREFUSED' ? undefined : true;
  });
}

async function ready(namespace: string, within: number): Promise<void> {
  const attempt = async (): Promise<true> => {
    const object = await get(namespace, 'postgresgateway', GATEWAY);
    const state = condition(object, 'Ready');
    if (state?.status === 'True' && state.observedGeneration === object.metadata.generation) return true;
    throw new Error(`generation ${object.metadata.generation}, ${JSON.stringify(object.status?.conditions)}`);
  };
  await eventually(`PostgresGateway ${namespace}/${GATEWAY} is Ready`, attempt, { within });
}

/** Which pods there are, and how often each was restarted: equal texts mean that nobody has started anew. */
export async function incarnations(site: Site): Promise<string> {
  const pods = await site.pods();
  return pods
    .map(({ metadata, status }) => `${metadata.name} ${metadata.uid} ${status.containerStatuses?.[0]?.restartCount}`)
    .sort()
    .join('\n');
}

/** The records in the gateway pods' logs that contain this text. */
export async function auditRecords(site: Site, text: string): Promise<readonly Thing[]> {
  const logs = await kubectl(['-n', site.namespace, 'logs', '-l', GATEWAY_LABEL, '-c', 'gateway', '--tail=-1']);
  const lines = logs.split('\n').filter((line) => line.includes(text) && line.includes('"event_code"'));
  return lines.map((line) => JSON.parse(line).event);
}
