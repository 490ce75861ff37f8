import { expect, test } from 'vitest';
import { readCall } from '../../operator/call.ts';

const LEAST = ['--namespace', 'postern', '--image', 'postern:1'];

test('the least that is said, and what it means', () => {
  expect(readCall(LEAST)).toEqual({
    namespace: 'postern',
    watched: [],
    image: 'postern:1',
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    controlService: 'postern-control',
    controlPort: 8443,
    adminPort: 8080,
    lease: 'postern-operator',
    level: 'info',
  });
});

test('a namespace that is named twice is watched once', () => {
  const call = readCall([...LEAST, '--watch-namespace=a', '--watch-namespace=b', '--watch-namespace=a']);
  expect(call.watched).toEqual(['a', 'b']);
});

test.each([
  ['no namespace', ['--image', 'x']],
  ['no image', ['--namespace', 'x']],
  ['an empty namespace', ['--namespace', '', '--image', 'x']],
  ['an unknown option', [...LEAST, '--kubeconfig', 'x']],
  ['a word that belongs to nothing', [...LEAST, 'x']],
  ['a pull policy that is none', [...LEAST, '--image-pull-policy', 'Sometimes']],
  ['a level that is none', [...LEAST, '--log-level', 'loud']],
  ['a port that is none', [...LEAST, '--admin-port', '0']],
  ['a port that is too high', [...LEAST, '--control-port', '65536']],
])('%s is refused', (_name, args) => {
  expect(() => readCall(args)).toThrow();
});
