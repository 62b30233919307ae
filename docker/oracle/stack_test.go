package oracle

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
)

// stack is the tests' Postgres and ClickHouse, started by the first test that needs one.
var stack = sync.OnceValues(func() (*embedded.Stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return embedded.Start(ctx, embedded.Options{Dir: stackDir, Parts: embedded.Parts{Postgres: true, ClickHouse: true}})
})

// stackDir holds the stack's data; stackUsed says that there is one to stop.
var (
	stackDir  string
	stackUsed atomic.Bool
)

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(run(m))
}

// run runs the tests, then stops what they started.
func run(m *testing.M) (code int) {
	var err error
	if stackDir, err = os.MkdirTemp("", "oracle"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(stackDir) }()
	code = m.Run()
	if !stackUsed.Load() {
		return code
	}
	if s, err := stack(); err == nil {
		if err := s.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// running gives the stack, or skips the test where there is none to be had.
func running(t *testing.T) *embedded.Stack {
	t.Helper()
	stackUsed.Store(true)
	s, err := stack()
	if _, npm := exec.LookPath("npm"); err != nil && npm != nil {
		if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
			t.Fatalf("npm is missing. Try: apt-get install npm (%v)", err)
		}
		t.Skipf("npm is missing. Try: apt-get install npm (%v)", err)
	}
	require.NoError(t, err)
	return s
}

// postgres makes a database of the test's own and connects to it.
func postgres(t *testing.T) *pgx.Conn {
	t.Helper()
	return connect(t, freshDatabase(t))
}

// connect opens a connection to Postgres for the length of the test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// freshDatabase makes a Postgres database of the test's own and gives its URL.
func freshDatabase(t *testing.T) string {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), running(t).Postgres.URL())
	require.NoError(t, err)
	defer func() { _ = admin.Close(context.Background()) }()
	name := databaseName(t)
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return running(t).Postgres.DatabaseURL(name)
}

var databases int

// databaseName numbers the tests' databases.
func databaseName(t *testing.T) string {
	t.Helper()
	databases++
	return fmt.Sprintf("oracle_%d_%d", os.Getpid(), databases)
}

// clickHouse makes a database of the test's own and connects to the server.
func clickHouse(t *testing.T) (conn driver.Conn, database string) {
	t.Helper()
	options, err := clickhouse.ParseDSN(running(t).ClickHouse.URL())
	require.NoError(t, err)
	conn, err = clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	database = databaseName(t)
	require.NoError(t, conn.Exec(t.Context(), "CREATE DATABASE "+database+" ENGINE = Atomic"))
	return conn, database
}

// execPG runs statements on Postgres.
func execPG(t *testing.T, pg *pgx.Conn, sql string) {
	t.Helper()
	_, err := pg.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// execCH runs statements on ClickHouse.
func execCH(t *testing.T, ch driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		require.NoError(t, ch.Exec(t.Context(), s), s)
	}
}
