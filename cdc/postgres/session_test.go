package postgres

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// left are the settings that a role may change and that we leave as they are, each with its reason.
var left = map[string]string{
	"how fast a statement is, and with which plan": `backend_flush_after constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost
		cursor_tuple_fraction debug_logical_replication_streaming default_statistics_target effective_cache_size effective_io_concurrency
		enable_async_append enable_bitmapscan enable_distinct_reordering enable_gathermerge enable_group_by_reordering enable_hashagg enable_hashjoin
		enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
		enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
		enable_presorted_aggregate enable_self_join_elimination enable_seqscan enable_sort enable_tidscan from_collapse_limit geqo geqo_effort
		geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit hash_mem_multiplier io_combine_limit jit
		jit_above_cost jit_expressions jit_inline_above_cost jit_optimize_above_cost jit_tuple_deforming join_collapse_limit
		logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
		max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation
		parallel_setup_cost parallel_tuple_cost plan_cache_mode random_page_cost recursive_worktable_factor seq_page_cost temp_buffers
		vacuum_buffer_usage_limit work_mem wal_skip_threshold debug_parallel_query force_parallel_mode`,
	"how long the server's statistics stay the same within a transaction, in which we do not read them":       `stats_fetch_consistency`,
	"in which order rows come, which nobody relies on":                                                        `synchronize_seqscans`,
	"whether a commit waits; a publication that a crash takes back is found missing, and wait sets it itself": `synchronous_commit commit_siblings`,
	"how long a connection lives whose other end is gone": `client_connection_check_interval tcp_keepalives_count tcp_keepalives_idle
		tcp_keepalives_interval`,
	"what a statement does that we never run: it creates, vacuums, formats with a pattern, searches a text, or sets a password": `check_function_bodies
		createrole_self_grant default_table_access_method default_tablespace default_text_search_config default_toast_compression
		escape_string_warning file_copy_method gin_pending_list_limit icu_validation_level lc_numeric lc_time password_encryption temp_tablespaces
		timezone_abbreviations vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss
		vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age vacuum_multixact_failsafe_age vacuum_multixact_freeze_min_age
		vacuum_multixact_freeze_table_age vacuum_max_eager_freeze_failure_rate vacuum_truncate scram_iterations md5_password_warnings`,
	"of the present transaction: every new one starts with its default_ setting": `transaction_deferrable transaction_isolation transaction_read_only`,
	"a library that a superuser has installed for everyone":                      `local_preload_libraries`,
	"what the server writes into its own log or shows of itself": `debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten
		log_parameter_max_length_on_error trace_notify trace_sort optimize_bounded_sort gss_accept_delegation event_source`,
}

// decided: a setting that any role may change is pinned, or left for a reason that is written down. What a newer
// Postgres adds has to be thought about.
func decided(t *testing.T, r *rig) {
	reasons := map[string]bool{}
	for _, names := range left {
		for name := range strings.FieldsSeq(names) {
			require.False(t, reasons[name], "%s is there twice", name)
			require.NotContains(t, pinned, name)
			reasons[name] = true
		}
	}
	rows, _ := r.conn.Query(t.Context(), "SELECT name FROM pg_settings WHERE context = 'user' AND name NOT LIKE '%.%'")
	var undecided []string
	var name string
	for rows.Next() {
		require.NoError(t, rows.Scan(&name))
		if _, is := pinned[name]; !is && !reasons[name] && name != transactionTimeout && name != KindsSetting {
			undecided = append(undecided, name)
		}
	}
	require.NoError(t, rows.Err())
	require.Empty(t, undecided)
}

// settings reads ours on a session.
func settings(t *testing.T, conn *pgconn.PgConn) map[string]string {
	t.Helper()
	names := append(slices.Collect(maps.Keys(pinned)), transactionTimeout, KindsSetting)
	result, err := conn.Exec(t.Context(), "SELECT name, setting FROM pg_settings WHERE name IN ('"+strings.Join(names, "', '")+"')").ReadAll()
	require.NoError(t, err)
	out := map[string]string{}
	for _, row := range result[0].Rows {
		out[string(row[0])] = string(row[1])
	}
	return out
}

