import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Clock } from '../../operator/kube/clock.ts';
import { followClusterIssuer } from '../../operator/reconcile/cluster-issuer.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const rsa = (kid: string) => ({ kty: 'RSA', kid, n: 'AQAB', e: 'AQAB' });

/** An API server whose answers a test sets, and a clock that goes when told. */
function stage() {
  const answers: Record<string, unknown> = {
    '/.well-known/openid-configuration': { issuer: 'https://kubernetes.default.svc' },
    '/openid/v1/jwks': { keys: [rsa('a')] },
  };
  const timers: (() => void)[] = [];
  const delays: number[] = [];
  const clock: Clock = {
    now: () => 0,
    wall: () => 0,
    after(milliseconds, callback) {
      delays.push(milliseconds);
      timers.push(callback);
      return () => {};
    },
  };
  const raw = async (path: string): Promise<Buffer> => {
    if (answers[path] instanceof Error) throw answers[path];
    return Buffer.from(JSON.stringify(answers[path]));
  };
  let changes = 0;
  const ended = new AbortController();
  const current = followClusterIssuer({
    client: { raw },
    log: SILENT,
    onChange: () => {
      changes += 1;
    },
    signal: ended.signal,
    clock,
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await turn();
  };
  return {
    answers,
    delays,
    current,
    settle,
    changes: () => changes,
    async next() {
      timers.shift()?.();
      await settle();
    },
  };
}

test('keys are known, in an order of their own, and told of when they change', async () => {
  const { answers, current, settle, next, changes, delays } = stage();
  expect(current()).toBeNull();
  await settle();
  expect(current()).toEqual({ issuer: 'https://kubernetes.default.svc', jwks: { keys: [rsa('a')] } });
  await next();
  expect(changes()).toBe(1);
  answers['/openid/v1/jwks'] = { keys: [rsa('b'), rsa('a')] };
  await next();
  expect(current()?.jwks.keys).toEqual([rsa('a'), rsa('b')]);
  expect(changes()).toBe(2);
  expect(delays).toEqual([300_000, 300_000, 300_000]);
});

test.each([
  ['an error', new Error('no')],
  ['no keys', { keys: [] }],
  ['no list', {}],
  ['a private key', { keys: [{ ...rsa('a'), d: 'secret' }] }],
  ['a shared secret', { keys: [{ kty: 'oct', k: 'secret' }] }],
  ['nonsense', { keys: ['a'] }],
])('%s leaves what was good, and is tried again later each time', async (_name, answer) => {
  const { answers, current, settle, next, changes, delays } = stage();
  await settle();
  const good = current();
  answers['/openid/v1/jwks'] = answer;
  await next();
  await next();
  expect(current()).toBe(good);
  expect(changes()).toBe(1);
  expect(delays).toEqual([300_000, 1_000, 2_000]);
});
