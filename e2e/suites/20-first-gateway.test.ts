import { beforeAll, describe, expect, test } from 'vitest';
import { hold, signIn } from '../kit/agent.ts';
import { becomes } from '../kit/conditions.ts';
import { eventually } from '../kit/eventually.ts';
import { INFRA } from '../kit/infra.ts';
import { all, exec, kubectl, refusal, type Thing } from '../kit/kubectl.ts';
import { GATEWAY } from '../kit/manifests.ts';
import { measure, note } from '../kit/measure.ts';
import { installOperator, operatorPods } from '../kit/operator.ts';
import { psql, psqlPod } from '../kit/psql.ts';
import { ANN, auditRecords, createSite, DORA, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-first';

describe('a gateway from manifests', () => {
  let site: Site;

  beforeAll(async () => {
    await installOperator();
    const start = Date.now();
    site = await createSite(NAMESPACE);
    measure('kubectl apply to Ready (2 pods)', Date.now() - start);
    await psqlPod(NAMESPACE, 'nightly', site.authority.caPem);
  });

  test('kubectl waits for it, and for its policies', async () => {
    const objects = [`postgresgateway/${GATEWAY}`, 'accesspolicy/analysts', 'pgap/dbas'];
    await kubectl(['-n', NAMESPACE, 'wait', ...objects, '--for=condition=Ready', '--timeout=30s']);
    for (const name of ['analysts', 'dbas', 'nightly']) {
      await becomes({ namespace: NAMESPACE, kind: 'accesspolicy', name, type: 'Programmed', status: 'True' });
    }
  });

  test('kubectl get shows how it stands', async () => {
    const table = (await kubectl(['-n', NAMESPACE, 'get', 'pggw'])).split('\n');
    expect(table[0]).toMatch(/^NAME +ACCEPTED +PROGRAMMED +READY +ADDRESS +POLICIES +AGE$/);
    expect(table[1]).toMatch(/^orders +True +True +True +orders\.e2e-first\.svc +3 /);
    const wide = await kubectl(['-n', NAMESPACE, 'get', 'pggw', '-o', 'wide']);
    expect(wide).toContain((await site.gateway()).status.revision.slice(0, 12));
    const everything = await kubectl(['get', 'postern', '-A']);
    expect(everything).toMatch(/e2e-first +postgresgateway\.postern\.dev\/orders/);
    expect(everything).toMatch(/e2e-first +accesspolicy\.postern\.dev\/dbas/);
  });

  test('a ServiceAccount’s projected token is the password', async () => {
    expect(await psql(NAMESPACE, site.host, 'SELECT item FROM orders ORDER BY id')).toBe('anvil\nrope\nlantern\n');
    expect(await psql(NAMESPACE, site.host, 'SELECT current_user')).toBe('analyst_ro\n');
  });

  test('what no policy allows is refused by name, and recorded in the pod’s log', async () => {
    const complaint = await refusal(psql(NAMESPACE, site.host, 'DROP TABLE orders'));
    expect(complaint).toContain('ERROR:  42501:');
    expect(complaint).toMatch(/nightly.*no-ddl|no-ddl.*nightly/s);
    const records = await eventually('the record', async () => {
      const found = await auditRecords(site, 'DROP TABLE orders');
      return found.length > 0 ? found : undefined;
    });
    expect(records[0]!.actor.user.name).toBe(`system:serviceaccount:${NAMESPACE}:nightly`);
    expect(records[0]!.action).toBe('Denied');
    expect(await psql(NAMESPACE, site.host, 'SELECT count(*) FROM orders')).toBe('3\n');
  });

  test('people of the issuer in the cluster sign in with their groups', async () => {
    const ann = await hold(await site.login(ANN));
    expect(await ann.query('SELECT current_user AS role, count(*)::int AS n FROM orders')).toEqual({
      ok: true,
      rows: [{ role: 'analyst_ro', n: 3 }],
    });
    expect(await ann.query('DROP TABLE orders')).toMatchObject({ ok: false, code: '42501' });
    expect(await ann.query('SELECT 1 AS still')).toEqual({ ok: true, rows: [{ still: 1 }] });
    const dora = await hold(await site.login(DORA));
    expect(await dora.query('CREATE TABLE archive AS SELECT * FROM orders')).toMatchObject({ ok: true });
    expect(await dora.query('DROP TABLE archive')).toMatchObject({ ok: true });
    await ann.close();
    await dora.close();
  });

  test('a token of somebody without a policy, a changed one and a password of the database open nothing', async () => {
    const login = await site.login({ username: 'eve@example.com', groups: ['nobody'] });
    expect((await signIn(login)).answer).toMatchObject({ ok: false, code: '28000' });
    const [header, payload, signature] = (await site.login(ANN)).password.split('.');
    const changed = Buffer.from(payload!, 'base64url').toString().replace('ann@', 'eve@');
    const forged = `${header}.${Buffer.from(changed).toString('base64url')}.${signature}`;
    expect((await signIn({ ...login, password: forged })).answer).toMatchObject({ ok: false, code: '28P01' });
    const direct = { ...login, user: 'analyst_ro', password: 'only-the-gateway-knows-1' };
    expect((await signIn(direct)).answer).toMatchObject({ ok: false, code: '28P01' });
  });

  test('every child is the gateway’s own', async () => {
    const { uid } = (await site.gateway()).metadata;
    const children = await childrenOf(NAMESPACE);
    expect(children.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort()).toEqual([
      'ConfigMap/orders-config',
      'Deployment/orders',
      'NetworkPolicy/orders',
      'PodDisruptionBudget/orders',
      'Service/orders',
      'Service/orders-peers',
      'ServiceAccount/orders',
    ]);
    for (const { metadata } of children) {
      expect(metadata.ownerReferences).toMatchObject([{ kind: 'PostgresGateway', name: GATEWAY, uid }]);
      expect(Object.keys(metadata.labels ?? {})).not.toContain('app.kubernetes.io/instance');
    }
  });

  test('no password is in the ConfigMap', async () => {
    const config = await kubectl(['-n', NAMESPACE, 'get', 'configmap', 'orders-config', '-o', 'json']);
    const packed = Buffer.from(JSON.parse(config).binaryData['config.json.gz'], 'base64');
    const { gunzipSync } = await import('node:zlib');
    expect(gunzipSync(packed).toString()).toContain('orders-analyst-ro');
    expect(gunzipSync(packed).toString()).not.toContain('only-the-gateway-knows');
  });

  test('a gateway pod has no token for the API server', async () => {
    const [pod] = await site.pods();
    const look = `for (const path of ['/var/run/secrets/kubernetes.io', '/run/secrets/kubernetes.io'])
      console.log(require('node:fs').existsSync(path));`;
    expect(await exec(NAMESPACE, pod!.metadata.name, ['node', '-e', look])).toBe('false\nfalse\n');
    const read = `console.log(require('node:fs').readFileSync('/var/run/secrets/postern/control/token', 'utf8'))`;
    const token = (await exec(NAMESPACE, pod!.metadata.name, ['node', '-e', read])).trim();
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
    expect(claims.aud).toEqual(['postern-control']);
    const nobody = await refusal(
      kubectl([
        '--kubeconfig=/dev/null',
        '--server',
        await apiServer(),
        '--insecure-skip-tls-verify',
        '--token',
        token,
        'get',
        'ns',
      ]),
    );
    expect(nobody).toMatch(/Unauthorized|must be logged in|provide credentials/);
  });

  test('its pods run as the restricted profile wants, on two nodes', async () => {
    const pods = await site.pods();
    expect(new Set(pods.map(({ spec }) => spec.nodeName)).size).toBe(2);
    for (const { spec } of pods) {
      expect(spec.automountServiceAccountToken).toBe(false);
      expect(spec.containers[0].securityContext).toMatchObject({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  test('operator and gateways can be scraped', async () => {
    const [pod] = await site.pods();
    const gateway = await scrape(pod!, 9090);
    expect(gateway).toContain('postern_config_revision_info{revision="');
    const [operator] = await operatorPods();
    const metrics = await scrape(operator!, 8080);
    for (const name of ['controller_runtime_reconcile_total', 'workqueue_depth', 'leader_election_master_status']) {
      expect(metrics).toContain(name);
    }
    const resident = /^process_resident_memory_bytes (\S+)/m;
    note('resident memory, gateway', megabytes(resident.exec(gateway)));
    note('resident memory, operator', megabytes(resident.exec(metrics)));
  });

  test('it tells of itself in few events', async () => {
    const events = (await all(NAMESPACE, 'events')).filter(
      ({ involvedObject }) => involvedObject.kind === 'PostgresGateway',
    );
    expect(events.length).toBeGreaterThan(0);
    expect(events.length).toBeLessThan(10);
  });
});

async function childrenOf(namespace: string): Promise<readonly Thing[]> {
  const kinds =
    'deployments,statefulsets,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,horizontalpodautoscalers,secrets';
  return all(namespace, kinds, 'app.kubernetes.io/managed-by=postern');
}

async function apiServer(): Promise<string> {
  return (await kubectl(['config', 'view', '--minify', '-o', 'jsonpath={.clusters[0].cluster.server}'])).trim();
}

/** As a Prometheus does it: from a pod, for which NetworkPolicies hold. */
function scrape(pod: Thing, port: number): Promise<string> {
  const fetching = `fetch('http://${pod.status.podIP}:${port}/metrics').then((a) => a.text()).then((t) => console.log(t))`;
  return exec(INFRA, 'deploy/agent', ['node', '-e', fetching]);
}

function megabytes(match: RegExpExecArray | null): string {
  return `${Math.round(Number(match?.[1]) / 1024 / 1024)} MiB`;
}
