package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
)

// readable has a table of two generations with outranked, deleted and truncated rows, also of one partition of the
// source's table, one that is empty, and plain tables with what their views must show.
func readable(t *testing.T) *world {
	w := newWorld(t)
	visits, nothing := twoColumns(w, "visits"), twoColumns(w, "nothing")
	w.begin().insert(visits, "1", "former").insert(visits, "7", "former").commit()
	w.load()
	w.wait()
	x := w.begin().open(visits)
	at := x.snapshot()
	x.read(visits, at, "1", "copied").read(visits, at, "2", "copied").read(visits, at, "8", "copied").end(visits, at).commit()
	w.wait()
	embeddedtest.ExecClickHouse(t, w.conn, "SYSTEM STOP MERGES "+schemas.ClickHouseIdent(w.database+"_raw")+".visits__g2")
	w.begin().truncate(visits).insert(visits, "1", "deleted").insert(visits, "2", "outranked").insert(visits, "3", "\\N").commit()
	w.wait()
	x = w.begin().update(visits, "2", "b").delete(visits, "1", "\\N")
	for leaf, id := range []string{"4", "5"} {
		m := x.meta(visits)
		m.Leaf = uint32(100 + leaf)
		require.NoError(t, visits.enc.Append(t.Context(), &x.chunk, m, cdc.RowChange{Op: cdc.OpCreate, New: tuple(id, "of a partition")}))
	}
	x.commit()
	x = w.begin()
	m := x.meta(visits)
	m.Leaf = 100
	x.control(visits, m, cdc.ControlTruncate).commit()
	w.begin().insert(nothing, "1", "x").delete(nothing, "1", "\\N").commit()
	w.wait()
	database := schemas.ClickHouseIdent(w.database)
	embeddedtest.ExecClickHouse(t, w.conn,
		"CREATE TABLE "+database+".plain_visits (id Int32, v Nullable(String)) ENGINE = MergeTree ORDER BY id AS SELECT * FROM VALUES('id Int32, v Nullable(String)', (2, 'b'), (3, NULL), (5, 'of a partition'))",
		"CREATE TABLE "+database+".plain_nothing (id Int32, v Nullable(String)) ENGINE = MergeTree ORDER BY id",
		"CREATE TABLE "+database+".plain_complete_up_to ENGINE = MergeTree ORDER BY table AS SELECT * FROM "+database+".complete_up_to",
	)
	return w
}

// readers asks what people ask, as one connection with settings of its own.
type readers struct {
	*world
	right []string // for each of readersQueries
}

// readersQueries are about views; with "plain_" in place of "%s" they are about plain tables with the same rows.
var readersQueries = []string{
	"SELECT arrayStringConcat(arraySort(groupArray(answer)), '; ') FROM (SELECT toString(tuple(id, v)) AS answer FROM DB.%[1]svisits" +
		" UNION ALL SELECT 'rows ' || toString(count()) || ' null ' || toString(countIf(v IS NULL)) FROM DB.%[1]svisits" +
		" UNION ALL SELECT 'v ' || v FROM DB.%[1]svisits WHERE id = 2 UNION ALL SELECT 'nothing ' || toString(count()) FROM DB.%[1]snothing)",
	"SELECT arrayStringConcat(arraySort(groupArray(toString(tuple(table, exact, epoch, lsn)))), '; ') FROM DB.%[1]scomplete_up_to",
}

func newReaders(t *testing.T) *readers {
	r := &readers{world: readable(t)}
	for _, q := range readersQueries {
		answer, err := r.ask(nil, q, "")
		require.NoError(t, err)
		plain, err := r.ask(nil, q, "plain_")
		require.NoError(t, err)
		require.Equal(t, plain, answer)
		r.right = append(r.right, answer)
	}
	require.Equal(t, "(2,'b'); (3,NULL); (5,'of a partition'); nothing 0; rows 3 null 1; v b", r.right[0])
	return r
}

func (r *readers) ask(settings chgo.Settings, query, which string) (answer string, err error) {
	base, cancel := context.WithCancel(r.t.Context()) // of a deadline the client makes a setting
	defer cancel()
	defer time.AfterFunc(20*time.Second, cancel).Stop() // one that hangs is no answer
	ctx := chgo.Context(base, chgo.WithSettings(settings))
	err = r.conn.QueryRow(ctx, strings.ReplaceAll(fmt.Sprintf(query, which), "DB.", schemas.ClickHouseIdent(r.database)+".")).Scan(&answer)
	return answer, err
}

// wrong says how an answer under these settings is neither right, nor that of a plain table, nor an error; "" if it is.
// failed says that there was an error.
func (r *readers) wrong(settings chgo.Settings) (what string, failed bool) {
	for i, q := range readersQueries {
		got, err := r.ask(settings, q, "")
		if err != nil {
			failed = true
			continue
		}
		if got == r.right[i] {
			continue
		}
		if plain, err := r.ask(settings, q, "plain_"); err != nil || got != plain {
			what += fmt.Sprintf("%v: got %s, want %s, plain %s (%v)\n", settings, got, r.right[i], plain, err)
		}
	}
	return what, failed
}

