package postgres

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pinned are the settings that every session of every verb starts with, whatever the server's configuration, the
// database, the role, the role in the database, the URL or PGOPTIONS say: all that change what SQL means or how
// values print, and all that end a session that we still need. They are parameters of the startup packet, which
// Postgres takes after the URL's options and prefers to every ALTER ROLE or ALTER DATABASE … SET; the connection that
// streams has them, too, and prints values under them. Every other setting that a role may change is in the test's
// list of those that are left as they are, with the reason.
//
// Not pinned because only a superuser can set them: session_replication_role, lc_messages, event_triggers. Not pinned
// because it changes rights and not meaning, and logins that rotate depend on it: role.
var pinned = map[string]string{
	"application_name": CaptureName,

	// Which function, operator, type and table a name means. Otherwise somebody could create a function in public that
	// fits better than the one that is meant, and it would run with our rights. A temporary schema that is not named
	// comes first.
	"search_path": "pg_catalog, pg_temp",

	// How values print, and how the texts that we send are read (rule 30). extra_float_digits: the shortest exact
	// text. lc_monetary and search_path have no value that everyone expects: money prints as in locale C, and the
	// names of types, tables and functions (regclass and its like) with their schema.
	"client_encoding": "UTF8", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "1",
	"bytea_output": "hex", "lc_monetary": "C", "quote_all_identifiers": "off", "xmlbinary": "base64", "xmloption": "content",
	"array_nulls": "on", "standard_conforming_strings": "on", "backslash_quote": "safe_encoding", "transform_null_equals": "off",

	// Whether a policy of row-level security that would hide rows is an error or a gap.
	"row_security": "off",

	// What a transaction is. Those that need another kind say so (ReadOnly, wait, the copy).
	"default_transaction_isolation": "read committed", "default_transaction_read_only": "off", "default_transaction_deferrable": "off",

	// What ends a session or a statement. A copy takes as long as the table is large, and a session that waits for
	// Kafka or ClickHouse is idle. wal_sender_timeout: Postgres' default, since the stream's own times are made for
	// it; 0 would keep the slot of a host that is gone. Where a statement may not wait, its Login says so with a
	// timeout of its own.
	"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
	"wal_sender_timeout": "60s", "tcp_user_timeout": "0", "exit_on_error": "off",

	// How much is said without having been asked for: at debug5 it is more than the rows.
	"client_min_messages": "warning",
}

// An older server refuses a startup packet that names what only newer ones know. So that is pinned by a statement, the
// first of every session.
const (
	// transactionTimeout ends a session, too; Postgres knows it from 17 on.
	transactionTimeout      = "transaction_timeout"
	transactionTimeoutSince = 17
	// KindsSetting refuses relations of some kinds to our queries. The name of a captured table may be a view's by the
	// time it is read: its owner has only to replace it, and the view's functions would run with our rights. Postgres
	// knows it from 14.13, 15.8, 16.4 and 17 on.
	KindsSetting = "restrict_nonsystem_relation_kind"

	setTransactionTimeout = "SET " + transactionTimeout + " = 0"
	setKinds              = "SET " + KindsSetting + " = 'view, foreign-table'"
)

// pinNewer pins, on a session that has just begun, what only newer servers know.
func pinNewer(ctx context.Context, conn *pgconn.PgConn) error {
	if major(conn.ParameterStatus("server_version")) >= transactionTimeoutSince {
		return conn.Exec(ctx, setTransactionTimeout+"; "+setKinds).Close()
	}
	err := conn.Exec(ctx, setKinds).Close()
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) && said.Code == codeUndefined {
		return nil // check warns of such a server
	}
	return err
}

// major is the number before the first dot of a version ("17.2 (Debian …)", "18beta1"); 0 if there is none.
func major(version string) int {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, _ := strconv.Atoi(version[:end]) // "" counts as 0, the oldest
	return n
}

// pin makes the sessions of a configuration ours.
func (l Login) pin(config *pgx.ConnConfig) {
	maps.Copy(config.RuntimeParams, pinned)
	if l.Name != "" {
		config.RuntimeParams["application_name"] = l.Name
	}
	maps.Copy(config.RuntimeParams, l.Settings)
	config.AfterConnect = pinNewer
	config.BuildFrontend = l.bounded
}

// beginAll is begin for a pool, whose connections are opened one by one: a session before the first says whether the
// server knows a transaction_timeout, so that all have it in their startup packet and none ends before its first
// statement.
func (l Login) beginAll(pool *pgxpool.Config) {
	var asked, knows atomic.Bool
	pool.BeforeConnect = func(ctx context.Context, config *pgx.ConnConfig) error {
		if !asked.Load() {
			is, err := knowsTransactionTimeout(ctx, config)
			if err != nil {
				return err
			}
			knows.Store(is)
			asked.Store(true)
		}
		if knows.Load() {
			config.RuntimeParams[transactionTimeout] = "0"
		}
		return nil
	}
}

// knowsTransactionTimeout asks by a session of its own; one that such a timeout ends says so, too.
func knowsTransactionTimeout(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	conn, err := pgconn.ConnectConfig(ctx, &config.Copy().Config)
	if err != nil {
		var said *pgconn.PgError
		if errors.As(err, &said) && said.Code == codeTransactionTimeout {
			return true, nil
		}
		return false, err
	}
	defer conn.Close(ctx) // nothing is open on it
	return major(conn.ParameterStatus("server_version")) >= transactionTimeoutSince, nil
}

// codeTransactionTimeout says that a transaction_timeout has ended the session.
const codeTransactionTimeout = "25P04"

// begin opens one session with the configuration. A transaction_timeout so short that the session ends before the
// first statement is known to the server, and so can be in the startup packet.
func (l Login) begin(config *pgx.ConnConfig, connect func() error) error {
	err := connect()
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == codeTransactionTimeout {
		config.RuntimeParams[transactionTimeout] = "0"
		err = connect()
	}
	if err != nil {
		return l.problem(err)
	}
	return nil
}
