// Package session says under which settings every session with ClickHouse works, whatever the profile of the login, the
// server's configuration or the URL say.
package session

import "maps"

// pinned are the settings that every statement of every verb is sent with: all that change what our SQL means, how
// values print or what is stored, and all that end a statement early or cut its answer short. A login whose profile
// forbids one of them (CONST, MIN, MAX) is refused by ClickHouse with code 452, and `check` names the setting.
//
// Not pinned, because they belong to the person who runs the server: memory, threads, priority, workload and quotas.
// ClickHouse's errors about them are waited out (errcode). Not pinned because no statement can, and they only cause
// errors: readonly, allow_ddl, force_data_skipping_indices.
//
// For other readers the views run under the profile of this login, which no list of ours reaches: see table/view.go.
var pinned = map[string]string{
	// How a statement is read.
	"compatibility": "", "dialect": "clickhouse", "implicit_select": "0", "enable_analyzer": "1", "enable_positional_arguments": "1",
	"prefer_column_name_to_alias": "0", "union_default_mode": "", "enable_global_with_statement": "1", "enable_scalar_subquery_optimization": "1",
	"max_query_size": "67108864", "max_parser_depth": "1000", "max_ast_depth": "1000", "max_ast_elements": "1000000",
	"max_expanded_ast_elements": "5000000", "max_subquery_depth": "100", "max_columns_to_read": "0", "max_temporary_columns": "0",
	"max_temporary_non_const_columns": "0",

	// What a query answers.
	"join_use_nulls": "0", "join_default_strictness": "ALL", "any_join_distinct_right_table_keys": "0", "transform_null_in": "0",
	"aggregate_functions_null_for_empty": "0", "empty_result_for_aggregation_by_empty_set": "0", "group_by_use_nulls": "0", "final": "0",
	"limit": "0", "offset": "0", "extremes": "0", "additional_table_filters": "{}", "additional_result_filter": "",
	"force_primary_key": "0", "force_index_by_date": "0", "do_not_merge_across_partitions_select_final": "0",
	"use_skip_indexes_if_final_exact_mode": "1", "apply_deleted_mask": "1", "use_query_cache": "0", "enable_parallel_replicas": "0",
	"max_parallel_replicas": "1", "asterisk_include_materialized_columns": "0", "asterisk_include_alias_columns": "0", "discard_query_data": "0",

	// Limits: an answer that is cut short would be taken for the whole one, and a statement takes as long as its table
	// is large. max_execution_time: a day; the client lowers it to the time that a statement may take.
	"max_execution_time": "86400", "max_execution_time_leaf": "0", "max_estimated_execution_time": "0", "min_execution_speed": "0",
	"min_execution_speed_bytes": "0", "max_execution_speed": "0", "max_execution_speed_bytes": "0",
	"timeout_overflow_mode": overflow, "timeout_overflow_mode_leaf": overflow,
	"max_rows_to_read": "0", "max_bytes_to_read": "0", "read_overflow_mode": overflow,
	"max_rows_to_read_leaf": "0", "max_bytes_to_read_leaf": "0", "read_overflow_mode_leaf": overflow,
	"max_result_rows": "0", "max_result_bytes": "0", "result_overflow_mode": overflow,
	"max_rows_to_group_by": "0", "group_by_overflow_mode": overflow,
	"max_rows_to_sort": "0", "max_bytes_to_sort": "0", "sort_overflow_mode": overflow,
	"max_rows_in_set": "0", "max_bytes_in_set": "0", "set_overflow_mode": overflow,
	"max_rows_in_join": "0", "max_bytes_in_join": "0", "join_overflow_mode": overflow,
	"max_rows_in_distinct": "0", "max_bytes_in_distinct": "0", "distinct_overflow_mode": overflow,
	"max_rows_to_transfer": "0", "max_bytes_to_transfer": "0", "transfer_overflow_mode": overflow,

	// How values print and are read (verify compares texts), and in which form they travel.
	"session_timezone": "UTC", "date_time_input_format": "best_effort", "date_time_output_format": "simple",
	"date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands": "0", "date_time_overflow_behavior": "ignore",
	"cast_string_to_date_time_mode": "best_effort", "cast_keep_nullable": "0", "cast_ipv4_ipv6_default_on_conversion_error": "0",
	"decimal_check_overflow": "1", "output_format_decimal_trailing_zeros": "0", "bool_true_representation": "true", "bool_false_representation": "false",
	"low_cardinality_allow_in_native_format": "1", "output_format_native_encode_types_in_binary_format": "0",
	"input_format_native_decode_types_in_binary_format": "0", "input_format_native_allow_types_conversion": "1",
	"input_format_null_as_default": "0", "input_format_defaults_for_omitted_fields": "1",

	// What an INSERT stores, and when it is stored: a replay must write again what it wrote before, and what is
	// acknowledged is there.
	"async_insert": "0", "wait_for_async_insert": "1", "insert_deduplicate": "0", "deduplicate_insert": "disable",
	"deduplicate_insert_select": "disable", "insert_deduplication_token": "", "insert_null_as_default": "1",
	"optimize_on_insert": "1", "insert_quorum": "0", "implicit_transaction": "0", "max_insert_block_size": "1048449",
	"min_insert_block_size_rows": "1048449", "min_insert_block_size_bytes": "268402944", "use_strict_insert_block_limits": "0",
	"materialize_skip_indexes_on_insert": "1", "fsync_metadata": "1",

	// What DDL makes and drops. Former storage may be larger than what people may drop by mistake.
	"alter_sync": "1", "mutations_sync": "1", "data_type_default_nullable": "0", "create_if_not_exists": "0",
	"ignore_drop_queries_probability": "0", "max_table_size_to_drop": "0", "max_partition_size_to_drop": "0",

	// How much is said without having been asked for.
	"send_logs_level": "fatal",
}

// overflow says that a limit that is met is an error.
const overflow = "throw"

// Pinned gives every pinned setting with its value.
func Pinned() map[string]string { return maps.Clone(pinned) }
