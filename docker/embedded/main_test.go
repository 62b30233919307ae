package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// parentEnv makes the test binary a parent that starts a stack in the named directory, reports it and waits.
const parentEnv = "DIRTBIKE_EMBEDDED_TEST_PARENT"

func TestMain(m *testing.M) {
	RunChild()
	if dir, ok := os.LookupEnv(parentEnv); ok {
		os.Exit(runParent(dir))
	}
	os.Exit(m.Run())
}

// parentReport is what a parent process writes to stdout once its stack runs.
type parentReport struct {
	UID                               int
	Postgres, ClickHouse, HTTP, Kafka string
	Registry                          string
	Err                               string
}

func runParent(dir string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := Start(ctx, Options{Dir: dir})
	r := parentReport{UID: os.Geteuid()}
	if err != nil {
		r.Err = err.Error()
	} else {
		r.Postgres, r.ClickHouse, r.HTTP = s.Postgres.URL(), s.ClickHouse.URL(), s.ClickHouse.HTTPURL()
		r.Kafka, r.Registry = s.Kafka.Brokers()[0], s.Registry.URL()
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
	if err != nil {
		return 1
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the test closes stdin or kills us
	if err := s.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// parent is a running parent process.
type parent struct {
	cmd    *exec.Cmd
	report parentReport
	finish func() error // closes stdin and waits
}

func startParent(t *testing.T, dir string, cred *syscall.Credential) *parent {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), parentEnv+"="+dir)
	if cred != nil {
		cmd.Env = append(cmd.Env, "HOME="+dir, "DIRTBIKE_CACHE="+sharedCache(t))
	}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &parent{cmd: cmd, finish: func() error { _ = in.Close(); return cmd.Wait() }}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	require.NoError(t, json.NewDecoder(out).Decode(&p.report))
	require.Empty(t, p.report.Err)
	return p
}

// sharedCache is the cache every test of this package uses, filled.
func sharedCache(t *testing.T) string {
	t.Helper()
	require.NoError(t, Prepare(testContext(t), Options{}))
	c, err := newCache(Options{})
	require.NoError(t, err)
	return c.dir
}

// testContext ends before the test binary's own timeout would.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// start runs a stack that is stopped when the test ends.
func start(t *testing.T, o Options) *Stack {
	t.Helper()
	if o.Log == nil {
		o.Log = zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel))
	}
	s, err := Start(testContext(t), o)
	if err != nil { // the directory goes with the test, so the logs' ends are shown here
		logs, _ := filepath.Glob(filepath.Join(o.Dir, "log", "*.log"))
		for _, log := range logs {
			t.Logf("---- %s\n%s", log, logTail(log, 4000))
		}
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

// missing skips the test, or fails it where everything must be there.
func missing(t *testing.T, tool, install string) {
	t.Helper()
	if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is missing. Try: %s", tool, install)
	}
	t.Skipf("%s is missing. Try: %s", tool, install)
}
