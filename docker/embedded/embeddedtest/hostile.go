package embeddedtest

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
)

// HostileSettings are settings of Postgres that any role may change, with a value that changes what SQL means or how
// values print, or ends a session; times are in milliseconds.
var HostileSettings = map[string]string{
	"application_name": "somebody", "search_path": "public, pg_catalog", "client_encoding": "LATIN1", "DateStyle": "'SQL, DMY'",
	"IntervalStyle": "sql_standard", "TimeZone": "'Asia/Tokyo'", "extra_float_digits": "-15", "bytea_output": "escape", "lc_monetary": "'POSIX'",
	"quote_all_identifiers": "on", "xmlbinary": "hex", "xmloption": "document", "array_nulls": "off", "standard_conforming_strings": "off",
	"backslash_quote": "on", "transform_null_equals": "on", "row_security": "on", "default_transaction_isolation": "serializable",
	"default_transaction_read_only": "on", "default_transaction_deferrable": "on", "statement_timeout": "1", "lock_timeout": "1",
	"idle_in_transaction_session_timeout": "1", "idle_session_timeout": "1", "wal_sender_timeout": "1", "tcp_user_timeout": "1",
	"exit_on_error": "on", "client_min_messages": "debug5", "transaction_timeout": "1",
}

// MakeHostile gives them to a role, a database, or a role in a database ("ROLE r IN DATABASE d"), as far as the server
// knows them.
func MakeHostile(t testing.TB, conn *pgx.Conn, whose string) {
	t.Helper()
	for name, value := range HostileSettings {
		_, err := conn.Exec(t.Context(), "ALTER "+whose+" SET "+name+" = "+value)
		var said *pgconn.PgError
		if errors.As(err, &said) && said.Code == "42704" && strings.HasPrefix(name, "transaction_") {
			continue // before Postgres 17
		}
		require.NoError(t, err, name)
	}
}

// HostileClickHouse are settings of ClickHouse that a profile may hold, with a value that changes what SQL means, how
// values print or what is stored, or that ends a statement or cuts its answer short.
var HostileClickHouse = map[string]string{
	"compatibility": "22.3", "implicit_select": "1", "enable_analyzer": "0", "enable_positional_arguments": "0", "prefer_column_name_to_alias": "1",
	"union_default_mode": "DISTINCT", "enable_global_with_statement": "0", "enable_scalar_subquery_optimization": "0", "max_query_size": "100",
	"max_parser_depth": "20", "max_ast_depth": "9", "max_ast_elements": "20", "max_expanded_ast_elements": "20", "max_subquery_depth": "1",
	"max_columns_to_read": "1", "max_temporary_columns": "1", "max_temporary_non_const_columns": "1",

	"join_use_nulls": "1", "join_default_strictness": "ANY", "any_join_distinct_right_table_keys": "1", "transform_null_in": "1",
	"aggregate_functions_null_for_empty": "1", "empty_result_for_aggregation_by_empty_set": "1", "group_by_use_nulls": "1", "final": "1",
	"limit": "1", "offset": "1", "extremes": "1", "additional_table_filters": "{'system.tables': '0'}", "additional_result_filter": "0",
	"force_primary_key": "1", "force_index_by_date": "1", "do_not_merge_across_partitions_select_final": "1",
	"use_skip_indexes_if_final_exact_mode": "0", "apply_deleted_mask": "0", "use_query_cache": "1", "enable_parallel_replicas": "1",
	"max_parallel_replicas": "3", "asterisk_include_materialized_columns": "1", "asterisk_include_alias_columns": "1", "discard_query_data": "1",

	"max_execution_time": "1", "max_execution_time_leaf": "1", "max_estimated_execution_time": "1", "min_execution_speed": "1000000000",
	"min_execution_speed_bytes": "1000000000", "max_execution_speed": "10", "max_execution_speed_bytes": "10",
	"timeout_overflow_mode": "break", "timeout_overflow_mode_leaf": "break",
	"max_rows_to_read": "1", "max_bytes_to_read": "1", "read_overflow_mode": "break",
	"max_rows_to_read_leaf": "1", "max_bytes_to_read_leaf": "1", "read_overflow_mode_leaf": "break",
	"max_result_rows": "1", "max_result_bytes": "1", "result_overflow_mode": "break",
	"max_rows_to_group_by": "1", "group_by_overflow_mode": "any",
	"max_rows_to_sort": "1", "max_bytes_to_sort": "1", "sort_overflow_mode": "break",
	"max_rows_in_set": "1", "max_bytes_in_set": "1", "set_overflow_mode": "break",
	"max_rows_in_join": "1", "max_bytes_in_join": "1", "join_overflow_mode": "break",
	"max_rows_in_distinct": "1", "max_bytes_in_distinct": "1", "distinct_overflow_mode": "break",
	"max_rows_to_transfer": "1", "max_bytes_to_transfer": "1", "transfer_overflow_mode": "break",

	"session_timezone": "Asia/Tokyo", "date_time_input_format": "basic", "date_time_output_format": "unix_timestamp",
	"date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands": "1", "date_time_overflow_behavior": "throw",
	"cast_string_to_date_time_mode": "basic", "cast_keep_nullable": "1", "cast_ipv4_ipv6_default_on_conversion_error": "1",
	"decimal_check_overflow": "0", "output_format_decimal_trailing_zeros": "1", "bool_true_representation": "ja", "bool_false_representation": "nein",
	"low_cardinality_allow_in_native_format": "0", "output_format_native_encode_types_in_binary_format": "1",
	"input_format_native_decode_types_in_binary_format": "1", "input_format_native_allow_types_conversion": "0",
	"input_format_null_as_default": "1", "input_format_defaults_for_omitted_fields": "0",

	"async_insert": "1", "wait_for_async_insert": "0", "insert_deduplicate": "1", "deduplicate_insert": "enable",
	"deduplicate_insert_select": "enable_when_possible", "insert_deduplication_token": "same", "insert_null_as_default": "0",
	"optimize_on_insert": "0", "insert_quorum": "2", "implicit_transaction": "1", "max_insert_block_size": "1",
	"min_insert_block_size_rows": "1", "min_insert_block_size_bytes": "1", "use_strict_insert_block_limits": "1",
	"materialize_skip_indexes_on_insert": "0", "fsync_metadata": "0",

	"alter_sync": "2", "mutations_sync": "2", "data_type_default_nullable": "1", "create_if_not_exists": "1",
	"ignore_drop_queries_probability": "1", "max_table_size_to_drop": "1", "max_partition_size_to_drop": "1", "send_logs_level": "trace",
}

