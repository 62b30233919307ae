package oracle

import (
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// stack is the tests' Postgres and ClickHouse, started by the first test that needs one.
var stack = embeddedtest.ShareEmbedded(embedded.Options{Parts: embedded.Parts{Postgres: true, ClickHouse: true}})

func TestMain(m *testing.M) { embeddedtest.Main(m, stack) }

// postgres makes a database of the test's own and connects to it.
func postgres(t *testing.T) *pgx.Conn {
	t.Helper()
	return embeddedtest.Connect(t, freshDatabase(t))
}

// freshDatabase makes a Postgres database of the test's own and gives its URL.
func freshDatabase(t *testing.T) string {
	t.Helper()
	return embeddedtest.Database(t, stack.Get(t).Postgres)
}

// clickHouse makes a database of the test's own and connects to the server.
func clickHouse(t *testing.T) (conn driver.Conn, database string) {
	t.Helper()
	conn, database = embeddedtest.ClickHouse(t, stack.Get(t).ClickHouse.URL()), embeddedtest.Name()
	embeddedtest.ExecClickHouse(t, conn, "CREATE DATABASE "+database+" ENGINE = Atomic")
	return conn, database
}
