/**
 * The operator: makes gateways of the custom resources of a cluster.
 * Exit codes: 0 stopped, 1 it lost the lease or could not start, 2 the call is wrong.
 */
import { createLogger } from '../gateway/telemetry/logs.ts';
import { type Call, readCall, USAGE } from './call.ts';
import { startOperator } from './operator.ts';

/** Longer than the calls of work under way are given, shorter than a pod has for its end. */
const STOP_TIMEOUT = 20_000;

async function main(call: Call): Promise<number> {
  const log = createLogger({ level: call.level });
  const operator = await startOperator(call, log);
  log.info({ namespaces: call.watched.length === 0 ? 'all' : call.watched, image: call.image }, 'Started');
  const asked = new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve);
  });
  const lost = operator.lost.then((reason) => ({ reason }));
  const why = await Promise.race([asked, lost]);
  if (typeof why === 'object') return 1;
  log.info({ by: why }, 'Stopping');
  const late = setTimeout(() => {
    log.error({}, 'What is under way did not end in time');
    process.exit(1);
  }, STOP_TIMEOUT);
  await operator.stop();
  clearTimeout(late);
  log.info({}, 'Stopped');
  return 0;
}

let call: Call;
try {
  call = readCall(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${USAGE}`);
  process.exit(2);
}
try {
  process.exit(await main(call));
} catch (error) {
  createLogger().fatal({ err: error }, `The operator could not start: ${(error as Error).message}`);
  process.exit(1);
}
