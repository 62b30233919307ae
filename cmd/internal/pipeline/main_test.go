package pipeline

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/secure"

	"github.com/stretchr/testify/require"
)

// testPassword must stand in no error and no log.
const testPassword = "hunter2secret"

var stackDir string

// stack is the tests' secured stack, started by the first test that needs it.
var stack = sync.OnceValues(func() (*secure.Stack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stackUsed = true
	return secure.Start(ctx, stackDir, testPassword)
})

var stackUsed bool

func TestMain(m *testing.M) {
	embedded.RunChild()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	var err error
	if stackDir, err = os.MkdirTemp("", "pipeline"); err == nil {
		err = os.Chmod(stackDir, 0o755) // Postgres runs as another user when we are root
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(stackDir) }()
	code = m.Run()
	if stackUsed {
		if s, err := stack(); err == nil {
			_ = s.Stop(context.Background()) // the tests are over
		}
	}
	return code
}

// secured gives the secured stack, or skips the test where a tool for it is missing.
func secured(t *testing.T) *secure.Stack {
	t.Helper()
	for tool, install := range map[string]string{"npm": "npm", "java": "openjdk-17-jre-headless", "mvn": "maven"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is missing. Try: apt-get install %s", tool, install)
		}
		t.Skipf("%s is missing. Try: apt-get install %s", tool, install)
	}
	s, err := stack()
	require.NoError(t, err)
	return s
}
