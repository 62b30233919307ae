package ledger

import (
	"maps"
	"slices"
	"strings"
)

// A view that people query gives the right answer or an error, whatever settings their session has. Most settings
// change nothing, since what the views ask does not depend on them; the others are fixed in the view's own query, which
// comes before the session's. Those that let a query answer with a part of the rows cannot be fixed from within: the
// view refuses them, since FINAL over a part of the rows would show outranked and deleted ones.

// fixed are settings that would change what a view shows, in the reader's session or in the profile of the login that
// made the view.
var fixed = map[string]string{
	"additional_table_filters":                        "{}",
	"aggregate_functions_null_for_empty":              "0",
	"empty_result_for_aggregation_by_empty_set":       "0",
	"enable_parallel_replicas":                        "0",
	"final":                                           "0",
	"group_by_overflow_mode":                          "'throw'",
	"group_by_use_nulls":                              "0",
	"join_default_strictness":                         "'ALL'",
	"join_overflow_mode":                              "'throw'",
	"join_use_nulls":                                  "0",
	"limit":                                           "0",
	"offset":                                          "0",
	"prefer_column_name_to_alias":                     "1",
	"result_overflow_mode":                            "'throw'",
	"set_overflow_mode":                               "'throw'",
	"sort_overflow_mode":                              "'throw'",
	"distinct_overflow_mode":                          "'throw'",
	"transfer_overflow_mode":                          "'throw'",
	"transform_null_in":                               "0",
	"use_query_cache":                                 "0",
	"use_skip_indexes_if_final":                       "1",
	"use_skip_indexes_if_final_exact_mode":            "1",
	"inject_random_order_for_select_without_order_by": "0",
}

// ofBooks are settings by which a session asks for an index, which are about its own query and not about bookkeeping.
var ofBooks = map[string]string{
	"force_primary_key": "0", "force_index_by_date": "0", "force_optimize_projection": "0",
}

// BooksSettings ends a query about bookkeeping within a view.
var BooksSettings = settings(fixed, ofBooks)

// ViewSettings ends the query of a view that people read.
var ViewSettings = settings(fixed)

func settings(of ...map[string]string) string {
	all := map[string]string{}
	for _, m := range of {
		maps.Copy(all, m)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+" = "+all[name])
	}
	return " SETTINGS " + strings.Join(list, ", ")
}

// Whole is a condition that is true, or an error if the session's settings let the query end early and give what it
// has until then, or filter its answer: ClickHouse filters a view's own answer, too, and then counts what is left. It
// is evaluated before a row is read, as throwIf is not.
const Whole = "toUInt8(if(getSetting('read_overflow_mode') = 'break' AND (getSetting('max_rows_to_read') > 0 OR getSetting('max_bytes_to_read') > 0)" +
	" OR getSetting('read_overflow_mode_leaf') = 'break' AND (getSetting('max_rows_to_read_leaf') > 0 OR getSetting('max_bytes_to_read_leaf') > 0)" +
	" OR getSetting('timeout_overflow_mode') = 'break' AND getSetting('max_execution_time') > 0" +
	" OR getSetting('timeout_overflow_mode_leaf') = 'break' AND getSetting('max_execution_time_leaf') > 0" +
	" OR getSetting('additional_result_filter') != ''," +
	" 'this view gives no part of an answer. Try: read_overflow_mode = throw, timeout_overflow_mode = throw, and no additional_result_filter', '1')) = 1"
