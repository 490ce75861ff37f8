import { decide } from '../gateway/policy/decide.ts';
import type { Decision, EffectivePolicies } from '../gateway/policy/decision.ts';
import { checkSetting } from '../gateway/policy/settings.ts';
import { bounded } from '../gateway/session/max-rows.ts';
import type { Facts, RawStatement, SettingChange } from '../gateway/sql/facts.ts';

/** Decides a statement as a session would; `raw`: what its text says, null where there is none. */
export function decideAs(
  effective: EffectivePolicies,
  facts: Facts,
  raw: RawStatement | null,
  now: number,
): { readonly decision: Decision; readonly bounded: boolean } {
  const refused = effective.unrestricted ? null : settingRefused(effective, raw?.settings ?? []);
  if (refused !== null) return { decision: byGateway(refused), bounded: false };
  const decision = decide(effective, facts, now);
  if (raw === null) return { decision, bounded: decision.verdict === 'Allow' && decision.maxRows !== undefined };
  const judged = bounded({ raw, facts, decision, refusal: null }, [raw]);
  return { decision: judged.decision, bounded: judged.bound !== undefined };
}

function settingRefused(effective: EffectivePolicies, settings: readonly SettingChange[]): string | null {
  return settings.map((change) => checkSetting(effective, change, undefined)).find((why) => why !== null) ?? null;
}

function byGateway(message: string): Decision {
  return { verdict: 'Deny', by: null, message, detail: null, hint: '', alert: false, shadow: [] };
}