// AddClickHouseUser gives a server one more user, who has every right, with these settings in its profile; it may not
// change those that are constant. The server is started again. It gives the user's URL.
func AddClickHouseUser(t testing.TB, c *embedded.ClickHouse, name string, settings map[string]string, constant ...string) string {
	t.Helper()
	return addUsers(t, c, name, map[string]map[string]string{name: settings}, constant)[name]
}

// AddClickHouseUsers is AddClickHouseUser for several at once, by name.
func AddClickHouseUsers(t testing.TB, c *embedded.ClickHouse, settings map[string]map[string]string) (urls map[string]string) {
	t.Helper()
	return addUsers(t, c, Name(), settings, nil)
}

// addUsers writes them into one file.
func addUsers(t testing.TB, c *embedded.ClickHouse, fileName string, settings map[string]map[string]string, constant []string) (urls map[string]string) {
	t.Helper()
	const password = "secret"
	var profiles, users strings.Builder
	urls = map[string]string{}
	for name, of := range settings {
		fmt.Fprintf(&profiles, "<%s>", name)
		for setting, value := range of {
			fmt.Fprintf(&profiles, "<%s>%s</%s>", setting, html.EscapeString(value), setting)
		}
		for _, setting := range constant {
			fmt.Fprintf(&profiles, "<constraints><%s><const/></%s></constraints>", setting, setting)
		}
		fmt.Fprintf(&profiles, "</%s>", name)
		fmt.Fprintf(&users, `<%[1]s><password>%[2]s</password><networks><ip>127.0.0.1</ip></networks><profile>%[1]s</profile><quota>default</quota>
<grants><query>GRANT ALL ON *.* WITH GRANT OPTION</query></grants></%[1]s>
`, name, password)
		u, err := url.Parse(c.URL())
		require.NoError(t, err)
		u.User = url.UserPassword(name, password)
		urls[name] = u.String()
	}
	text := "<clickhouse><profiles>" + profiles.String() + "</profiles><users>" + users.String() + "</users></clickhouse>\n"
	file := filepath.Join(filepath.Dir(c.DataDir()), "users.d", fileName+".xml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, c.Restart(t.Context()))
	return urls
}

// ChangeClickHouseProfile adds a setting to the profile of a user that AddClickHouseUsers has made. The server is
// started again.
func ChangeClickHouseProfile(t testing.TB, c *embedded.ClickHouse, user, setting, value string) {
	t.Helper()
	text := fmt.Sprintf("<clickhouse><profiles><%[1]s><%[2]s>%[3]s</%[2]s></%[1]s></profiles></clickhouse>\n", user, setting, html.EscapeString(value))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(c.DataDir()), "users.d", Name()+".xml"), []byte(text), 0o600))
	require.NoError(t, c.Restart(t.Context()))
}
