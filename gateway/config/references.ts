import type { ConfigDocument } from './document.ts';

/**
 * What a JSON Schema cannot say: names inside the document that lead nowhere, names given twice, settings that need
 * each other. Returns one sentence per fault, each begun by its path; empty: none.
 */
export function referenceErrors(document: ConfigDocument): readonly string[] {
  return [...listenerErrors(document), ...roleErrors(document), ...policyErrors(document), ...maskErrors(document)];
}

function listenerErrors(document: ConfigDocument): readonly string[] {
  const errors = [
    ...duplicates('listeners', 'port', document.listeners),
    ...duplicates('listeners', 'name', document.listeners),
    ...duplicates('identity.issuers', 'name', document.identity.issuers),
  ];
  for (const [index, listener] of document.listeners.entries()) {
    const path = `listeners[${index}].authentication`;
    if (listener.authentication === 'Certificate') {
      if (document.identity.certificates === null) errors.push(`${path}: Certificate needs identity.certificates`);
    } else if (document.identity.issuers.length === 0) {
      errors.push(`${path}: ${listener.authentication} needs identity.issuers`);
    }
  }
  if (document.tls.secret === null && document.tls.mode === 'Required') {
    errors.push('tls.secret: is needed when tls.mode is Required');
  }
  return errors;
}

function roleErrors(document: ConfigDocument): readonly string[] {
  const { roles, catalogRole } = document.upstream;
  const errors = [...duplicates('upstream.roles', 'name', roles)];
  if (!roles.some((role) => role.name === catalogRole)) {
    errors.push(`upstream.catalogRole: "${catalogRole}" is not one of upstream.roles`);
  }
  return errors;
}

/** What changes rows that can be counted. */
const COUNTED = new Set(['Insert', 'Update', 'Delete', 'Merge']);

function policyErrors(document: ConfigDocument): readonly string[] {
  const roles = new Set(document.upstream.roles.map((role) => role.name));
  const errors: string[] = [];
  for (const [index, policy] of document.policies.entries()) {
    const path = `policies[${index}]`;
    if (policy.role !== null && !roles.has(policy.role)) {
      errors.push(`${path}.role: "${policy.role}" is not one of upstream.roles`);
    }
    if (policy.role === null && policy.rules.some((rule) => rule.action === 'Allow')) {
      errors.push(`${path}.role: is needed by a policy with Allow rules`);
    }
    for (const [number, rule] of policy.rules.entries()) {
      const alone = rule.statements.length === 1 && rule.action === 'Allow';
      if (rule.statements.includes('Any') && !alone) {
        errors.push(`${path}.rules[${number}].statements: Any stands alone, in a rule with action Allow`);
      }
      if (rule.maxRows !== null && !(rule.action === 'Allow' && rule.statements.every((cls) => COUNTED.has(cls)))) {
        errors.push(
          `${path}.rules[${number}].maxRows: bounds Insert, Update, Delete and Merge in a rule that allows them`,
        );
      }
    }
  }
  return errors;
}

function maskErrors(document: ConfigDocument): readonly string[] {
  return document.masks.flatMap(({ columns, detectors, hashKey }, index) => {
    const path = `masks[${index}]`;
    const errors: string[] = [];
    const given = [
      ...columns.map(({ mask }, i) => ({ at: `${path}.columns[${i}].mask`, mask })),
      ...detectors.map(({ mask }, i) => ({ at: `${path}.detectors[${i}].mask`, mask })),
    ];
    for (const { at, mask } of given) {
      if (mask.type === 'Hash' && hashKey === null) errors.push(`${at}: Hash needs ${path}.hashKey`);
      if (mask.type === 'Truncate' && (mask.unit === null) === (mask.step === null))
        errors.push(`${at}: Truncate needs exactly one of unit and step`);
    }
    for (const [i, { type, pattern }] of detectors.entries()) {
      if ((type === 'Custom') !== (pattern !== null))
        errors.push(`${path}.detectors[${i}].pattern: belongs to type Custom, and to no other`);
    }
    if (given.length === 0) errors.push(`${path}: hides nothing`);
    return errors;
  });
}

function duplicates<K extends string>(
  path: string,
  key: K,
  items: readonly Readonly<Record<K, unknown>>[],
): readonly string[] {
  const seen = new Set<unknown>();
  return items.flatMap((item, index) => {
    const again = seen.has(item[key]);
    seen.add(item[key]);
    return again ? [`${path}[${index}].${key}: ${String(item[key])} is given twice`] : [];
  });
}
