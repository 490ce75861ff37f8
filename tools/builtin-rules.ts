import type { BuiltinKind } from '../gateway/sql/builtin-kinds.ts';

/** What servers say of a function; of several versions, the least that any of them promises. */
export interface FunctionFacts {
  readonly name: string;
  readonly volatility: 'i' | 's' | 'v';
  /** No SQL text can call it: it takes `internal`. */
  readonly uncallable: boolean;
}

interface Rule {
  readonly kind: BuiltinKind;
  readonly why: string;
  /** Names; a `*` at the end stands for anything, but makes nothing volatile harmless. */
  readonly names: string;
}

/**
 * The part of the table of built-in functions that people review: what each does beyond computing a value. The first
 * rule that names a function counts. An immutable function that no rule names is Pure: so the server itself plans with
 * it. What is left has kind Unreviewed, which is not run.
 */
export const RULES: readonly Rule[] = [
  {
    kind: 'Uncallable',
    why: 'an error unless a trigger or event trigger runs it',
    names:
      'RI_FKey_* suppress_redundant_updates_trigger unique_key_recheck tsvector_update_trigger ' +
      'tsvector_update_trigger_column pg_event_trigger_ddl_commands pg_event_trigger_dropped_objects ' +
      'pg_event_trigger_table_rewrite_oid pg_event_trigger_table_rewrite_reason',
  },
  {
    kind: 'Unreviewed',
    why: 'compile or start code that is not known here; nobody calls them by hand',
    names: 'fmgr_* plpgsql_*',
  },
  { kind: 'Settings', why: 'SET by another name', names: 'set_config' },
  { kind: 'Sequence', why: 'move a sequence, or tell where one of another session stands', names: 'nextval setval' },
  {
    kind: 'Sequence',
    why: 'tell what is in any sequence, whoever moved it',
    names: 'pg_sequence_last_value pg_get_sequence_data',
  },
  { kind: 'Session', why: 'what this session itself drew from a sequence', names: 'currval lastval' },
  { kind: 'AdvisoryLock', why: 'take and give back advisory locks', names: 'pg_advisory_* pg_try_advisory_*' },
  { kind: 'ServerFile', why: 'copy a file of the server into a large object, or back', names: 'lo_import lo_export' },
  { kind: 'LargeObject', why: 'read and write large objects', names: 'lo_* loread lowrite' },
  {
    kind: 'ServerFile',
    why: 'read, list or write files of the server, its configuration and its log among them',
    names:
      'pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_* pg_current_logfile pg_hba_file_rules ' +
      'pg_ident_file_mappings pg_show_all_file_settings pg_config pg_wal_summary_contents',
  },
  {
    kind: 'ServerControl',
    why: 'end, cancel, promote, pause, reload, rotate, back up; write restore points; make the server log',
    names:
      'pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote ' +
      'pg_switch_wal pg_wal_replay_pause pg_wal_replay_resume pg_create_restore_point pg_backup_start pg_backup_stop ' +
      'pg_start_backup pg_stop_backup pg_log_backend_memory_contexts pg_log_standby_snapshot',
  },
  {
    kind: 'ServerControl',
    why: 'forget or replace statistics',
    names:
      'pg_stat_reset pg_stat_reset_* pg_stat_force_next_flush pg_clear_attribute_stats pg_clear_relation_stats ' +
      'pg_restore_attribute_stats pg_restore_relation_stats',
  },
  { kind: 'Sleep', why: 'hold the session, and what it has locked, for as long as is asked', names: 'pg_sleep*' },
  {
    kind: 'Replication',
    why: "make, move, read and drop slots and origins, write messages into the log, read everybody's changes",
    names:
      'pg_logical_* pg_replication_origin_* pg_replication_slot_advance pg_sync_replication_slots pg_copy_* ' +
      'pg_create_logical_replication_slot pg_create_physical_replication_slot pg_drop_replication_slot',
  },
  {
    kind: 'DynamicSql',
    why: 'run a query that is given as text or under the name of a cursor',
    names: 'query_to_xml* cursor_to_xml* ts_stat ts_rewrite(tsquery,text)',
  },
  {
    kind: 'Tables',
    why: 'read tables whose names are arguments',
    names:
      'currtid2 table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema database_to_xml ' +
      'database_to_xml_and_xmlschema',
  },
  {
    kind: 'Catalogue',
    why: 'what columns tables have',
    names: 'table_to_xmlschema schema_to_xmlschema database_to_xmlschema',
  },
  {
    kind: 'DynamicSql',
    why: "run the input function of a type that is named by text or OID: a domain's CHECK is anybody's code",
    names: 'pg_input_is_valid pg_input_error_info array_in record_in range_in multirange_in domain_in',
  },
  { kind: 'Notify', why: 'NOTIFY by another name', names: 'pg_notify' },
  {
    kind: 'CatalogWrite',
    why: 'write to the catalogue, or prepare the next write',
    names:
      'binary_upgrade_* pg_nextoid pg_stop_making_pinned_objects pg_extension_config_dump pg_import_system_collations',
  },
  {
    kind: 'Maintenance',
    why: 'tidy an index',
    names: 'brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list',
  },
  {
    kind: 'Catalogue',
    why: 'definitions, names, privileges and visibility of objects',
    names:
      'has_* pg_has_role row_security_active format_type oidvectortypes obj_description col_description ' +
      'shobj_description to_reg* reg* aclexplode aclitemin aclitemout amvalidate pg_get_* pg_identify_* ' +
      'pg_describe_object pg_index_* pg_indexam_* pg_options_to_table pg_sequence_parameters ' +
      'pg_relation_is_publishable pg_relation_is_updatable pg_column_is_updatable pg_relation_filenode ' +
      'pg_relation_filepath pg_filenode_relation pg_tablespace_* pg_basetype pg_available_extension* ' +
      'pg_extension_update_paths pg_timezone_* pg_char_to_encoding pg_encoding_to_char pg_settings_get_flags ' +
      'pg_partition_root _pg_index_position enum_first enum_last enum_range ts_debug ts_parse ts_token_type ' +
      'pg_table_is_visible pg_type_is_visible pg_function_is_visible pg_operator_is_visible pg_opclass_is_visible ' +
      'pg_opfamily_is_visible pg_conversion_is_visible pg_collation_is_visible pg_statistics_obj_is_visible ' +
      'pg_ts_parser_is_visible pg_ts_dict_is_visible pg_ts_template_is_visible pg_ts_config_is_visible',
  },
  {
    kind: 'Catalogue',
    why: 'volatile only because the catalogue may change while they run',
    names: 'pg_partition_tree pg_partition_ancestors pg_collation_actual_version pg_database_collation_actual_version',
  },
  {
    kind: 'Statistics',
    why: 'counters and states that the server keeps of its work',
    names: 'pg_stat_get_* pg_mcv_list_items pg_tablespace_databases',
  },
  {
    kind: 'Statistics',
    why: 'counters, states, sizes and positions: volatile because they move on by themselves',
    names:
      'pg_stat_have_stats pg_stat_get_xact_numscans pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_fetched ' +
      'pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_updated pg_stat_get_xact_tuples_deleted ' +
      'pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_newpage_updated ' +
      'pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls ' +
      'pg_stat_get_xact_function_total_time pg_stat_get_xact_function_self_time pg_stat_get_recovery_prefetch ' +
      'pg_stat_get_io pg_stat_get_backend_io pg_stat_get_backend_wal pg_split_walfile_name ' +
      'pg_available_wal_summaries pg_blocking_pids pg_safe_snapshot_blocking_pids ' +
      'pg_isolation_test_session_is_blocked pg_lock_status pg_prepared_xact pg_current_wal_flush_lsn ' +
      'pg_current_wal_insert_lsn pg_current_wal_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn ' +
      'pg_last_xact_replay_timestamp pg_get_wal_replay_pause_state pg_is_wal_replay_paused pg_is_in_recovery ' +
      'pg_is_in_backup pg_backup_start_time pg_get_aios pg_get_backend_memory_contexts pg_get_loaded_modules ' +
      'pg_get_multixact_members pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events ' +
      'pg_get_wal_resource_managers pg_get_wal_summarizer_state pg_get_replication_slots ' +
      'pg_show_replication_origin_status pg_control_checkpoint pg_control_init pg_control_recovery ' +
      'pg_control_system pg_database_size pg_tablespace_size pg_relation_size pg_table_size pg_indexes_size ' +
      'pg_total_relation_size pg_last_committed_xact pg_xact_commit_timestamp pg_xact_commit_timestamp_origin ' +
      'pg_notification_queue_usage pg_postmaster_start_time pg_conf_load_time pg_numa_available pg_jit_available',
  },
  {
    kind: 'Varies',
    why: 'the clock, randomness, how a value is stored: another answer each time, and nothing else happens',
    names:
      'clock_timestamp timeofday random random_normal setseed gen_random_uuid uuidv4 uuidv7 array_sample ' +
      'array_shuffle now transaction_timestamp statement_timestamp pg_column_size ' +
      'pg_column_compression pg_column_toast_chunk_id',
  },
  {
    kind: 'Session',
    why: 'who, where and in which transaction the session is; what it has set, prepared, opened and listens to',
    names:
      'current_database current_schema current_schemas current_setting current_user session_user system_user ' +
      'getpgusername getdatabaseencoding get_current_ts_config inet_client_addr inet_client_port inet_server_addr ' +
      'inet_server_port pg_backend_pid pg_client_encoding pg_collation_for pg_typeof pg_cursor pg_prepared_statement ' +
      'pg_show_all_settings pg_listening_channels pg_my_temp_schema pg_is_other_temp_schema pg_trigger_depth ' +
      'pg_current_snapshot pg_current_xact_id pg_current_xact_id_if_assigned txid_current ' +
      'txid_current_if_assigned txid_current_snapshot mxid_age version pg_stat_clear_snapshot pg_export_snapshot ' +
      'current_query pg_xact_status txid_status',
  },
  {
    kind: 'Session',
    why: 'conversions that follow lc_monetary, DateStyle, TimeZone, IntervalStyle, xmloption, bytea_output or an encoding',
    names:
      'age cash_in cash_out money numeric date date_* time time_in time_out timetz timetz_in timestamp timestamp_* ' +
      'timestamptz timestamptz_* timezone interval_in interval_out interval_pl_timestamptz make_timestamptz ' +
      'extract generate_series in_range overlaps to_char to_date to_number to_timestamp xml xml_in ' +
      'xml_is_well_formed convert convert_from convert_to cstring_* length bpcharrecv bpcharsend varcharrecv ' +
      'varcharsend namerecv namesend textrecv textsend xml_send pg_node_tree_send pg_ndistinct_send ' +
      'pg_dependencies_send pg_mcv_list_send brin_bloom_summary_send brin_minmax_multi_summary_send',
  },
  {
    kind: 'Session',
    why: 'write values out as their types do, or build them by the names of their types',
    names:
      'array_out array_send array_to_json array_to_string anyarray_out anyarray_send anycompatiblearray_out ' +
      'anycompatiblearray_send anycompatiblemultirange_* anycompatiblerange_* anyenum_out anymultirange_* ' +
      'anyrange_* range_out range_send multirange_out multirange_send record_out record_send enum_in enum_out ' +
      'enum_send anytextcat textanycat concat concat_ws format quote_literal quote_nullable json_agg* ' +
      'json_build_* json_object_agg* json_populate_* json_to_* jsonb_agg* jsonb_build_* jsonb_object_agg* ' +
      'jsonb_populate_* jsonb_to_* jsonb_path_* row_to_json to_json to_jsonb',
  },
  {
    kind: 'Session',
    why: 'text search by default_text_search_config and its dictionaries',
    names:
      'json_to_tsvector jsonb_to_tsvector phraseto_tsquery plainto_tsquery websearch_to_tsquery to_tsquery ' +
      'to_tsvector ts_headline ts_match_tq ts_match_tt',
  },
];

const compiled = RULES.map(({ kind, names }) => {
  const all = names.split(' ');
  const stems = all.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return { kind, exact: new Set(all.filter((name) => !name.endsWith('*'))), stems };
});

/** Kinds of which an immutable function is Pure instead, and which only its whole name gives to a volatile one. */
const READING: ReadonlySet<BuiltinKind> = new Set(['Varies', 'Session', 'Catalogue', 'Statistics']);

/** What a function does; `signature` is `name(types)`, for the rules that tell overloads apart. */
export function kindOf(facts: FunctionFacts, signature: string): BuiltinKind {
  const { name, volatility, uncallable } = facts;
  const rule = compiled.find(({ kind, exact, stems }) => {
    const whole = exact.has(name) || exact.has(signature);
    if (!READING.has(kind)) return whole || stems.some((stem) => name.startsWith(stem));
    if (volatility === 'i') return whole && (kind === 'Catalogue' || kind === 'Statistics');
    return whole || (volatility === 's' && stems.some((stem) => name.startsWith(stem)));
  });
  if (uncallable) return 'Uncallable';
  return rule?.kind ?? (volatility === 'i' ? 'Pure' : 'Unreviewed');
}
