import type { SettingChange } from '../sql/facts.ts';
import type { EffectivePolicies } from './decision.ts';

/** Settings that are harmless whatever their value. */
const FREE = new Set(
  (
    'application_name datestyle intervalstyle timezone extra_float_digits bytea_output search_path jit ' +
    'default_transaction_isolation default_transaction_deferrable transaction_isolation transaction_deferrable ' +
    'escape_string_warning constraint_exclusion cursor_tuple_fraction from_collapse_limit join_collapse_limit ' +
    'plan_cache_mode random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost ' +
    'effective_cache_size geqo geqo_effort geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold ' +
    'max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation ' +
    'parallel_setup_cost parallel_tuple_cost jit_above_cost jit_inline_above_cost jit_optimize_above_cost seed ' +
    // How values are written, and how long the server waits for a client.
    'lc_monetary lc_numeric lc_time xmlbinary xmloption quote_all_identifiers timezone_abbreviations ' +
    'client_connection_check_interval tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout ' +
    // pg_dump, and the scripts that it writes; what they create is a matter of classes Ddl and Code. row_security = off
    // shows nobody more: it fails what a policy of row security would have cut.
    'row_security synchronize_seqscans check_function_bodies default_table_access_method default_tablespace default_text_search_config ' +
    'default_toast_compression default_with_oids'
  ).split(' '),
);

/** Encodings whose trail bytes can look like ASCII: server and parser would read different texts. */
const UNSAFE_ENCODINGS = new Set([
  'SJIS',
  'SHIFTJIS',
  'MSKANJI',
  'WIN932',
  'WINDOWS932',
  'BIG5',
  'WIN950',
  'WINDOWS950',
  'GBK',
  'WIN936',
  'WINDOWS936',
  'UHC',
  'WIN949',
  'WINDOWS949',
  'GB18030',
  'JOHAB',
  'SHIFTJIS2004',
  'MULEINTERNAL',
]);
/** They decide how the server reads a text: no policy can free them. */
const LEXICAL = new Set(['standard_conforming_strings', 'client_encoding']);
const QUIET = new Set(['notice', 'warning', 'error', 'fatal', 'panic']);
const TIMEOUTS = new Set([
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout',
]);
const MAX_WORK_MEM = 256 * 1024;

/** Why a change of a setting is refused; null: it is allowed. `current` is the value in force, where known. */
export function checkSetting(
  effective: EffectivePolicies,
  change: SettingChange,
  current: string | undefined,
): string | null {
  if (change.kind === 'ResetAll') return null;
  const name = change.name.toLowerCase();
  // The gateway's own, in any form and for anybody: they will carry keys.
  if (/^postern/.test(name)) return `setting ${name} belongs to the gateway`;
  if (change.kind !== 'Set') return null;
  if (change.value !== null && change.value === current) return null;
  if (isHeld(effective, name)) return checkValue(effective, name, change.value);
  if (effective.unrestricted) return null;
  // Who may change roles is a matter of class Role.
  if (name === 'role' || name === 'session_authorization') return null;
  const listed = effective.session.settings.includes(name) && !LEXICAL.has(name);
  if (FREE.has(name) || name.startsWith('enable_') || listed) return null;
  return checkValue(effective, name, change.value);
}

/** What a policy holds the session to: neither Any nor a policy that lists further settings lets go of it. */
function isHeld({ session }: EffectivePolicies, name: string): boolean {
  if (name === 'statement_timeout') return session.statementTimeout !== null;
  return session.readOnly && (name === 'transaction_read_only' || name === 'default_transaction_read_only');
}

function checkValue(effective: EffectivePolicies, name: string, value: string | null): string | null {
  if (value === null) return `setting ${name} may only be set to a plain literal`;
  const lower = value.trim().toLowerCase();
  switch (name) {
    case 'client_encoding':
      return UNSAFE_ENCODINGS.has(value.toUpperCase().replace(/[^A-Z0-9]/g, ''))
        ? `client_encoding ${value} is not supported: use UTF8`
        : null;
    case 'client_min_messages':
      return QUIET.has(lower) ? null : 'client_min_messages may not be below notice';
    case 'standard_conforming_strings':
      return isOn(lower) ? null : 'standard_conforming_strings must stay on';
    case 'default_transaction_read_only':
    case 'transaction_read_only':
      return effective.session.readOnly && !isOn(lower) ? 'the session is read-only by policy' : null;
    case 'work_mem':
      return workMemory(lower);
    case 'restrict_nonsystem_relation_kind':
      return /^view, ?foreign-table$/.test(lower) ? null : `${name} may only be set to view, foreign-table`;
    default:
      return TIMEOUTS.has(name)
        ? checkTimeout(effective, name, lower)
        : `setting ${name} is not on the list of settings that clients may change`;
  }
}

function isOn(value: string): boolean {
  return /^(?:on|true|t|yes|y|1|tru|ye)$/.test(value);
}

function checkTimeout(effective: EffectivePolicies, name: string, value: string): string | null {
  const limit = effective.session.statementTimeout;
  if (name !== 'statement_timeout' || limit === null) return null;
  const asked = milliseconds(value);
  // Less than a millisecond is rounded to 0, which is none (test: "a statement_timeout of 100us").
  return asked >= 1 && asked <= limit ? null : `statement_timeout may be at most ${limit} ms`;
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** NaN: not understood, and then not allowed. */
function milliseconds(value: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?$/.exec(value);
  return match === null ? Number.NaN : Number(match[1]) * UNITS[match[2] ?? 'ms']!;
}

const SIZES: Readonly<Record<string, number>> = { b: 1 / 1024, kb: 1, mb: 1024, gb: 1024 * 1024, tb: 1024 ** 3 };

function workMemory(value: string): string | null {
  const match = /^(\d+)\s*(b|kb|mb|gb|tb)?$/.exec(value);
  const size = match === null ? Number.NaN : Number(match[1]) * SIZES[match[2] ?? 'kb']!;
  return size <= MAX_WORK_MEM ? null : `work_mem may be at most ${MAX_WORK_MEM / 1024} MB`;
}

/** Reads the start-up parameter `options` as the server does (pg_split_opts, then `-c` and `--`); undefined: anything else. */
export function parseOptions(options: string): { readonly name: string; readonly value: string }[] | undefined {
  const words: string[] = (options.match(/(?:\\[\s\S]|[^\s\\])+/g) ?? []).map((word) =>
    word.replace(/\\([\s\S])/g, '$1'),
  );
  const settings: { name: string; value: string }[] = [];
  for (let i = 0; i < words.length; i++) {
    let word = words[i]!;
    if (word === '-c') word = words[++i] ?? '';
    else if (word.startsWith('-c') || word.startsWith('--')) word = word.slice(2);
    else return undefined;
    const at = word.indexOf('=');
    if (at < 1) return undefined;
    settings.push({ name: word.slice(0, at).replaceAll('-', '_'), value: word.slice(at + 1) });
  }
  return settings;
}
