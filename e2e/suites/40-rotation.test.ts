import { beforeAll, describe, expect, test } from 'vitest';
import { type Held, hold, signIn } from '../kit/agent.ts';
import { eventually } from '../kit/eventually.ts';
import { asOwner, ROLES } from '../kit/infra.ts';
import { apply, patch } from '../kit/kubectl.ts';
import { policyObject, roleSecret, serverCertificate, tlsSecret } from '../kit/manifests.ts';
import { measure } from '../kit/measure.ts';
import { installOperator } from '../kit/operator.ts';
import { createSite, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-rotation';
const NEW_PASSWORD = 'the-second';
const RITA = { username: 'rita@example.com', groups: ['rotating'] };
/** The kubelet looks at mounted Secrets about once a minute. */
const KUBELET = 150_000;

describe('Secrets and certificates change under a gateway that runs', () => {
  let site: Site;
  let before: string;
  let old: Held;
  let oldSerial: string;

  beforeAll(async () => {
    await installOperator();
    await asOwner(`ALTER ROLE rotated PASSWORD '${ROLES.rotated}'`);
    site = await createSite(NAMESPACE);
    const rules = [{ name: 'read', action: 'Allow', statements: ['Select'], relations: ['public.*'] }];
    await apply(policyObject(NAMESPACE, 'rotating', { subjects: [{ group: 'rotating' }], role: 'rotated', rules }));
    old = await eventually('the policy is in force', async () => hold(await site.login(RITA)));
    oldSerial = (await old.state()).serial;
    before = await incarnations(site);
  });

  test('a new password and a new certificate count for new connections; the old session lives', async () => {
    const start = Date.now();
    await asOwner(`ALTER ROLE rotated PASSWORD '${NEW_PASSWORD}'`);
    await apply(
      roleSecret(NAMESPACE, 'orders-rotated', 'rotated', NEW_PASSWORD),
      tlsSecret(NAMESPACE, await serverCertificate(NAMESPACE, site.authority)),
    );
    // With the password that counts no more nobody gets in, and is told that it is not their doing.
    const refused = (await signIn(await site.login(RITA))).answer;
    if (!refused.ok) expect(refused.message).not.toMatch(/the-(first|second)/);
    for (const pod of await site.pods()) {
      const login = await site.login(RITA, pod);
      const within = { within: KUBELET, every: 1000 };
      const serial = await eventually(
        `a session with the new password at ${pod.metadata.name}`,
        async () => {
          const session = await hold(login);
          expect(await session.query('SELECT current_user AS role')).toMatchObject({ rows: [{ role: 'rotated' }] });
          const state = await session.state();
          await session.close();
          return state.serial === oldSerial ? undefined : state.serial;
        },
        within,
      );
      expect(serial).not.toBe(oldSerial);
    }
    measure('Secrets applied to used by every pod (the kubelet’s time)', Date.now() - start);
    expect(await old.query('SELECT count(*)::int AS n FROM orders')).toEqual({ ok: true, rows: [{ n: 3 }] });
    expect((await old.state()).serial).toBe(oldSerial);
  });

  test('no pod was started anew', async () => {
    expect(await incarnations(site)).toBe(before);
    await old.close();
  });

  test('a certificate that does not fit its key leaves the one before in force', async () => {
    const [one, other] = [
      await serverCertificate(NAMESPACE, site.authority),
      await serverCertificate(NAMESPACE, site.authority),
    ];
    await apply(tlsSecret(NAMESPACE, { certPem: one.certPem, keyPem: other.keyPem }));
    // The kubelet looks again at once where a pod has changed.
    const pods = await site.pods();
    for (const { metadata } of pods) {
      await patch(NAMESPACE, 'pod', metadata.name, { metadata: { annotations: { looked: String(Date.now()) } } });
    }
    await new Promise((resolve) => setTimeout(resolve, 5000));
    for (const pod of pods) await (await hold(await site.login(RITA, pod))).close();
  });
});
