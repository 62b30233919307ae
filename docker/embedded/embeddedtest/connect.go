package embeddedtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
)

var databases atomic.Int64

// Name gives a database name that no other test has.
func Name() string { return fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1)) }

// Database makes a Postgres database of the test's own, and gives its URL.
func Database(t testing.TB, p *embedded.Postgres) string {
	t.Helper()
	name := Name()
	require.NoError(t, p.CreateDatabase(t.Context(), name))
	return p.DatabaseURL(name)
}

// Connect opens a connection to Postgres that closes with the test.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements on a connection of their own, each by itself, or several of one text as the simple protocol
// does.
func Exec(t testing.TB, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }() // nothing is open on it
	ExecOn(t, conn, statements...)
}

// ExecOn is Exec on an open connection.
func ExecOn(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// ClickHouse opens a connection to ClickHouse that closes with the test.
func ClickHouse(t testing.TB, url string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(url)
	require.NoError(t, err)
	conn, err := clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ExecClickHouse runs statements on ClickHouse.
func ExecClickHouse(t testing.TB, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		require.NoError(t, conn.Exec(t.Context(), s), s)
	}
}

// FreeAddress gives an address of the loopback interface on which no process listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