// kinds opens a session of each kind with the login and gives what it is set to.
func kinds(t *testing.T, l Login) map[string]map[string]string {
	t.Helper()
	ctx := context.Background()
	out := map[string]map[string]string{}
	conn, err := l.Connect(ctx)
	require.NoError(t, err)
	defer conn.Close(ctx) // nothing is open on it
	out["query"] = settings(t, conn.PgConn())
	for kind, connect := range map[string]func(context.Context) (*pgconn.PgConn, error){"copy": l.ConnectPlain, "stream": l.connectReplication} {
		conn, err := connect(ctx)
		require.NoError(t, err, kind)
		out[kind] = settings(t, conn)
		require.NoError(t, conn.Close(ctx))
	}
	pool, err := l.Pool(1)
	require.NoError(t, err)
	defer pool.Close()
	pooled, err := pool.Acquire(ctx)
	require.NoError(t, err)
	defer pooled.Release()
	out["pool"] = settings(t, pooled.Conn().PgConn())
	return out
}

// hostileSettings: nothing that role, database, role in database or the URL says changes a session of any kind.
func hostileSettings(t *testing.T, r *rig) {
	url := r.role(t, "guest_"+r.conn.Config().Database, "REPLICATION")
	role, database := quote("guest_"+r.conn.Config().Database), quote(r.conn.Config().Database)
	want := kinds(t, Login{URL: url})
	require.Equal(t, pinned["search_path"], want["stream"]["search_path"])
	require.Equal(t, "view, foreign-table", want["copy"][KindsSetting])
	for name := range pinned {
		require.Contains(t, embeddedtest.HostileSettings, name)
	}
	defer r.exec(t, "ALTER DATABASE "+database+" RESET ALL")
	for _, whose := range []string{"ROLE " + role, "DATABASE " + database, "ROLE " + role + " IN DATABASE " + database} {
		embeddedtest.MakeHostile(t, r.conn, whose)
		require.Equal(t, want, kinds(t, Login{URL: url}), whose)
		if strings.HasPrefix(whose, "DATABASE") {
			lasts(t, Login{URL: url})
		}
		r.exec(t, "ALTER "+whose+" RESET ALL")
	}
	require.Equal(t, want, kinds(t, Login{URL: url + "&search_path=public&DateStyle=SQL&options=-c%20search_path%3Dpublic%20-c%20extra_float_digits%3D-15"}), "URL")
	if serverMajor(r.conn) < 17 {
		return
	}
	r.exec(t, "ALTER ROLE "+role+" SET transaction_timeout = 1")
	for range 20 {
		conn, err := Login{URL: url}.connectReplication(t.Context())
		require.NoError(t, err, "it may end before the first statement")
		require.NoError(t, conn.Close(t.Context()))
		pool, err := Login{URL: url}.Pool(1)
		require.NoError(t, err)
		require.NoError(t, pool.Ping(t.Context()), "the first question of a pool is answered, too")
		pool.Close()
	}
}

// lasts: a copy takes longer, and a session is idle for longer, in a transaction and outside of one, than the database
// would let a session.
func lasts(t *testing.T, l Login) {
	conn, err := l.Connect(t.Context())
	require.NoError(t, err)
	defer conn.Close(context.Background()) // nothing is open on it
	for _, sql := range []string{
		"BEGIN", "COPY (SELECT pg_sleep(1)) TO STDOUT", "SELECT", "SELECT 1 FROM pg_class, pg_sleep(0.1)", "CREATE TEMPORARY TABLE x (a int)", "COMMIT", "SELECT",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
		idle := time.After(200 * time.Millisecond)
		<-idle
	}
}

// TestPoolKnowsAShortTransactionTimeout: the first question of a pool is answered by a server where a role's timeout
// ends every session before its first statement, unless the startup packet has another.
func TestPoolKnowsAShortTransactionTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }() // the test is over
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go endsEarly(conn)
		}
	}()
	pool, err := Login{URL: "postgres://u@" + listener.Addr().String() + "/d?sslmode=disable"}.Pool(1)
	require.NoError(t, err)
	defer pool.Close()
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	conn.Release()
}

