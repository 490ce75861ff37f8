import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hold } from '../kit/agent.ts';
import { eventually } from '../kit/eventually.ts';
import { all, apply, find, get, kubectl, patch, remove, type Thing } from '../kit/kubectl.ts';
import { GATEWAY, gatewayObject } from '../kit/manifests.ts';
import { measure } from '../kit/measure.ts';
import { installOperator } from '../kit/operator.ts';
import { ANN, auditRecords, createSite, type Site } from '../kit/site.ts';
import { removeVolumes, storageClass } from '../kit/volumes.ts';

const NAMESPACE = 'e2e-claims';

/** Where a record stands: the log, and its number in it. */
interface Place {
  readonly log: string;
  readonly sequence: number;
}

describe('spools on claims', () => {
  let site: Site;
  let spool: object;

  beforeAll(async () => {
    await installOperator();
    const storageClassName = await storageClass(2);
    const volumeClaimTemplate = storageClassName === undefined ? {} : { storageClassName };
    spool = { audit: { spool: { size: '128Mi', volumeClaimTemplate } } };
    site = await createSite(NAMESPACE, spool);
  });

  afterAll(async () => {
    await remove(null, 'namespace', NAMESPACE);
    await removeVolumes();
  });

  /** Runs a statement in a session of this pod; gives where its record is. */
  async function recorded(pod: Thing): Promise<Place> {
    const alias = `r${Date.now()}`;
    const session = await hold(await site.login(ANN, pod));
    expect(await session.query(`SELECT count(*)::int AS ${alias} FROM orders`)).toMatchObject({ ok: true });
    await session.close();
    const { metadata } = await eventually('the record is shipped', async () => {
      return (await auditRecords(site, alias)).find(({ query_info }) => query_info !== undefined);
    });
    const place = metadata as unknown as { readonly log_name: string; readonly sequence: number };
    return { log: place.log_name, sequence: place.sequence };
  }

  async function pod(ordinal: number): Promise<Thing> {
    const found = (await site.pods()).find(({ metadata }) => metadata.name === `${GATEWAY}-${ordinal}`);
    if (found === undefined) throw new Error(`no pod ${ordinal}`);
    return found;
  }

  const claims = async () => (await all(NAMESPACE, 'pvc')).map(({ metadata }) => metadata.uid!).sort();

  /** Waits until a pod of this ordinal serves that is another than `old`. */
  async function replaced(old: Thing): Promise<Thing> {
    return await eventually(
      'the pod is replaced',
      async () => {
        const now = await find(NAMESPACE, 'pod', old.metadata.name);
        const ready = now?.status.containerStatuses?.every(({ ready }: { ready: boolean }) => ready) === true;
        return ready && now?.metadata.uid !== old.metadata.uid ? now : undefined;
      },
      { within: 120_000 },
    );
  }

  test('the gateway is a StatefulSet with a claim and a log for each pod', async () => {
    expect(await find(NAMESPACE, 'deployment', GATEWAY)).toBeNull();
    expect(await get(NAMESPACE, 'statefulset', GATEWAY)).toMatchObject({ status: { readyReplicas: 2 } });
    const bound = await all(NAMESPACE, 'pvc');
    expect(bound.map(({ status }) => status.phase)).toEqual(['Bound', 'Bound']);
    const [first, second] = [await recorded(await pod(0)), await recorded(await pod(1))];
    expect(first.log).not.toBe(second.log);
  });

  test('a pod that is deleted comes back to its claim and goes on with its log', async () => {
    const old = await pod(0);
    const [before, held] = [await recorded(old), await claims()];
    const start = Date.now();
    await remove(NAMESPACE, 'pod', old.metadata.name, '--wait=false');
    const now = await replaced(old);
    measure('pod of a StatefulSet deleted to another that serves', Date.now() - start);
    await site.ready();
    const after = await recorded(now);
    expect(after.log).toBe(before.log);
    expect(after.sequence).toBeGreaterThan(before.sequence);
    expect(await claims()).toEqual(held);
  });

  test('a change of what pods are made of rolls them; every log goes on', async () => {
    const olds = [await pod(0), await pod(1)];
    const before = [await recorded(olds[0]!), await recorded(olds[1]!)];
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { limits: { statementBytes: 65_536 } } });
    for (const [i, old] of olds.entries()) expect((await recorded(await replaced(old))).log).toBe(before[i]!.log);
    await site.ready(120_000);
  });

  test('the claims outlive the gateway: one of the same name goes on with the logs', async () => {
    const [before, held] = [await recorded(await pod(0)), await claims()];
    await remove(NAMESPACE, 'pggw', GATEWAY);
    await eventually('its pods are gone', async () => ((await site.pods()).length === 0 ? true : undefined));
    expect(await claims()).toEqual(held);
    await apply(gatewayObject(NAMESPACE, spool));
    await site.ready(120_000);
    const after = await recorded(await pod(0));
    expect(after.log).toBe(before.log);
    expect(after.sequence).toBeGreaterThan(before.sequence);
  });

  test('back to a spool in the pod: a Deployment serves before the StatefulSet goes; the claims stay', async () => {
    const held = await claims();
    await kubectl([
      '-n',
      NAMESPACE,
      'patch',
      'pggw',
      GATEWAY,
      '--type=json',
      '-p',
      JSON.stringify([{ op: 'replace', path: '/spec/audit/spool', value: { size: '128Mi', emptyDir: {} } }]),
    ]);
    const served = await eventually(
      'the StatefulSet is gone',
      async () => {
        const [old, now] = [
          await find(NAMESPACE, 'statefulset', GATEWAY),
          await find(NAMESPACE, 'deployment', GATEWAY),
        ];
        return old === null ? (now?.status.readyReplicas ?? 0) : undefined;
      },
      { within: 120_000 },
    );
    expect(served).toBeGreaterThan(0);
    await site.ready(120_000);
    expect(await claims()).toEqual(held);
  });
});
