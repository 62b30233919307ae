package embeddedtest

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

const (
	startWithin = 5 * time.Minute // engines may have to be installed first
	stopWithin  = time.Minute
)

// Start starts a stack for the length of the test. Options.Dir may be empty.
func Start(t testing.TB, o embedded.Options) *embedded.Stack {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "stack")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	s, err := embedded.Start(ctx, o)
	requireStarted(t, err, o.Kafka == "apache")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if err := s.Stop(ctx); err != nil { // the test is over
			t.Logf("stop the stack: %v", err)
		}
	})
	return s
}

// Postgres starts a server of that major version, "" for the newest, for the length of the test.
func Postgres(t testing.TB, version string, settings map[string]string) *embedded.Postgres {
	t.Helper()
	return Start(t, embedded.Options{Parts: embedded.Parts{Postgres: true}, PostgresVersion: version, PostgresSettings: settings}).Postgres
}

// requireStarted fails the test if a stack has not started, or skips it if that is because a tool is missing: engines
// that are installed need none.
func requireStarted(t testing.TB, err error, apache bool) {
	t.Helper()
	tools := []string{"npm"}
	if apache {
		tools = append(tools, "java", "mvn")
	}
	for _, tool := range tools {
		if _, missing := exec.LookPath(tool); err != nil && missing != nil {
			Missing(t, fmt.Sprintf("%s (%v)", tool, err), installs[tool])
		}
	}
	require.NoError(t, err)
}

// Stack is what Shared can share.
type Stack interface {
	Stop(ctx context.Context) error
}

// Shared is a stack for all tests of a package: the first test that asks for it starts it, and Main stops it after the
// last.
type Shared[S Stack] struct {
	apache bool
	start  func(ctx context.Context, dir string) (S, error)

	once    sync.Once
	dir     string
	stack   S
	started bool
	err     error
}

// Share makes a stack that start will start in a folder of its own; apache says that it needs Apache Kafka.
func Share[S Stack](apache bool, start func(ctx context.Context, dir string) (S, error)) *Shared[S] {
	return &Shared[S]{apache: apache, start: start}
}

// ShareEmbedded is Share of an embedded stack; Options.Dir is set for it.
func ShareEmbedded(o embedded.Options) *Shared[*embedded.Stack] {
	return Share(o.Kafka == "apache", func(ctx context.Context, dir string) (*embedded.Stack, error) {
		o.Dir = filepath.Join(dir, "stack")
		return embedded.Start(ctx, o)
	})
}

// Get gives the stack. It may be called by several tests at once.
func (s *Shared[S]) Get(t testing.TB) S {
	t.Helper()
	s.once.Do(s.first)
	requireStarted(t, s.err, s.apache)
	return s.stack
}

func (s *Shared[S]) first() {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	if s.dir, s.err = os.MkdirTemp("", "dirtbike-test-"); s.err != nil {
		return
	}
	if s.stack, s.err = s.start(ctx, s.dir); s.err == nil {
		s.started = true
	}
}

// Stop stops the stack if it was started, and removes its folder. DIRTBIKE_TEST_KEEP=1 keeps the folder.
func (s *Shared[S]) Stop() {
	if s.started {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if err := s.stack.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "stop the tests' stack:", err)
		}
	}
	if s.dir != "" && os.Getenv("DIRTBIKE_TEST_KEEP") == "" {
		_ = os.RemoveAll(s.dir)
	}
}

// Stopper is a Shared of any kind.
type Stopper interface{ Stop() }

// Main is a package's TestMain: it lets the test binary be the engine that it is started again as, runs the tests,
// stops what they share and ends the process.
func Main(m *testing.M, shared ...Stopper) {
	embedded.RunChild()
	code := m.Run()
	for _, s := range shared {
		s.Stop()
	}
	os.Exit(code)
}
