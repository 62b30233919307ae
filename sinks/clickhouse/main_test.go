package clickhouse

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"dirtbike/docker/embedded"
)

// stack is shared by all tests; each has a prefix and a database of its own.
var stack *embedded.Stack

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dirtbike-load-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stack, err = embedded.Start(ctx, embedded.Options{Dir: dir, Parts: embedded.Parts{ClickHouse: true, Kafka: true, Registry: true}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the embedded stack:", err)
		return 1
	}
	defer stack.Stop(context.Background()) //nolint:errcheck // the tests have given their verdict
	return m.Run()
}
