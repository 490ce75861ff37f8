import type { EffectivePolicies } from './policy/decision.ts';
import { checkSetting, parseOptions } from './policy/settings.ts';

export type StartupSettings =
  | { readonly ok: true; readonly settings: Map<string, string> }
  | { readonly ok: false; readonly message: string; readonly hint: string };

const HINT =
  'Leave it out of the connection string, or ask for an AccessPolicy that lists it in spec.session.settings.';

/**
 * What a client asks for in its start-up packet and in `options`, checked like a SET, and what the gateway pins.
 * `role` and `session_authorization` cannot come in that way (test: "options=-c role is refused").
 */
export function startupSettings(
  parameters: ReadonlyMap<string, string>,
  effective: EffectivePolicies,
): StartupSettings {
  const asked = flatten(parameters);
  if (asked === undefined) {
    return { ok: false, message: 'the start-up parameter options holds more than -c name=value settings', hint: HINT };
  }
  for (const { name, value } of asked) {
    const change = { kind: 'Set', name, value, list: null, local: false } as const;
    const reason = effective.unrestricted ? null : onlyLater(name, value);
    const refused = reason ?? checkSetting(effective, change, undefined);
    if (refused !== null) return { ok: false, message: refused, hint: HINT };
  }
  const settings = new Map(asked.map(({ name, value }) => [name, value]));
  pin(settings, effective);
  return { ok: true, settings };
}

function flatten(parameters: ReadonlyMap<string, string>): { name: string; value: string }[] | undefined {
  const options = parseOptions(parameters.get('options') ?? '');
  if (options === undefined) return undefined;
  const others = [...parameters].filter(([name]) => name !== 'options').map(([name, value]) => ({ name, value }));
  // As in the server, a parameter of its own comes after `options`.
  return [...options, ...others];
}

/** Why a restricted session cannot begin with a setting that a statement may be allowed to make; null: it can. */
function onlyLater(name: string, value: string): string | null {
  if (/^(?:role|session_authorization)$/i.test(name)) return `setting ${name} cannot be given at start-up`;
  // The path that the server tells leaves it out until the session has temporary objects: what is created without a
  // schema would be judged as permanent (test: "search_path=pg_temp cannot come in that way").
  if (/^search_path$/i.test(name) && /pg_temp/i.test(value)) return 'search_path cannot name pg_temp at start-up';
  return null;
}

/** ALTER ROLE … SET would otherwise decide how statements are read, how long they run and whether they write. */
function pin(settings: Map<string, string>, { session, unrestricted }: EffectivePolicies): void {
  if (!unrestricted) settings.set('standard_conforming_strings', 'on');
  if (session.readOnly) settings.set('default_transaction_read_only', 'on');
  if (session.statementTimeout !== null && !settings.has('statement_timeout')) {
    settings.set('statement_timeout', String(session.statementTimeout));
  }
}
