package rules

import (
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// start starts these parts of the embedded stack for the length of the test.
func start(t *testing.T, parts embedded.Parts) *embedded.Stack {
	t.Helper()
	return embeddedtest.Start(t, embedded.Options{Parts: parts})
}

// clinic makes the database of the documents' examples, and connects to it as its owner.
func clinic(t *testing.T, pg *embedded.Postgres) *pgx.Conn {
	t.Helper()
	require.NoError(t, pg.CreateDatabase(t.Context(), "clinic"))
	conn := embeddedtest.Connect(t, pg.DatabaseURL("clinic"))
	execute(t, conn, `CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, name text NOT NULL, born date);
CREATE SCHEMA billing;
CREATE TABLE billing.claims (claim_id bigint PRIMARY KEY, paid numeric(12,2));
`)
	return conn
}

// statements splits a block; each statement ends with its line.
func statements(text string) []string {
	var all []string
	for s := range strings.SplitSeq(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func execute(t *testing.T, conn *pgx.Conn, text string) {
	t.Helper()
	for _, s := range statements(text) {
		_, err := conn.Exec(t.Context(), s, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, s)
	}
}

// TestDocumentsSQL runs all Postgres blocks in their order; the last one must leave nothing in the server.
func TestDocumentsSQL(t *testing.T) {
	stack := start(t, embedded.Parts{Postgres: true})
	conn := clinic(t, stack.Postgres)
	execute(t, conn, "SELECT pg_create_logical_replication_slot('dirtbike', 'pgoutput')")
	for _, b := range blocksOf(t, "sql") {
		execute(t, conn, b.text)
	}
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots) +
		(SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_roles WHERE rolname = 'dirtbike')`).Scan(&left))
	require.Zero(t, left)
}

// TestDocumentsClickHouse parses all ClickHouse statements, and runs those that need no user storage, which the
// embedded server lacks. That the rights are enough, and no more than enough for readers, is shown by TestRights of
// cmd/dirtbike.
func TestDocumentsClickHouse(t *testing.T) {
	stack := start(t, embedded.Parts{ClickHouse: true})
	conn := embeddedtest.ClickHouse(t, stack.ClickHouse.URL())
	for _, database := range []string{"clinic", "clinic_raw"} {
		require.NoError(t, conn.Exec(t.Context(), "CREATE DATABASE "+database+" ENGINE = Atomic"))
	}
	for _, b := range blocksOf(t, "sql clickhouse") {
		for _, s := range statements(b.text) {
			require.NoError(t, parse(t, conn, s), s)
			if strings.HasPrefix(s, "DROP DATABASE ") {
				require.NoError(t, conn.Exec(t.Context(), s), s)
			}
		}
	}
	require.Error(t, parse(t, conn, "GRANT NO SUCH RIGHT ON x.* TO y"))
	var left uint64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count() FROM system.databases WHERE name LIKE 'clinic%'").Scan(&left))
	require.Zero(t, left)
}

// parse lets the server parse a statement without running it.
func parse(t *testing.T, conn driver.Conn, statement string) error {
	t.Helper()
	var formatted string
	return conn.QueryRow(t.Context(), "SELECT formatQuery(?)", statement).Scan(&formatted)
}
