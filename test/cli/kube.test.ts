import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { OpenSession, SessionList } from '../../gateway/telemetry/admin-socket.ts';
import { type FakeKubectl, fakeKubectl, list } from './fake-kubectl.ts';
import { postern } from './postern.ts';

type Json = Record<string, unknown>;

let kubectl: FakeKubectl;
beforeEach(() => {
  kubectl = fakeKubectl();
});
afterEach(() => kubectl.remove());

const GATEWAYS = 'postgresgateways.postern.dev';
const POLICIES = 'accesspolicies.postern.dev';
const MASKS = 'maskingrules.postern.dev';
const REVISION = '9f2c1a2b3c4d5e6f';

function condition(type: string, status: string, reason: string, message = ''): Json {
  return { type, status, reason, message, observedGeneration: 2, lastTransitionTime: '2026-01-01T00:00:00Z' };
}

const GOOD = ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'].map((type) => condition(type, 'True', type));

/** The objects of the quick start, as a cluster gives them back. */
const [GATEWAY, ANALYSTS, DBAS] = ['gateway.yaml', 'policies.yaml']
  .flatMap((name) => {
    const text = readFileSync(new URL(`../../examples/quickstart/${name}`, import.meta.url), 'utf8');
    return parseAllDocuments(text).map((document) => document.toJS() as Json);
  })
  .filter(({ apiVersion }) => apiVersion === 'postern.dev/v1alpha1')
  .map((object) => ({
    ...object,
    metadata: {
      ...(object.metadata as Json),
      uid: 'a-b-c',
      generation: 2,
      resourceVersion: '4711',
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      managedFields: [{ manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:spec': {} } }],
    },
  })) as unknown as [Json, Json, Json];

function withStatus(object: Json, conditions: readonly Json[]): Json {
  if (object.kind === 'PostgresGateway')
    return { ...object, status: { observedGeneration: 2, conditions, revision: REVISION, address: 'orders.shop.svc' } };
  const ancestorRef = { group: 'postern.dev', kind: 'PostgresGateway', namespace: 'shop', name: 'orders' };
  return { ...object, status: { observedGeneration: 2, conditions: [], ancestors: [{ ancestorRef, conditions }] } };
}

function pod(name: string, container: Json = {}): Json {
  const gateway = { name: 'gateway', ready: true, restartCount: 0, containerID: `c-${name}`, state: { running: {} } };
  return {
    metadata: { name, namespace: 'shop', uid: `u-${name}`, labels: { 'postern.dev/gateway': 'orders' } },
    spec: { containers: [{ name: 'gateway', readinessProbe: { periodSeconds: 5, failureThreshold: 2 } }] },
    status: { containerStatuses: [{ ...gateway, ...container }] },
  };
}

function session(user: string): OpenSession {
  return {
    id: `id-${user}`,
    user,
    issuer: 'corp',
    role: 'analyst_ro',
    database: 'shop',
    applicationName: 'psql',
    listener: 'token',
    client: '10.0.0.1:5000',
    serverPid: 1,
    started: '2026-01-01T00:00:00.000Z',
    state: 'Idle',
    since: '2026-01-01T00:00:00.000Z',
    statements: 1,
  };
}

function sessions(name: string, ...users: readonly string[]): SessionList {
  const at = { gateway: 'shop/orders', pod: name, revision: REVISION, draining: false };
  return { ...at, sessions: users.map(session) };
}

const says = (value: unknown): string => `cat <<'END'\n${JSON.stringify(value)}\nEND\n`;

/** A gateway with two pods, and everything in force. */
function allGood(): void {
  const gateway = withStatus(GATEWAY, GOOD);
  kubectl.put(`get/${GATEWAYS}.json`, list(gateway));
  kubectl.put(`get/${GATEWAYS}/orders.json`, gateway);
  kubectl.put(`get/${POLICIES}.json`, list(withStatus(ANALYSTS, GOOD), withStatus(DBAS, GOOD)));
  kubectl.put('get/pods.json', list(pod('orders-1'), pod('orders-2')));
  kubectl.put('exec/orders-1.sh', says(sessions('orders-1', 'ann', 'ben')));
  kubectl.put('exec/orders-2.sh', says(sessions('orders-2', 'cid')));
}

describe('status', () => {
  test('all is good: exit code 0', async () => {
    allGood();
    const { code, out, err } = await kubectl.postern(['status', '-n', 'shop']);
    expect(err).toBe('');
    expect(out).toMatchInlineSnapshot(`
      "GATEWAY      READY  REVISION      PODS  SESSIONS  POLICIES  MASKS  ADDRESS
      shop/orders  yes    9f2c1a2b3c4d  2/2   3         2/2       0/0    orders.shop.svc

      PostgresGateway shop/orders

        CONDITION     STATUS  REASON        MESSAGE
        Accepted      True    Accepted
        ResolvedRefs  True    ResolvedRefs
        Programmed    True    Programmed
        Ready         True    Ready

        POD       READY  RESTARTS  REVISION      SESSIONS
        orders-1  yes    0         9f2c1a2b3c4d  2
        orders-2  yes    0         9f2c1a2b3c4d  1

        ATTACHED               IN FORCE  REASON    MESSAGE
        AccessPolicy analysts  yes       Accepted
        AccessPolicy dbas      yes       Accepted
      "
    `);
    expect(code).toBe(0);
  });

  test('what is wrong has its reason and what to do; exit code 1', async () => {
    allGood();
    const late = condition('Programmed', 'False', 'ConfigNotConfirmed', 'not confirmed by pods orders-2');
    const gateway = withStatus(GATEWAY, [GOOD[0]!, late, { ...late, type: 'Ready' }]);
    const invalid = condition('Accepted', 'False', 'Invalid', 'spec.role: "root" is not a role of the gateway');
    kubectl.put(`get/${GATEWAYS}/orders.json`, gateway);
    const older = { ...GOOD[0], observedGeneration: 1 };
    kubectl.put(`get/${POLICIES}.json`, list(withStatus(ANALYSTS, [invalid]), withStatus(DBAS, [older])));
    const unmasked = condition('Programmed', 'False', 'PartiallyProgrammed', 'this version cannot mask');
    const mask = {
      ...ANALYSTS,
      kind: 'MaskingRule',
      metadata: { ...(ANALYSTS.metadata as Json), name: 'pii' },
    };
    kubectl.put(`get/${MASKS}.json`, list(withStatus(mask, [GOOD[0]!, unmasked])));
    const waiting = { ready: false, restartCount: 7, state: { waiting: { reason: 'CrashLoopBackOff' } } };
    kubectl.put('get/pods.json', list(pod('orders-1'), pod('orders-2', waiting)));
    const { code, out } = await kubectl.postern(['status', 'orders', '-n', 'shop']);
    expect(out).toMatch(/^shop\/orders +no +9f2c1a2b3c4d +1\/2 +2 +0\/2 +0\/1/m);
    expect(out).toMatch(/^ {2}MaskingRule pii +no +PartiallyProgrammed +this version cannot mask$/m);
    expect(out).toMatch(/^ {2}Programmed +False +ConfigNotConfirmed +not confirmed by pods orders-2$/m);
    expect(out).toMatch(/^ {2}orders-2 +no +7 +- +- +CrashLoopBackOff$/m);
    expect(out).toMatch(/^ {2}AccessPolicy analysts +no +Invalid +spec\.role: "root" is not a role of the gateway$/m);
    expect(out).toMatch(/^ {2}AccessPolicy dbas +no +NotSeen /m);
    expect(out).toMatch(/^ {4}Programmed, Ready: kubectl logs -n shop -l postern\.dev\/gateway=orders says/m);
    expect(out).toMatch(/^ {4}AccessPolicy analysts: correct the field that the message names/m);
    expect(out).toMatch(/^ {4}AccessPolicy dbas: wait for the operator/m);
    expect(code).toBe(1);
  });

  test('an object that nobody has looked at, and a policy for a gateway that is not there', async () => {
    kubectl.put(`get/${GATEWAYS}.json`, list(GATEWAY));
    const stray = { ...ANALYSTS, spec: { ...(ANALYSTS.spec as Json), targetRefs: [{ name: 'order' }] } };
    kubectl.put(`get/${POLICIES}.json`, list(stray));
    const { code, out } = await kubectl.postern(['status']);
    expect(out).toContain('no pods');
    expect(out).toMatch(/Accepted: wait for the operator; if nothing changes: does it run/);
    expect(out).toContain('AccessPolicy shop/analysts is in force nowhere: there is no PostgresGateway order');
    expect(code).toBe(1);
  });

  test('for programs; in all namespaces no pod is asked of a gateway that is ready', async () => {
    allGood();
    const one = await kubectl.postern(['status', '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({
      gateways: [
        {
          namespace: 'shop',
          name: 'orders',
          ready: true,
          revision: REVISION,
          pods: [
            { name: 'orders-1', ready: true, revision: REVISION, sessions: 2, problem: null },
            { name: 'orders-2' },
          ],
          attached: [{ kind: 'AccessPolicy', name: 'analysts', inForce: true }, { name: 'dbas' }],
        },
      ],
      strays: [],
    });
    kubectl.put('calls', '');
    const { code, out } = await kubectl.postern(['status', '-A', '-o', 'json']);
    const asked = { revision: null, problem: 'it was not asked' };
    expect(JSON.parse(out)).toMatchObject({ gateways: [{ ready: true, pods: [asked, asked] }] });
    for (const call of kubectl.calls().trim().split('\n')) expect(call).toMatch(/^get .* --all-namespaces /);
    expect(code).toBe(0);
  });

  test('in all namespaces: details, and questions to pods, only where something is not ready', async () => {
    allGood();
    const metadata = { ...(GATEWAY.metadata as Json), namespace: 'sales' };
    kubectl.put(`get/${GATEWAYS}.json`, list(withStatus(GATEWAY, GOOD), { ...GATEWAY, metadata }));
    const other = pod('orders-9');
    const sales = { ...other, metadata: { ...(other.metadata as Json), namespace: 'sales' } };
    kubectl.put('get/pods.json', list(pod('orders-1'), sales));
    kubectl.put('exec/orders-9.sh', says(sessions('orders-9')));
    const { code, out } = await kubectl.postern(['status', '-A']);
    expect(out).toMatch(/^shop\/orders +yes .*\nsales\/orders +no /m);
    expect(out).toContain('PostgresGateway sales/orders\n');
    expect(out).not.toContain('PostgresGateway shop/orders\n');
    expect(kubectl.calls()).toContain('exec orders-9 --namespace=sales');
    expect(kubectl.calls()).not.toContain('exec orders-1');
    expect(code).toBe(1);
  });

  test('may not run commands in pods: says so where it matters, and counts what it knows', async () => {
    allGood();
    const forbidden = `Error from server (Forbidden): pods "orders-1" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "shop"`;
    for (const name of ['orders-1', 'orders-2']) kubectl.put(`exec/${name}.sh`, `echo '${forbidden}' >&2; exit 1`);
    const { code, out } = await kubectl.postern(['status']);
    expect(out).toMatch(/orders-1 +yes +0 +- +- +jane may not create pods\/exec in namespace shop: ask for a role/);
    expect(code).toBe(0);
  });

  test('nothing there: exit code 1', async () => {
    expect(await kubectl.postern(['status'])).toMatchObject({ code: 1, out: 'no PostgresGateway in this namespace\n' });
  });
});

describe('explain', () => {
  const explain = (...more: readonly string[]) =>
    kubectl.postern([
      'explain',
      'orders',
      '-n',
      'shop',
      '--user',
      'ann@example.com',
      '--group',
      'data-analysts',
      ...more,
    ]);

  test('decides by what is in the cluster', async () => {
    allGood();
    const good = await explain('--role', 'analyst_ro', '--database', 'shop', 'SELECT * FROM orders');
    expect(good.err).toBe('');
    expect(good.out).toContain(
      'ann@example.com (data-analysts) as role analyst_ro on database shop of gateway shop/orders',
    );
    expect(good.out).toContain('allowed by AccessPolicy shop/analysts, rule read');
    expect(good.out).toContain('Assumed, as no database was asked:');
    expect(good.out).not.toContain('--server');
    expect(good.code).toBe(0);
    const bad = await kubectl.postern(
      ['explain', 'orders', '--user', 'ann@example.com', '--group', 'data-analysts', '-o', 'json', '-'],
      { input: 'DELETE FROM orders' },
    );
    expect(JSON.parse(bad.out)).toMatchObject({ statements: [{ decision: { verdict: 'Deny' } }] });
    expect(bad.code).toBe(1);
  });

  test('policies of another gateway do not count, whatever is wrong with them', async () => {
    allGood();
    const { spec, ...rest } = DBAS;
    const other = { ...rest, spec: { ...(spec as Json), role: 'no_such_role', targetRefs: [{ name: 'invoices' }] } };
    kubectl.put(`get/${POLICIES}.json`, list(ANALYSTS, other));
    expect((await explain('SELECT 1')).code).toBe(0);
  });

  test('ServiceAccounts as identities need nothing of the cluster', async () => {
    allGood();
    const identity = { issuers: [{ name: 'cluster', kubernetes: { audience: 'postern' } }] };
    const gateway = { ...GATEWAY, spec: { ...(GATEWAY.spec as Json), identity } };
    kubectl.put(`get/${GATEWAYS}/orders.json`, gateway);
    expect(await explain('SELECT 1')).toMatchObject({ code: 0, err: '' });
  });

  test('somebody whom a mask concerns is not let in by this version', async () => {
    allGood();
    const header = {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MaskingRule',
      metadata: { name: 'pii', namespace: 'shop' },
    };
    const columns = [{ schema: 'public', table: 'orders', column: 'email', mask: { type: 'Redact' } }];
    const { targetRefs } = ANALYSTS.spec as Json;
    kubectl.put(`get/${MASKS}.json`, list({ ...header, spec: { targetRefs, columns } }));
    const { code, out } = await explain('SELECT 1');
    expect(out).toMatch(/^28000: .*pii/);
    expect(code).toBe(1);
  });

  test('a policy that is not good is said with its field', async () => {
    allGood();
    const bad = { ...DBAS, spec: { ...(DBAS.spec as Json), role: 'no_such_role' } };
    kubectl.put(`get/${POLICIES}.json`, list(ANALYSTS, bad));
    const { code, err } = await explain('SELECT 1');
    expect(err).toContain('namespace shop: AccessPolicy/dbas: spec.role: "no_such_role" is not a role of the gateway');
    expect(code).toBe(1);
  });
});

describe('sessions', () => {
  test('of all pods, in one table', async () => {
    allGood();
    const { code, out } = await kubectl.postern(['sessions', 'orders', '-n', 'shop']);
    expect(out).toMatch(/^POD +SESSION +USER /);
    expect(out.match(/^orders-\d +id-\w+/gm)).toEqual(['orders-1  id-ann', 'orders-1  id-ben', 'orders-2  id-cid']);
    expect(code).toBe(0);
    expect(kubectl.calls()).toContain(
      'exec orders-2 --namespace=shop --container=gateway -- node cli/main.ts local sessions --json',
    );
  });

  test('for programs; a pod that cannot be asked is told of, exit code 1', async () => {
    allGood();
    kubectl.put(
      'exec/orders-1.sh',
      `echo 'postern local: no gateway listens on /run/postern/admin.sock' >&2; echo 'command terminated with exit code 1' >&2; exit 1`,
    );
    const { code, out, err } = await kubectl.postern(['sessions', 'orders', '-o', 'json']);
    expect(JSON.parse(out)).toMatchObject([{ pod: 'orders-2', user: 'cid' }]);
    expect(err).toBe('kubectl postern: pod orders-1 is missing here: no gateway listens on /run/postern/admin.sock\n');
    expect(code).toBe(1);
  });

  test('no pods', async () => {
    allGood();
    kubectl.put('get/pods.json', list());
    const { code, err } = await kubectl.postern(['sessions', 'orders']);
    expect(err).toBe('kubectl postern: gateway orders has no pods: "kubectl postern status orders" says why\n');
    expect(code).toBe(1);
  });
});

describe('terminate', () => {
  test('finds the pod of a session, and ends it there', async () => {
    allGood();
    kubectl.put(
      'exec/orders-2.sh',
      `if [ "$4" = terminate ]; then echo "terminated $5"; else ${says(sessions('orders-2', 'cid'))} fi`,
    );
    expect(await kubectl.postern(['terminate', 'orders', 'id-cid'])).toEqual({
      code: 0,
      out: 'terminated id-cid\n',
      err: '',
    });
    expect(kubectl.calls()).toMatch(/exec orders-2 .* -- node cli\/main\.ts local terminate id-cid\n/);
    expect(kubectl.calls()).not.toMatch(/exec orders-1 .* terminate/);
  });

  test('a session that is not there, or whose pod cannot be asked', async () => {
    allGood();
    const gone = await kubectl.postern(['terminate', 'orders', 'id-eve']);
    expect(gone.err).toBe('kubectl postern: gateway orders has no session id-eve\n');
    kubectl.put('exec/orders-2.sh', 'echo "error: lost" >&2; exit 1');
    const unknown = await kubectl.postern(['terminate', 'orders', 'id-cid']);
    expect(unknown.err).toBe(
      'kubectl postern: gateway orders has no session id-cid, as far as its pods could be asked: lost\n',
    );
    expect(unknown.code).toBe(1);
  });
});

describe('drain', () => {
  /** The drain of a pod ends its container before kubectl has the last word; another one runs soon after. */
  function drains(name: string, then: readonly Json[]): void {
    kubectl.put(`get/after-${name}.json`, list(...then));
    kubectl.put(
      `exec/${name}.sh`,
      `echo '{"sessions":1,"drained":false}'; (sleep 1; cp get/after-${name}.json get/pods.json) > /dev/null 2>&1 &
       echo 'command terminated with exit code 137' >&2; exit 137`,
    );
  }
  const again = (name: string, more: Json = {}) => pod(name, { containerID: `d-${name}`, restartCount: 1, ...more });

  test('the pods of a gateway, one after another; each waits for as many ready pods as there were', async () => {
    allGood();
    drains('orders-1', [again('orders-1'), pod('orders-2')]);
    drains('orders-2', [again('orders-1'), pod('orders-3')]);
    const { code, out, err } = await kubectl.postern(['drain', 'orders', '-n', 'shop']);
    expect(err).toBe('');
    expect(out.trim().split('\n')).toEqual([
      'pod orders-1 is draining, 1 session left',
      'pod orders-1 is replaced: 2 ready',
      'pod orders-2 is draining, 1 session left',
      'pod orders-2 is replaced: 2 ready',
    ]);
    expect(code).toBe(0);
    // Unready for two failed probes five seconds apart, and two seconds for the news to spread.
    expect(kubectl.calls()).toContain(
      'exec orders-1 --namespace=shop --container=gateway -- node cli/main.ts local drain --json --grace 12',
    );
  });

  test('a pod by its name; the only ready one with a warning', async () => {
    kubectl.put('get/pods.json', list(pod('orders-1')));
    kubectl.put('get/pods/orders-1.json', pod('orders-1'));
    drains('orders-1', [again('orders-1')]);
    const { code, out } = await kubectl.postern(['drain', 'orders-1']);
    expect(out).toMatch(/^gateway orders has one ready pod: nobody can connect until there is one again\npod orders-1/);
    expect(code).toBe(0);
  });

  test('no replacement comes: says so, and drains no other', async () => {
    allGood();
    drains('orders-1', [again('orders-1', { ready: false }), pod('orders-2')]);
    const { code, err } = await kubectl.postern(['drain', 'orders', '--timeout', '3s']);
    expect(err).toBe(
      'kubectl postern: pod orders-1 is drained, but there are not 2 ready pods again: "kubectl postern status orders" says why\n',
    );
    expect(code).toBe(1);
    expect(kubectl.calls()).not.toContain('exec orders-2');
  });

  test('a pod that does not begin: says why, and drains no other', async () => {
    allGood();
    kubectl.put(
      'exec/orders-1.sh',
      `echo 'error: unable to upgrade connection: container not found ("gateway")' >&2; exit 1`,
    );
    const { code, err } = await kubectl.postern(['drain', 'orders']);
    expect(err).toBe(
      'kubectl postern: pod orders-1 cannot be drained: unable to upgrade connection: container not found ("gateway")\n',
    );
    expect(code).toBe(1);
    expect(kubectl.calls()).not.toContain('exec orders-2');
  });

  test('what is no gateway', async () => {
    allGood();
    kubectl.put('get/pods/postgres-0.json', { metadata: { name: 'postgres-0', namespace: 'shop', uid: 'p' } });
    expect((await kubectl.postern(['drain', 'postgres-0'])).err).toContain("pod postgres-0 is not a gateway's");
    expect((await kubectl.postern(['drain', 'order'])).err).toBe(
      'kubectl postern: no PostgresGateway order in this namespace: there is orders; nor is there a pod order\n',
    );
    expect((await kubectl.postern(['drain', 'pod/orders'])).err).toContain('no pod orders in this namespace');
    expect(kubectl.calls()).not.toContain('exec');
  });
});

describe('what is wrong is said in a sentence', () => {
  test('no kubectl', async () => {
    const { code, err } = await kubectl.postern(['status'], { path: '/nowhere' });
    expect(err).toMatch(/^kubectl postern: kubectl is not on the PATH: install it[^\n]*\n$/);
    expect(code).toBe(2);
  });

  test.each([
    [
      'Error from server (Forbidden): postgresgateways.postern.dev is forbidden: User "jane" cannot list resource "postgresgateways" in API group "postern.dev" in the namespace "shop"',
      'jane may not list postgresgateways.postern.dev in namespace shop: ask for a role that allows it',
    ],
    [
      'Error from server (Forbidden): postgresgateways.postern.dev is forbidden: User "jane" cannot list resource "postgresgateways" in API group "postern.dev" at the cluster scope',
      'jane may not list postgresgateways.postern.dev in all namespaces',
    ],
    [
      `error: the server doesn't have a resource type "postgresgateways"`,
      'this cluster does not know that kind: install the CRDs of Postern',
    ],
    ['error: You must be logged in to the server (Unauthorized)', 'the cluster does not accept your credentials'],
    [
      'The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?',
      'the cluster cannot be reached',
    ],
    ['error: context "prod" does not exist', 'there is no such context'],
    ['Error in configuration: context was not found for specified context: prod', 'there is no such context'],
    ['error: something new', 'kubectl failed: something new'],
    ['', 'kubectl failed: it said nothing'],
  ])('kubectl says %s', async (said, expected) => {
    kubectl.put(`get/${GATEWAYS}.err`, said);
    const { code, out, err } = await kubectl.postern(['status']);
    expect(err).toContain(`kubectl postern: ${expected}`);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect([code, out]).toEqual([2, '']);
  });

  test('no such gateway: those that there are', async () => {
    allGood();
    for (const call of [
      ['status', 'order'],
      ['sessions', 'order'],
      ['explain', 'order', '--user', 'ann', 'SELECT 1'],
    ])
      expect((await kubectl.postern(call)).err).toBe(
        'kubectl postern: no PostgresGateway order in this namespace: there is orders\n',
      );
  });

  test('an answer that is not JSON', async () => {
    kubectl.put(`get/${GATEWAYS}.json`, 'hello');
    expect((await kubectl.postern(['status'])).err).toContain('kubectl answered something that is not JSON');
  });

  test.each([
    [[], 2, /Usage: kubectl postern COMMAND/],
    [['--version'], 0, /^\d+\.\d+\.\d+$/m],
    [['help', 'drain'], 0, /--timeout TIME/],
    [['stats'], 2, /unknown command "stats"; did you mean status\?/],
    [['status', '-A', 'orders'], 2, /leave out -A/],
    [['status', 'a', 'b'], 2, /unexpected argument "b"/],
    [['sessions'], 2, /name the gateway/],
    [['terminate', 'orders'], 2, /name the gateway and the sessions/],
    [['drain'], 2, /name the gateway or the pod/],
    [['drain', 'orders', '--timeout', '5'], 2, /write it as 90s, 10m or 1h/],
    [['explain', 'orders', 'SELECT 1'], 2, /say with --user/],
    [['explain', 'orders', '--user', 'ann'], 2, /give the SQL/],
  ] as const)('%j: exit code %i', async (args, code, expected) => {
    const result = await kubectl.postern(args);
    expect(result.out + result.err).toMatch(expected);
    expect(result.code).toBe(code);
  });
});

test("kubectl's own flags are handed on, to reads and to commands in pods", async () => {
  allGood();
  const flags = ['--context=c', '--cluster=k', '--kubeconfig=/f', '--as=jane', '--as-group=a', '--as-group=b'];
  await kubectl.postern(['sessions', 'orders', ...flags, '--request-timeout', '5s', '-n', 'shop']);
  const calls = kubectl.calls().trim().split('\n');
  const handed = '--context=c --cluster=k --kubeconfig=/f --as=jane --as-group=a --as-group=b';
  expect(calls).toContain(`get ${GATEWAYS} orders --namespace=shop ${handed} --request-timeout=5s --output=json`);
  // A drain may take longer than any one request should.
  expect(calls.filter((call) => call.startsWith('exec ')).every((call) => !call.includes('timeout'))).toBe(true);
  for (const call of calls) expect(call).toContain(handed);
});

test('what kubectl asks its user while it waits is shown', async () => {
  allGood();
  kubectl.put(
    'exec/orders-1.sh',
    `echo 'To sign in, open https://example.com/device' >&2; sleep 1.6; ${says(sessions('orders-1'))}`,
  );
  const { code, err } = await kubectl.postern(['sessions', 'orders']);
  expect(err).toBe('To sign in, open https://example.com/device\n');
  expect(code).toBe(0);
});

test('postern kube is the same', async () => {
  const { code, out } = await postern(['kube', 'status', '--help']);
  expect(out).toContain('Usage: kubectl postern status');
  expect(code).toBe(0);
});
