import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { compile } from '../../operator/plan/compile.ts';
import { plan } from '../../operator/plan/plan.ts';
import { documentText, revisionOf } from '../../operator/plan/text.ts';
import { gateway, mask, policy } from '../operator/manifests.ts';
import { fresh, known, settled, stored } from './kit.ts';

const POLICIES = ['a', 'b"ü', 'é'].map((user, i) => policy(`p-${i}`, { subjects: [{ user }] }));
const MASKS = [mask('m'), mask('n', { subjects: [{ group: 'g' }] })];
const documentOf = (input: ReturnType<typeof fresh>) => compile({ ...input, pods: 1 }).document!;

test('the text of a document is its canonical JSON, and names it as the gateway does', () => {
  fc.assert(
    fc.property(fc.subarray(POLICIES), fc.subarray(MASKS), (policies, maskingRules) => {
      const document = documentOf(fresh({ policies, maskingRules }));
      expect(documentText(document)).toBe(canonicalJson(document));
      expect(revisionOf(document)).toBe(makeRevision(document).revision);
    }),
  );
});

test('what has not changed is not compiled anew, what has is', () => {
  const [first, ...others] = POLICIES;
  const before = documentOf(fresh({ policies: POLICIES, maskingRules: MASKS }));
  const edited = { ...first!, spec: { ...first!.spec, databases: ['orders'] } };
  const after = documentOf(fresh({ policies: [edited, ...others], maskingRules: MASKS }));
  expect(after.policies.map((one, i) => one === before.policies[i])).toEqual([false, true, true]);
  expect(after.policies[0]).toMatchObject({ databases: ['orders'] });
  expect(after.masks.map((one, i) => one === before.masks[i])).toEqual([true, true]);
});

test('a policy on two gateways is judged by the roles of each', () => {
  const roles = [{ name: 'rw', secretRef: { name: 'rw-login' } }];
  const other = stored(gateway({ upstream: { host: 'db', roles, catalogRole: 'rw' } }));
  const accepted = (input: ReturnType<typeof fresh>) => plan(input).attachments[0]!.conditions[0];
  const policies = POLICIES.slice(0, 1);
  for (let i = 0; i < 2; i++) {
    expect(accepted(fresh({ policies }))).toMatchObject({ type: 'Accepted', status: 'True' });
    expect(accepted(fresh({ policies, gateway: other }))).toMatchObject({
      status: 'False',
      message: 'spec.role: "ro" is not a role of the gateway; its spec.upstream.roles are: rw',
    });
  }
});

test('a plan is the same whether or not its objects were seen before', () => {
  const input = known(settled({ policies: POLICIES, maskingRules: MASKS }));
  expect(plan(structuredClone(input))).toEqual(plan(input));
});