// sweep tries settings together, and in halves if there is an error or a wrong answer: an error hides what else is
// wrong.
func (r *readers) sweep(settings []string) {
	r.t.Helper()
	values := chgo.Settings{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		values[name] = value
	}
	what, failed := r.wrong(values)
	switch {
	case what == "" && !failed:
	case len(settings) == 1:
		assert.Empty(r.t, what)
	default:
		r.sweep(settings[:len(settings)/2])
		r.sweep(settings[len(settings)/2:])
	}
}

// aboutOtherThings are settings of other statements, formats and servers, and of limits, which are tried by themselves;
// those that make a query slow are among them.
const aboutOtherThings = "^(ai_|async_|azure|backup|cloud|dialect|distributed_|external_storage|filesystem|format_|hdfs|http_|iceberg|input_format|insert_|kafka|" +
	"keeper|log_|max_|memory_|min_|mongodb|mysql|odbc|output_format|postgresql|remote_|restore|s3_|s3queue|schema_inference|stream_|zookeeper)" +
	"|ast_fuzzer|bandwidth|execution_speed|sleep|timeout|interval|concurrent|insert|backoff"

// numbersAndNames gives the settings that are no Bool, with other values: numbers with 0 or 1, and those that take one
// of some names with each of them.
func (r *readers) numbersAndNames() (settings []string) {
	tried := " FROM system.settings WHERE tier != 'Obsolete' AND NOT match(name, '" + aboutOtherThings + "')"
	numbers := r.query("SELECT name || '=' || if(value = '0', '1', '0')" + tried + " AND match(type, '^(U?Int|Double|Float|MaxThreads|NonZero)') ORDER BY name")
	names := r.query("SELECT name" + tried + " AND NOT match(type, '^(Bool|U?Int|Double|Float|MaxThreads|NonZero|String|Map|Char|Seconds|Milliseconds|URI|Timezone)') ORDER BY name")
	require.Greater(r.t, len(numbers), 100)
	require.Greater(r.t, len(names), 20)
	for _, name := range names {
		err := r.conn.Exec(r.t.Context(), "SELECT 1 SETTINGS "+name+" = 'zzz'")
		if err == nil {
			continue // any text
		}
		_, known, _ := strings.Cut(err.Error(), "one of")
		for _, m := range regexp.MustCompile(`'([^']+)'`).FindAllStringSubmatch(known, -1) {
			settings = append(settings, name+"="+m[1])
		}
	}
	for _, s := range numbers {
		name, value, _ := strings.Cut(s, "=")
		if r.conn.Exec(r.t.Context(), "SELECT 1 SETTINGS "+name+" = "+value) == nil { // else no session can have it
			settings = append(settings, s)
		}
	}
	return settings
}

func with(settings chgo.Settings, name string, value any) chgo.Settings {
	settings = maps.Clone(settings)
	settings[name] = value
	return settings
}

// texts are the settings that take any text, with one that is tried; empty for those that have nothing to do with what
// a query on tables answers.
var texts = map[string]string{
	"additional_result_filter": "1 = 0", "additional_table_filters": "{}", "bool_false_representation": "nein", "bool_true_representation": "ja", "chdb_client_name": "",
	"cluster_for_parallel_replicas": "default", "column_names_for_schema_inference": "", "compatibility": "25.3", "count_distinct_implementation": "uniq", "default_view_definer": "",
	"errors_output_format": "", "force_data_skipping_indices": "x", "force_optimize_projection_name": "x", "function_implementation": "", "ignore_data_skipping_indices": "_key_id",
	"implicit_table_at_top_level": "numbers", "local_filesystem_read_method": "read", "metrics_perf_events_list": "", "network_compression_method": "", "parallel_replicas_custom_key": "id",
	"polyglot_dialect": "", "preferred_optimize_projection_name": "x", "promql_database": "", "promql_table": "", "query_cache_tag": "x", "rename_files_after_processing": "",
	"send_logs_source_regexp": "", "session_timezone": "Asia/Tokyo", "temporary_files_codec": "NONE", "trace_profile_events_list": "", "url_base": "", "workload": "",
}

// texts gives what is tried of them. A version of ClickHouse with another one needs somebody who looks at it.
func (r *readers) texts() (settings []string) {
	for _, name := range r.query("SELECT name FROM system.settings WHERE tier != 'Obsolete' AND NOT match(name, '" + aboutOtherThings + "') AND match(type, '^(String|Map|Char|URI|Timezone)')") {
		value, known := texts[name]
		require.True(r.t, known, "%s is new: may it change an answer?", name)
		if value != "" {
			settings = append(settings, name+"="+value)
		}
	}
	return settings
}

