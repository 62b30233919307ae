package clickhouse

import (
	"testing"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// stack is shared by all tests that need engines; each has a prefix and a database of its own.
var stack = embeddedtest.ShareEmbedded(embedded.Options{Parts: embedded.Parts{ClickHouse: true, Kafka: true, Registry: true}})

func TestMain(m *testing.M) { embeddedtest.Main(m, stack) }
