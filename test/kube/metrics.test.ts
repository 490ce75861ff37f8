import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Controller } from '../../operator/kube/controller.ts';
import { createKubeMetrics } from '../../operator/kube/metrics.ts';
import { createManualClock, settle } from './clocks.ts';
import { createLog, PODS } from './objects.ts';

test('everything has the name that dashboards know', async () => {
  const registry = new Registry();
  const metrics = createKubeMetrics(registry);
  const clock = createManualClock();
  const controller = new Controller({
    name: 'gateway',
    reconcile: async () => ({ kind: 'Done' }),
    log: createLog(),
    clock,
    hooks: metrics.controller('gateway'),
  });
  metrics.counted('200', 'GET', 'api:443');
  metrics.counted('<error>', 'PATCH', 'api:443');
  const leader = metrics.leader('postern-operator');
  leader(false);
  leader(true);
  metrics.reflector.listed(PODS, null);
  metrics.reflector.listed(PODS, 2);
  metrics.reflector.failed(PODS, 'Gone');
  for (const key of ['a', 'b', 'c']) controller.queue.add(key);
  const before = await registry.metrics();
  expect(before).toContain('workqueue_depth{name="gateway",controller="gateway"} 3');
  expect(before).toContain('controller_runtime_reconcile_total{controller="gateway",result="error"} 0');
  controller.start();
  await settle();
  const lines = (await registry.metrics()).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'rest_client_requests_total{code="200",method="GET",host="api:443"} 1',
      'rest_client_requests_total{code="<error>",method="PATCH",host="api:443"} 1',
      'leader_election_master_status{name="postern-operator"} 1',
      'postern_reflector_lists_total{resource="pods"} 2',
      'postern_reflector_missed_changes_total{resource="pods"} 2',
      'postern_reflector_failures_total{resource="pods",reason="Gone"} 1',
      'controller_runtime_reconcile_total{controller="gateway",result="success"} 3',
      'controller_runtime_reconcile_errors_total{controller="gateway"} 0',
      'controller_runtime_terminal_reconcile_errors_total{controller="gateway"} 0',
      'controller_runtime_reconcile_timeouts_total{controller="gateway"} 0',
      'controller_runtime_reconcile_time_seconds_count{controller="gateway"} 3',
      'controller_runtime_max_concurrent_reconciles{controller="gateway"} 8',
      'controller_runtime_active_workers{controller="gateway"} 0',
      'workqueue_depth{name="gateway",controller="gateway"} 0',
      'workqueue_adds_total{name="gateway",controller="gateway"} 3',
      'workqueue_retries_total{name="gateway",controller="gateway"} 0',
      'workqueue_queue_duration_seconds_count{name="gateway",controller="gateway"} 3',
      'workqueue_work_duration_seconds_count{name="gateway",controller="gateway"} 3',
      'workqueue_unfinished_work_seconds{name="gateway",controller="gateway"} 0',
      'workqueue_longest_running_processor_seconds{name="gateway",controller="gateway"} 0',
    ]),
  );
});
