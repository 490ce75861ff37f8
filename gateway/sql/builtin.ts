import { STEADY_FUNCTIONS, VOLATILE_FUNCTIONS } from './builtin.generated.ts';
import type { StatementClass } from './classes.ts';

export type BuiltinClass = { readonly safe: true } | { readonly safe: false; readonly cls: StatementClass };

/** Reviewed by hand: what functions of pg_catalog do beyond computing a value. First match counts. */
const CLASSES: readonly (readonly [pattern: RegExp, cls: StatementClass])[] = [
  [/^(?:nextval|setval|currval|lastval)$/, 'Sequence'],
  [/^pg_(?:try_)?advisory_/, 'AdvisoryLock'],
  [/^lo_(?:import|export)$/, 'ServerFile'],
  [/^(?:lo_|be_lo_|loread$|lowrite$)/, 'LargeObject'],
  [
    /^pg_(?:read_(?:binary_)?file|read_file_old|stat_file|ls_|current_logfile|file_|hba_file|ident_file|show_all_file)/,
    'ServerFile',
  ],
  [
    /^pg_(?:terminate_backend|cancel_backend|reload_conf|rotate_logfile|promote|switch_wal|wal_replay_(?:pause|resume))/,
    'ServerControl',
  ],
  [
    /^pg_(?:create_restore_point|backup_|start_backup|stop_backup|log_|stat_reset|stat_force|clear_|restore_)/,
    'ServerControl',
  ],
  [/^pg_sleep/, 'Resource'],
  [
    /^(?:pg_logical_|pg_replication_|pg_sync_replication|pg_copy_.*_slot|pg_create_.*_slot|pg_drop_replication)/,
    'Replication',
  ],
  [/^pg_get_replication_slots$/, 'Replication'],
  [/^(?:query|table|schema|database|cursor)_to_xml/, 'DynamicSql'],
  [/^(?:ts_stat|ts_rewrite)$/, 'DynamicSql'],
  // They run the input function of a type that is named by text or OID: a domain's CHECK is anybody's code.
  [/^(?:pg_input_is_valid|pg_input_error_info|(?:array|record|range|multirange|domain)_(?:in|recv))$/, 'DynamicSql'],
  [/^pg_notify$/, 'Listen'],
  [
    /^(?:binary_upgrade_|pg_nextoid|pg_stop_making_pinned_objects|pg_extension_config_dump|pg_import_system_collations)/,
    'CatalogWrite',
  ],
  [/^(?:brin_(?:de)?summarize|gin_clean_pending_list)/, 'Maintenance'],
  [/^set_config$/, 'Session'],
  [/^pg_config$/, 'ServerFile'],
  [/^pg_get_sequence_data$|^pg_sequence_last_value$/, 'Sequence'],
];

/** Volatile, and harmless all the same: they read the clock, randomness, sizes, statistics or the transaction's state. */
const HARMLESS = new Set(
  (
    'array_sample array_shuffle clock_timestamp current_query gen_random_uuid pg_available_wal_summaries pg_blocking_pids ' +
    'pg_collation_actual_version pg_database_collation_actual_version pg_current_wal_flush_lsn pg_current_wal_insert_lsn ' +
    'pg_current_wal_lsn pg_database_size pg_export_snapshot pg_get_aios pg_get_backend_memory_contexts ' +
    'pg_get_multixact_members pg_get_wait_events pg_get_wal_replay_pause_state pg_get_wal_resource_managers ' +
    'pg_get_wal_summarizer_state pg_indexes_size pg_is_in_backup pg_is_in_recovery pg_is_wal_replay_paused ' +
    'pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn ' +
    'pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status pg_notification_queue_usage ' +
    'pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size pg_safe_snapshot_blocking_pids ' +
    'pg_stat_clear_snapshot pg_stat_have_stats pg_table_size pg_tablespace_size pg_total_relation_size ' +
    'pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status random random_normal setseed system ' +
    'timeofday timezone txid_status uuidv4 uuidv7'
  ).split(' '),
);

/** What a function of pg_catalog does, by name; undefined: pg_catalog has none of that name. */
export function classifyBuiltin(name: string): BuiltinClass | undefined {
  const steady = STEADY_FUNCTIONS.has(name);
  if (!steady && !VOLATILE_FUNCTIONS.has(name)) return undefined;
  const found = CLASSES.find(([pattern]) => pattern.test(name));
  if (found !== undefined) return { safe: false, cls: found[1] };
  if (steady || HARMLESS.has(name) || name.startsWith('pg_stat_get_')) return { safe: true };
  return { safe: false, cls: 'Unknown' };
}
