import type { MaskRule } from '../config/document.ts';
import type { Identity } from '../identity/identity.ts';
import { isMeant } from './effective.ts';

/** The first rule, by namespace and name, that hides something from an identity; null: none does. */
export function maskFor(masks: readonly MaskRule[], identity: Identity): MaskRule | null {
  return masks.find((rule) => hidesFrom(rule, identity)) ?? null;
}

function hidesFrom({ subjects, except }: MaskRule, identity: Identity): boolean {
  const isAmong = (list: MaskRule['subjects']): boolean => list.some((subject) => isMeant(subject, identity));
  return (subjects.length === 0 || isAmong(subjects)) && !isAmong(except);
}

/** What those are told from whom something is to be hidden, in a version that can hide nothing. */
export function maskRefusal({ namespace, name }: MaskRule, { username }: Identity): { message: string; hint: string } {
  return {
    message: `MaskingRule ${namespace}/${name} hides values from ${username}, and this version cannot mask: refused`,
    hint: `The people who keep the rules of this gateway can name you or a group of yours in spec.except of the rule, or remove it.`,
  };
}
