import type { TestProject } from 'vitest/node';
import { type ApiServerAddress, startApiServer } from './api-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    apiServer: ApiServerAddress;
  }
}

/** One API server for all files that do not break theirs; each file works in namespaces of its own. */
// biome-ignore lint/style/noDefaultExport: vitest calls the default export
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { url, ca, adminToken, stop } = await startApiServer();
  project.provide('apiServer', { url, ca, adminToken });
  return stop;
}
