package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// childEnv carries the job of a re-executed child; RunChild removes it, so grandchildren never see it.
const childEnv = "DIRTBIKE_EMBEDDED_CHILD"

// job is what a re-executed child is asked to do.
type job struct {
	Name string   // "clickhouse" or "kfake"
	Lib  string   // clickhouse: path of the shared library
	Args []string // clickhouse: its command line, argv[0] included
	TCP  [2]int   // clickhouse: ports of the native protocol, for clients and of the library
	HTTP [2]int   // clickhouse: ports of HTTP, the same
	Port int      // kfake: loopback port
	Dir  string   // kfake: data directory
}

// RunChild runs the child's job and exits if this process is a child of the embedded stack; otherwise it returns at
// once. Call it first in main and in TestMain: ClickHouse and kfake are this binary, run again.
func RunChild() {
	raw, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	_ = os.Unsetenv(childEnv)
	if err := runJob(raw); err != nil {
		fmt.Fprintln(os.Stderr, "embedded child:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runJob(raw string) error {
	var j job
	if err := json.Unmarshal([]byte(raw), &j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	switch j.Name {
	case "clickhouse":
		return runClickHouse(j)
	case "kfake":
		return runKfake(j)
	default:
		return fmt.Errorf("unknown job %q", j.Name)
	}
}

// spec describes a child process.
type spec struct {
	name  string
	path  string
	argv0 string // what ps shows; "" = path
	args  []string
	env   []string
	dir   string      // working directory; "" = the parent's
	cred  *credential // nil = the parent's
	files []*os.File  // inherited as descriptors 3, 4, …
	log   string      // file that takes stdout and stderr, appended
}

// selfSpec is a child that runs j in this very binary. /proc/self/exe works where the binary was deleted or rebuilt.
func selfSpec(name, log string, j job) spec {
	raw, _ := json.Marshal(j) // strings and numbers always can be
	env := append(os.Environ(), childEnv+"="+string(raw), "TZ=UTC")
	return spec{name: name, path: "/proc/self/exe", argv0: "dirtbike-embedded-" + name, env: env, log: log}
}

// credential is the user a child runs as.
type credential struct{ uid, gid uint32 }

// child is a running process. Its methods may be called concurrently.
type child struct {
	name string
	log  string
	proc *os.Process
	done chan struct{} // closed when the process has ended and was reaped

	state    *os.ProcessState // set before done is closed
	expected atomic.Bool      // we asked it to end
}

// spawn starts a child that dies with this process.
func spawn(s spec) (*child, error) {
	logFile, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", s.name, err)
	}
	cmd := exec.Command(s.path, s.args...) //nolint:noctx // it outlives the call that starts it; stop and kill end it
	if s.argv0 != "" {
		cmd.Args[0] = s.argv0
	}
	cmd.Env, cmd.Dir, cmd.ExtraFiles = s.env, s.dir, s.files
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = childAttr(s.cred)
	c := &child{name: s.name, log: s.log, done: make(chan struct{})}
	started := make(chan error, 1)
	go c.run(cmd, logFile, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	return c, nil
}

// run keeps the thread that started the process until it has ended: the parent-death signal is tied to that thread.
func (c *child) run(cmd *exec.Cmd, logFile *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	_ = logFile.Close()
	if err != nil {
		started <- err
		return
	}
	c.proc = cmd.Process
	started <- nil
	_ = cmd.Wait() // its error is the state
	c.state = cmd.ProcessState
	close(c.done)
}

// signal sends sig; a process that has already ended is no error.
func (c *child) signal(sig os.Signal) error {
	c.expected.Store(true)
	if err := c.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	return nil
}

// kill sends SIGKILL and waits until the process is gone.
func (c *child) kill() error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

func (c *child) running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// waitCtx reports whether the child ended within d and before ctx was cancelled.
func (c *child) waitCtx(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// exitError describes a child that has ended by itself, with the last line of its log.
func (c *child) exitError() error { return fmt.Errorf("%w. Try: read %s", c.exit(), c.log) }

// exit is exitError without the way to the log.
func (c *child) exit() error {
	return fmt.Errorf("%s ended by itself (%s): %s", c.name, c.state, lastLine(c.log))
}

// lastLine returns the last non-empty line of the file's last 4 KiB, cut to 300 bytes.
func lastLine(path string) string {
	tail := logTail(path, 4096)
	lines := strings.Split(strings.TrimSpace(tail), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if len(last) > 300 {
		last = last[:300] + "…"
	}
	if last == "" {
		return "its log is empty"
	}
	return last
}

// logTail returns up to the last n bytes of the file; "" if it cannot be read.
func logTail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	off := max(info.Size()-n, 0)
	buf := make([]byte, info.Size()-off)
	m, _ := f.ReadAt(buf, off)
	return string(buf[:m])
}
