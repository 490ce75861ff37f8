import { afterAll, afterEach } from 'vitest';
import { closeAgent } from './agent.ts';
import { collectEvidence } from './evidence.ts';
import { removeSites } from './kubectl.ts';

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.error(await collectEvidence(task.name));
});

afterAll(async () => {
  await closeAgent();
  await removeSites(false);
});