// TestReadersSettings: a view, and complete_up_to, give the right answer or an error, whatever a reader sets.
func TestReadersSettings(t *testing.T) {
	r := newReaders(t)
	seed := time.Now().UnixNano()
	t.Log("seed", seed)
	flipped := r.query("SELECT name || '=' || toString(1 - toUInt8(value)) FROM system.settings WHERE type = 'Bool' AND value IN ('0', '1')" +
		" AND tier != 'Obsolete' AND name NOT IN ('output_format_native_encode_types_in_binary_format') ORDER BY name")
	require.Greater(t, len(flipped), 500)
	flipped = append(append(flipped, r.numbersAndNames()...), r.texts()...)
	rand.New(rand.NewPCG(uint64(seed), 0)).Shuffle(len(flipped), func(i, j int) { flipped[i], flipped[j] = flipped[j], flipped[i] })
	for group := range slices.Chunk(flipped, 24) {
		r.sweep(group)
	}
	modes := chgo.Settings{}
	for _, mode := range r.query("SELECT name FROM system.settings WHERE position(name, 'overflow_mode') > 0") {
		modes[mode] = "break"
	}
	require.Greater(t, len(modes), 9)
	for _, limit := range r.query("SELECT name FROM system.settings WHERE match(name, '^max_(rows|bytes|result|columns|temporary|estimated|execution)|^(limit|offset|select_sequential_consistency|max_threads|max_block_size)$')" +
		" AND type NOT IN ('Bool', 'Map')") {
		what, _ := r.wrong(with(modes, limit, "1"))
		assert.Empty(t, what)
	}
	for limit, mode := range map[string]string{"max_rows_to_group_by": "group_by_overflow_mode", "max_rows_to_read": "read_overflow_mode", "max_result_rows": "result_overflow_mode",
		"max_rows_in_distinct": "distinct_overflow_mode", "max_rows_in_set": "set_overflow_mode", "max_rows_in_join": "join_overflow_mode", "max_rows_to_sort": "sort_overflow_mode"} {
		for _, ends := range []string{"any", "break"} { // a mode that does not have it is an error
			what, _ := r.wrong(chgo.Settings{limit: "1", mode: ends})
			assert.Empty(t, what)
		}
	}
	for _, s := range []string{
		"compatibility=20.3", "compatibility=24.3", "join_default_strictness=ANY", "join_algorithm=full_sorting_merge", "enable_analyzer=0", "session_timezone=Asia/Tokyo",
		"additional_table_filters={'" + r.database + "_raw.cuts':'0','" + r.database + "_raw.visits__g2':'_version < 3','" + r.database + "_raw.shown':'0'}",
		"additional_table_filters={'" + r.database + "_raw.complete':'epoch = 7','" + r.database + "_raw.quarantine':'1'}",
		"force_data_skipping_indices=x", "ignore_data_skipping_indices=_key_id", "count_distinct_implementation=uniq", "date_time_overflow_behavior=throw",
	} {
		r.sweep([]string{s})
	}
}

// TestReadersWishes: settings that are about the reader's own query are obeyed, and not refused for bookkeeping tables.
func TestReadersWishes(t *testing.T) {
	r := newReaders(t)
	for _, q := range []string{"SELECT v FROM DB.visits WHERE id = 2", "SELECT toString(count()) FROM DB.complete_up_to"} {
		_, err := r.ask(chgo.Settings{"force_primary_key": 1}, q+"%[1]s", "")
		require.NoError(t, err, q)
	}
	var refused *chgo.Exception
	_, err := r.ask(chgo.Settings{"force_primary_key": 1}, "SELECT max(v) FROM DB.visits%[1]s", "")
	require.ErrorAs(t, err, &refused)
	for _, s := range []chgo.Settings{
		{"read_overflow_mode": "break", "max_bytes_to_read": 1}, {"read_overflow_mode": "break", "max_rows_to_read": 1}, {"timeout_overflow_mode": "break", "max_execution_time": 100},
	} {
		_, err = r.ask(s, readersQueries[0], "")
		require.ErrorAs(t, err, &refused)
		_, err = r.ask(s, readersQueries[1], "")
		require.ErrorAs(t, err, &refused)
	}
	for _, s := range []chgo.Settings{
		{"readonly": 1}, {"readonly": 2}, {"read_overflow_mode": "break"}, {"timeout_overflow_mode": "break"}, {"max_rows_to_read": 1000}, {"result_overflow_mode": "break", "max_result_rows": 100},
	} {
		answer, err := r.ask(s, readersQueries[0], "")
		require.NoError(t, err)
		require.Equal(t, r.right[0], answer)
	}
	answer, err := r.ask(chgo.Settings{"additional_table_filters": "{'" + r.database + ".visits':'id = 2'}"}, "SELECT toString(count()) FROM DB.visits%[1]s", "")
	require.NoError(t, err)
	require.Equal(t, "1", answer)
}
