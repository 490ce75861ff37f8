import { POSTGRES_IMAGE } from './images.ts';
import { RESTRICTED } from './infra.ts';
import { apply, exec, kubectl } from './kubectl.ts';

/** A pod with psql that runs as a ServiceAccount, with a projected token of it for the gateway. */
export async function psqlPod(namespace: string, serviceAccount: string, ca: string): Promise<void> {
  const metadata = { namespace };
  await apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...metadata, name: serviceAccount } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...metadata, name: 'psql-ca' }, data: { 'ca.crt': ca } },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'psql' },
      spec: {
        serviceAccountName: serviceAccount,
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsUser: 999 },
        volumes: [
          { name: 'ca', configMap: { name: 'psql-ca' } },
          {
            name: 'token',
            projected: { sources: [{ serviceAccountToken: { audience: 'postern', path: 'token' } }] },
          },
        ],
        containers: [
          {
            name: 'psql',
            image: POSTGRES_IMAGE,
            command: ['sleep', 'infinity'],
            volumeMounts: [
              { name: 'ca', mountPath: '/ca' },
              { name: 'token', mountPath: '/token' },
            ],
            securityContext: RESTRICTED,
          },
        ],
      },
    },
  );
  await kubectl(['-n', namespace, 'wait', 'pod/psql', '--for=condition=Ready', '--timeout=60s']);
}

/** Runs SQL by psql in that pod, the token as the password: gives what psql prints, throws with what it complains of. */
export function psql(namespace: string, host: string, sql: string): Promise<string> {
  const connection = `host=${host} user=analyst_ro dbname=shop sslmode=verify-full sslrootcert=/ca/ca.crt`;
  const script = `PGPASSWORD=$(cat /token/token) exec psql "${connection}" -XAt -v VERBOSITY=verbose -c "$1"`;
  return exec(namespace, 'psql', ['bash', '-c', script, 'bash', sql]);
}