// otherKinds: the owner of a captured table replaces it by a view, or a foreign table, of its name: its function does
// not run with our rights, whichever session reads it.
func otherKinds(t *testing.T, r *rig) {
	r.exec(t, "CREATE FUNCTION stranger() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''it ran''; END'",
		"DROP TABLE t", "CREATE VIEW t AS SELECT 1::bigint AS id, public.stranger() AS v")
	login := Login{URL: r.url}
	conn, err := login.Connect(t.Context())
	require.NoError(t, err)
	defer conn.Close(context.Background()) // nothing is open on it
	plain, err := login.ConnectPlain(t.Context())
	require.NoError(t, err)
	defer plain.Close(context.Background()) // nothing is open on it
	pool, err := login.Pool(1)
	require.NoError(t, err)
	defer pool.Close()
	for session, ask := range map[string]func(sql string) error{
		"query": func(sql string) error { _, err := conn.Exec(t.Context(), sql); return err },
		"copy": func(sql string) error {
			_, err := plain.CopyTo(t.Context(), io.Discard, "COPY ("+sql+") TO STDOUT")
			return err
		},
		"pool": func(sql string) error { _, err := pool.Exec(t.Context(), sql); return err },
	} {
		var said *pgconn.PgError
		require.ErrorAs(t, ask("SELECT v FROM ONLY public.t WHERE id = 1"), &said, session)
		require.Equal(t, "55000", said.Code, "%s: %s", session, said.Message)
	}
	var said *pgconn.PgError
	_, err = r.conn.Exec(t.Context(), "SELECT v FROM ONLY public.t")
	require.ErrorAs(t, err, &said)
	require.Equal(t, "P0001", said.Code, "in the test's own session it runs")
}

// strangers: functions of a role that only owns a table, in its indexes, constraints and statistics, also behind an
// operator; those of the database's owner, and Postgres' own, are none.
func strangers(t *testing.T, r *rig) {
	name := "owner_" + r.conn.Config().Database
	owner := embeddedtest.Connect(t, r.role(t, name, ""))
	r.exec(t, "GRANT CREATE ON SCHEMA public TO "+name, "CREATE FUNCTION public.ours(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'")
	embeddedtest.ExecOn(t, owner, "CREATE TABLE public.theirs (id int PRIMARY KEY, v text CHECK (v <> ''))",
		"CREATE INDEX ON public.theirs (pg_catalog.lower(v)) WHERE public.ours(id)")
	oids := []uint32{r.describe(t, "theirs").OID, r.table.OID}
	found, err := ForeignFunctions(t.Context(), r.conn, oids)
	require.NoError(t, err)
	require.Empty(t, found)

	for _, f := range []string{"indexed", "checked", "counted", "behind"} {
		embeddedtest.ExecOn(t, owner, "CREATE FUNCTION public."+f+"(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'")
	}
	embeddedtest.ExecOn(t, owner, "CREATE OPERATOR public.@@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = public.behind)",
		"CREATE INDEX ON public.theirs (id) WHERE public.indexed(1, 2)", "CREATE INDEX ON public.theirs (id) WHERE 1 OPERATOR(public.@@@@) 2",
		"ALTER TABLE public.theirs ADD CHECK (public.checked(1, 2))", "CREATE STATISTICS public.stats ON (public.counted(id, 1)), id FROM public.theirs")
	found, err = ForeignFunctions(t.Context(), r.conn, oids)
	require.NoError(t, err)
	var functions []string
	for _, s := range found {
		require.Equal(t, [2]string{"public.theirs", name}, [2]string{s.Table, s.Owner})
		functions = append(functions, s.Function)
	}
	require.Equal(t, []string{"behind(integer,integer)", "checked(integer,integer)", "counted(integer,integer)", "indexed(integer,integer)"}, functions)
}

// endsEarly plays that server for one session.
func endsEarly(conn net.Conn) {
	defer conn.Close()
	server := pgproto3.NewBackend(conn, conn)
	message, err := server.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if startup, is := message.(*pgproto3.StartupMessage); is && startup.Parameters[transactionTimeout] != "0" {
		server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: codeTransactionTimeout})
		_ = server.Flush() // the session ends
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	for {
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = server.Flush() // the client would notice
		if asked, err := server.Receive(); err != nil || asked == (*pgproto3.Terminate)(nil) {
			return // it has gone
		}
		server.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: codeUndefined}) // it knows no setting
	}
}

// TestMajor reads versions as servers write them.
func TestMajor(t *testing.T) {
	for version, want := range map[string]int{"17.2 (Debian 17.2-1)": 17, "18beta1": 18, "14.9": 14, "19devel": 19, "": 0} {
		require.Equal(t, want, major(version), version)
	}
}
