import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { gatewayYaml, maskYaml, policyYaml } from '../test/operator/manifests.ts';
import { Fleet } from './kit/fleet.ts';
import { type Http, openHttp } from './kit/http.ts';
import { install } from './kit/install.ts';
import { apply, collection, createNamespace, pathOf } from './kit/objects.ts';
import { type OperatorProcess, startOperator } from './kit/operator-process.ts';
import { until } from './kit/until.ts';

type Json = Record<string, unknown>;

const INSTALLATION = { namespace: 'postern-main', watched: ['main'] };
const here = (object: Json): Json => ({ ...object, metadata: { ...(object.metadata as Json), namespace: 'main' } });

let http: Http;
let operator: OperatorProcess;
let fleet: Fleet;
beforeAll(async () => {
  const api = inject('apiServer');
  http = openHttp(api.url, api.ca, api.adminToken);
  await createNamespace(http, 'main');
  await install(http, INSTALLATION);
  operator = await startOperator({ api, admin: http, installation: INSTALLATION });
  fleet = await new Fleet({
    http,
    namespaces: ['main'],
    operator: INSTALLATION.namespace,
    ports: () => [operator.controlPort],
  }).start();
});
afterAll(async () => {
  await fleet.stop();
  await operator.kill();
  await http.close();
});

test('three manifests become a gateway that says of itself that it is ready', async () => {
  const [gateway, policy, mask] = [here(gatewayYaml()), here(policyYaml('read')), here(maskYaml('hide'))];
  for (const object of [policy, mask, gateway]) await apply(http, object);
  const live = await until(
    async () => {
      const object = await http.must(pathOf(gateway));
      const ready = object.status?.conditions?.find(({ type }: { type: string }) => type === 'Ready');
      return ready?.status === 'True' ? object : null;
    },
    async () => `${JSON.stringify(await http.must(pathOf(gateway)), null, 1)}\n${await operator.log()}`,
  );
  expect(live.status).toMatchObject({ address: 'orders.main.svc', attached: { accessPolicies: 1, maskingRules: 1 } });
  const { items } = await http.must(collection('apps/v1', 'Deployment', 'main'));
  expect(items).toHaveLength(1);
});
