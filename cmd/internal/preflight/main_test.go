package preflight

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
)

var stackDir string

// stack is the tests' Postgres and ClickHouse, started by the first test that needs them. Postgres' settings are its own, so that ALTER
// SYSTEM changes them.
var stack = sync.OnceValues(func() (*embedded.Stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(stackDir, "stack"), Parts: embedded.Parts{Postgres: true, ClickHouse: true},
		PostgresSettings: map[string]string{"wal_level": "", "max_replication_slots": "", "max_wal_senders": ""},
	})
})

var stackUsed bool

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	var err error
	if stackDir, err = os.MkdirTemp("", "preflight"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(stackDir) }()
	_ = os.Chmod(stackDir, 0o755) // Postgres runs as another user when we are root
	code = m.Run()
	if stackUsed {
		if s, err := stack(); err == nil {
			_ = s.Stop(context.Background()) // the tests are over
		}
	}
	return code
}

func engines(t *testing.T) *embedded.Stack {
	t.Helper()
	requireTool(t, "npm", "apt-get install npm")
	stackUsed = true
	s, err := stack()
	require.NoError(t, err)
	return s
}

// requireTool skips a test whose tool is missing, or fails it where everything must run.
func requireTool(t *testing.T, tool, install string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err == nil {
		return
	}
	if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is missing. Try: %s", tool, install)
	}
	t.Skipf("%s is missing. Try: %s", tool, install)
}
