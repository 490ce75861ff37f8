import { randomUUID } from 'node:crypto';
import { createCertificateAuthority } from '../../test/kit/tls.ts';
import { POSTGRES_IMAGE } from './images.ts';
import { apply, exec, find, get, kubectl, restrictedNamespace } from './kubectl.ts';

/** What the tests bring along, outside of all that they test: a database, an issuer, SQL clients. */
export const INFRA = 'e2e-infra';
export const DATABASE_HOST = `postgres.${INFRA}.svc`;
export const ISSUER_URL = `https://issuer.${INFRA}.svc:8443`;

/** Passwords of the database's roles, which only the gateways know. */
export const ROLES = {
  analyst_ro: 'only-the-gateway-knows-1',
  app_rw: 'only-the-gateway-knows-2',
  rotated: 'the-first',
} as const;

const INIT_SQL = `
CREATE ROLE analyst_ro LOGIN PASSWORD '${ROLES.analyst_ro}';
CREATE ROLE app_rw LOGIN PASSWORD '${ROLES.app_rw}';
CREATE ROLE rotated LOGIN PASSWORD '${ROLES.rotated}';
CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, amount numeric NOT NULL);
INSERT INTO orders VALUES (1, 'anvil', 120), (2, 'rope', 15), (3, 'lantern', 40);
ALTER TABLE orders OWNER TO app_rw;
GRANT SELECT, UPDATE, DELETE ON orders TO analyst_ro;
GRANT SELECT ON orders TO rotated;
GRANT CREATE ON SCHEMA public TO app_rw;
`;

/** What the restricted profile asks of a pod, and a place away from the workers, which tests drain and freeze. */
const POD = {
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 2,
  tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }],
  affinity: {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 100,
          preference: { matchExpressions: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }] },
        },
      ],
    },
  },
} as const;
export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
  runAsNonRoot: true,
} as const;

/** Starts all of it, unless it is there from an earlier run with this image. */
export async function upInfra(podsImage: string): Promise<void> {
  const agent = await find(INFRA, 'deployment', 'agent').catch(() => null);
  if (agent?.spec.template.spec.containers[0].image !== podsImage) {
    await restrictedNamespace(INFRA);
    await apply(...(await objects(podsImage)));
  }
  await kubectl(['-n', INFRA, 'wait', 'deploy', '--all', '--for=condition=Available', '--timeout=120s'], {
    timeout: 130_000,
  });
}

/** The authority that signed the certificates of the database and of the issuer, in PEM. */
export async function infraCa(): Promise<string> {
  return Buffer.from((await get(INFRA, 'secret', 'ca')).data['ca.crt'], 'base64').toString();
}

/** Runs SQL on the database itself, as its owner. */
export function asOwner(sql: string): Promise<string> {
  return exec(
    INFRA,
    'deploy/postgres',
    ['psql', '-U', 'postgres', '-d', 'shop', '-XAtq', '-v', 'ON_ERROR_STOP=1'],
    sql,
  );
}

async function objects(podsImage: string): Promise<readonly object[]> {
  const authority = await createCertificateAuthority('Postern e2e');
  const notAfter = new Date(Date.now() + 365 * 86_400_000);
  const tls = async (name: string): Promise<object> => {
    const { certPem, keyPem } = await authority.server([`${name}.${INFRA}.svc`], { notAfter });
    return secret(`${name}-tls`, { 'tls.crt': certPem, 'tls.key': keyPem });
  };
  return [
    secret('ca', { 'ca.crt': authority.caPem }),
    await tls('postgres'),
    await tls('issuer'),
    secret('issuer', { secret: randomUUID() }),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('postgres-init'), data: { 'init.sql': INIT_SQL } },
    service('postgres', 5432),
    service('issuer', 8443),
    postgres(),
    deployment('issuer', {
      volumes: [{ name: 'tls', secret: { secretName: 'issuer-tls', defaultMode: 0o440 } }],
      securityContext: { runAsUser: 1000, fsGroup: 1000 },
      containers: [
        {
          name: 'issuer',
          image: podsImage,
          args: ['e2e/pod/issuer.ts', ISSUER_URL, '$(SECRET)', '/tls'],
          env: [{ name: 'SECRET', valueFrom: { secretKeyRef: { name: 'issuer', key: 'secret' } } }],
          volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
          readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
          securityContext: RESTRICTED,
        },
      ],
    }),
    deployment('agent', {
      volumes: [{ name: 'ca', secret: { secretName: 'ca' } }],
      securityContext: { runAsUser: 1000 },
      containers: [
        {
          name: 'agent',
          image: podsImage,
          args: ['e2e/pod/agent.ts'],
          env: [
            { name: 'ISSUER_URL', value: ISSUER_URL },
            { name: 'ISSUER_SECRET', valueFrom: { secretKeyRef: { name: 'issuer', key: 'secret' } } },
            { name: 'NODE_EXTRA_CA_CERTS', value: '/ca/ca.crt' },
          ],
          volumeMounts: [{ name: 'ca', mountPath: '/ca' }],
          readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
          securityContext: RESTRICTED,
        },
      ],
    }),
  ];
}

function postgres(): object {
  const files = { runAsUser: 999, runAsGroup: 999, fsGroup: 999 };
  const settings = ['ssl=on', 'ssl_cert_file=/tls/tls.crt', 'ssl_key_file=/tls/tls.key', 'max_connections=200'];
  return deployment('postgres', {
    securityContext: files,
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'run', emptyDir: {} },
      { name: 'tmp', emptyDir: {} },
      { name: 'init', configMap: { name: 'postgres-init' } },
      // The key may be root's and readable by the server's group, no more.
      { name: 'tls', secret: { secretName: 'postgres-tls', defaultMode: 0o440 } },
    ],
    containers: [
      {
        name: 'postgres',
        image: POSTGRES_IMAGE,
        args: settings.flatMap((setting) => ['-c', setting]),
        env: [
          { name: 'POSTGRES_DB', value: 'shop' },
          { name: 'POSTGRES_PASSWORD', value: randomUUID() },
          { name: 'PGDATA', value: '/data/pg' },
        ],
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'run', mountPath: '/var/run/postgresql' },
          { name: 'tmp', mountPath: '/tmp' },
          { name: 'init', mountPath: '/docker-entrypoint-initdb.d' },
          { name: 'tls', mountPath: '/tls' },
        ],
        // Over TCP: the server that runs the initial SQL has only its socket.
        readinessProbe: { exec: { command: ['pg_isready', '-q', '-h', '127.0.0.1', '-d', 'shop'] }, periodSeconds: 1 },
        securityContext: RESTRICTED,
      },
    ],
  });
}

function deployment(name: string, pod: object): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta(name),
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { ...POD, ...pod } },
    },
  };
}

function service(name: string, port: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(name),
    spec: { selector: { app: name }, ports: [{ port }] },
  };
}

function secret(name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: meta(name), stringData };
}

function meta(name: string): object {
  return { name, namespace: INFRA };
}
