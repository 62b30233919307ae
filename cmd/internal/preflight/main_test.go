package preflight

import (
	"testing"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// stack is the tests' Postgres and ClickHouse, started by the first test that needs them. Postgres' settings are its
// own, so that ALTER SYSTEM changes them.
var stack = embeddedtest.ShareEmbedded(embedded.Options{
	Parts:            embedded.Parts{Postgres: true, ClickHouse: true},
	PostgresSettings: map[string]string{"wal_level": "", "max_replication_slots": "", "max_wal_senders": ""},
})

func TestMain(m *testing.M) { embeddedtest.Main(m, stack) }
