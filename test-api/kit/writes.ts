import type { Http } from './http.ts';

const WRITES = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE', 'DELETECOLLECTION']);

/** Writes that the API server has counted since its start, by `VERB resource`; without leases, which are renewed. */
export async function countWrites(http: Http): Promise<ReadonlyMap<string, number>> {
  const exposition: string = (await http.ask('/metrics')).body;
  const counts = new Map<string, number>();
  for (const line of exposition.split('\n')) {
    if (!line.startsWith('apiserver_request_total{')) continue;
    const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? '';
    const [verb, resource, subresource] = [label('verb'), label('resource'), label('subresource')];
    if (!WRITES.has(verb) || resource === 'leases') continue;
    const key = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
    counts.set(key, (counts.get(key) ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
  return counts;
}

/** What has been written since an earlier count. */
export async function writesSince(http: Http, before: ReadonlyMap<string, number>): Promise<Record<string, number>> {
  const now = await countWrites(http);
  const more = [...now].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count !== 0));
}
