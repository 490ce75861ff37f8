import { expect, test } from 'vitest';
import { ownerOf } from '../../operator/reconcile/ownership.ts';
import { object, storedGateway } from './objects.ts';

const reference = (parts: object = {}) => ({
  apiVersion: 'postern.dev/v1alpha1',
  kind: 'PostgresGateway',
  name: 'orders',
  uid: 'gateway-1',
  controller: true,
  ...parts,
});
const LABELS = { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/gateway': 'orders' };

test.each([
  ['one that the gateway controls', { ownerReferences: [reference()] }, 'Ours'],
  ['one of a former gateway of this name', { ownerReferences: [reference({ uid: 'gateway-0' })] }, 'Former'],
  ['one of another gateway', { ownerReferences: [reference({ uid: 'x', name: 'other' })] }, 'Foreign'],
  ['one of another kind', { ownerReferences: [reference({ uid: 'x', kind: 'Application' })] }, 'Foreign'],
  [
    'one of a kind of that name elsewhere',
    { ownerReferences: [reference({ uid: 'x', apiVersion: 'a/v1' })] },
    'Foreign',
  ],
  [
    'one that the gateway owns and does not control',
    { ownerReferences: [reference({ controller: false })] },
    'Foreign',
  ],
  ['one of nobody', {}, 'Foreign'],
  ['one that was left behind', { labels: LABELS }, 'Ours'],
  ['one that was left behind by another', { labels: { ...LABELS, 'postern.dev/gateway': 'other' } }, 'Foreign'],
  [
    'one with our labels that somebody owns',
    { labels: LABELS, ownerReferences: [reference({ controller: false })] },
    'Foreign',
  ],
])('%s', (_name, metadata, owner) => {
  expect(ownerOf(object('Deployment', 'orders', metadata), storedGateway())).toBe(owner);
});
