import { describe, expect, test } from 'vitest';
import { difference } from '../../operator/reconcile/compare.ts';

describe('what others added does not count', () => {
  test.each([
    ['a field', { a: 1, b: 2 }, { a: 1 }],
    [
      'a container',
      { containers: [{ name: 'sidecar' }, { name: 'gateway', image: 'x' }] },
      { containers: [{ name: 'gateway' }] },
    ],
    [
      'a port',
      {
        ports: [
          { port: 1, protocol: 'TCP' },
          { port: 2, protocol: 'TCP' },
        ],
      },
      { ports: [{ port: 2 }] },
    ],
    ['an empty list that the API server leaves out', { spec: {} }, { spec: { tolerations: [] } }],
    [
      'an empty map that it leaves out',
      { spec: { podSelector: {} } },
      { spec: { podSelector: { matchLabels: {} }, nodeSelector: {} } },
    ],
    [
      'both, in a list that is one value',
      { ingress: [{ from: [{ podSelector: {} }] }] },
      { ingress: [{ from: [{ podSelector: { matchLabels: {}, matchExpressions: [] } }] }] },
    ],
    ['an owner', { ownerReferences: [{ uid: 'a' }, { uid: 'b' }] }, { ownerReferences: [{ uid: 'b' }] }],
    ['a zero that the API server leaves out', {}, { minReadySeconds: 0 }],
    [
      'another way to write a quantity',
      { limits: { cpu: '500m', memory: '1536Mi' } },
      { limits: { cpu: '0.5', memory: '1.5Gi' } },
    ],
    ['a size', { emptyDir: { sizeLimit: '1Gi' } }, { emptyDir: { sizeLimit: '1024Mi' } }],
  ])('%s', (_name, live, wanted) => {
    expect(difference(live, wanted)).toBeNull();
  });
});

describe('what is not as it should be is named', () => {
  test.each([
    ['a value', { spec: { replicas: 3 } }, { spec: { replicas: 2 } }, 'spec.replicas'],
    ['a field that is gone', { spec: {} }, { spec: { replicas: 2 } }, 'spec.replicas'],
    [
      'an empty object that is gone',
      { volumes: [{ name: 'a' }] },
      { volumes: [{ name: 'a', emptyDir: {} }] },
      'volumes.0.emptyDir',
    ],
    ['false that is gone', {}, { automountServiceAccountToken: false }, 'automountServiceAccountToken'],
    ['an item that is gone', { env: [{ name: 'b' }] }, { env: [{ name: 'a' }] }, 'env.0'],
    [
      'an item of the same name',
      { env: [{ name: 'a', value: 'x' }] },
      { env: [{ name: 'a', value: 'y' }] },
      'env.0.value',
    ],
    ['one source more in a list that is one value', { from: [{}, {}] }, { from: [{}] }, 'from'],
    [
      'a port more that a NetworkPolicy opens',
      { spec: { ingress: [{ ports: [{ port: 1 }, { port: 2 }] }] } },
      { spec: { ingress: [{ ports: [{ port: 1 }] }] } },
      'spec.ingress',
    ],
    [
      'a peer that lets in other namespaces too',
      { ingress: [{ from: [{ podSelector: {}, namespaceSelector: {} }] }] },
      { ingress: [{ from: [{ podSelector: {} }] }] },
      'ingress',
    ],
    ['another order in such a list', { args: ['b', 'a'] }, { args: ['a', 'b'] }, 'args.0'],
    ['another quantity', { limits: { memory: '1Gi' } }, { limits: { memory: '1G' } }, 'limits.memory'],
    ['a quantity where none may be read', { labels: { size: '1024Mi' } }, { labels: { size: '1Gi' } }, 'labels.size'],
    ['a list in the place of an object', { spec: [] }, { spec: { a: 1 } }, 'spec'],
    ['an object in the place of a list', { args: {} }, { args: ['a'] }, 'args'],
    ['nothing at all', undefined, { spec: 1 }, ''],
  ])('%s', (_name, live, wanted, where) => {
    expect(difference(live, wanted)).toBe(where);
  });
});
