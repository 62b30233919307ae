package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
	"dirtbike/docker/embedded/embeddedtest"
)

// demoRun is a demo as a process of its own, in a process group of its own, as a terminal would run it.
type demoRun struct {
	*testing.T
	cmd  *exec.Cmd
	dir  string // its temporary directory; everything it starts carries the name in its environment
	out  string // file of what it says
	done chan struct{}
}

func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return startProcess(t, self, append([]string{"demo"}, args...)...)
}

// startTyped starts a command line as somebody types it, until its process is ended.
func startTyped(t *testing.T, line string) *demoRun {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	rest, is := strings.CutPrefix(line, "dirtbike ")
	require.True(t, is, line)
	return startProcess(t, "sh", "-c", "exec "+self+" "+rest)
}

func startProcess(t *testing.T, program string, args ...string) *demoRun {
	t.Helper()
	embeddedtest.Tools(t, "npm")
	dir, err := os.MkdirTemp("", "dirtbike-test-demo-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) // Postgres runs as another user when we are root
	d := &demoRun{T: t, dir: filepath.Join(dir, "tmp"), out: filepath.Join(dir, "out"), done: make(chan struct{})}
	require.NoError(t, os.Mkdir(d.dir, 0o755)) // as above
	file, err := os.Create(d.out)
	require.NoError(t, err)
	defer file.Close()
	d.cmd = exec.Command(program, args...)
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.dir)
	d.cmd.Stdout, d.cmd.Stderr = file, file
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, d.cmd.Start())
	go func() {
		_ = d.cmd.Wait() // its exit code is checked
		close(d.done)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it has ended unless the test failed
		if t.Failed() {
			t.Logf("---- demo\n%s", tail(d.output(), 6000))
		}
	})
	return d
}

func (d *demoRun) output() string {
	b, _ := os.ReadFile(d.out)
	return string(b)
}

// says waits until the demo has said something.
func (d *demoRun) says(what string) {
	d.Helper()
	require.Eventually(d, func() bool { return strings.Contains(d.output(), what) }, 2*time.Minute, 20*time.Millisecond, "it never said %q", what)
}

// ends waits for the demo's end and gives its exit code.
func (d *demoRun) ends() int {
	d.Helper()
	select {
	case <-d.done:
	case <-time.After(3 * time.Minute):
		require.Fail(d, "the demo did not end")
	}
	return d.cmd.ProcessState.ExitCode()
}

// nothingLeft requires that no process of the demo lives.
func (d *demoRun) nothingLeft() {
	d.Helper()
	require.Eventually(d, func() bool { return len(d.processes()) == 0 }, 10*time.Second, 50*time.Millisecond, "%v", d.processes())
}

// demoProcess is a process of a demo: what /proc says of it.
type demoProcess struct{ pid, command, environment string }

// processes are all that have the demo's directory in their environment.
func (d *demoRun) processes() (all []demoProcess) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(d, err)
	for _, path := range environments {
		environment, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environment, []byte(d.dir)) {
			continue // it has ended, or is another user's
		}
		dir := filepath.Dir(path)
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		all = append(all, demoProcess{filepath.Base(dir), string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})), string(environment)})
	}
	return all
}

// victims are the pids of the parts that a demo kills, by the name it gives them.
func (d *demoRun) victims() map[string]string {
	pids := map[string]string{}
	for _, p := range d.processes() {
		switch {
		case strings.Contains(p.command, " capture --config "):
			pids["capture"] = p.pid
		case strings.Contains(p.environment, `"Name":"clickhouse"`): // the library, in a child of the embedded stack
			pids["ClickHouse"] = p.pid
		}
	}
	return pids
}

// replaces waits until a part is another process.
func (d *demoRun) replaces(part, former string) {
	d.Helper()
	require.NotEmpty(d, former, "no process of %s was found", part)
	require.Eventually(d, func() bool { now := d.victims()[part]; return now != "" && now != former }, time.Minute, 100*time.Millisecond, "%s was not killed: it still is process %s", part, former)
}

func (d *demoRun) temporaryFiles() []string {
	d.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "*"))
	require.NoError(d, err)
	return files
}

// TestDemo runs the whole product, and nothing of it remains. What it says to have killed is another process
// afterwards.
func TestDemo(t *testing.T) {
	d := startDemo(t, "--rows", "20000", "--for", "15s")
	d.says("The clinic is at work")
	require.Greater(t, len(d.processes()), 5, "the stack's parts and both legs are found by their environment")
	former := d.victims()
	d.replaces("capture", former["capture"])
	d.replaces("ClickHouse", former["ClickHouse"])
	require.Zero(t, d.ends())
	out := d.output()
	require.Regexp(t, `\n✓ 8 tables, [12]\d,\d{3} rows equal\n`, out)
	for _, line := range []string{
		"Postgres     postgres://", "ClickHouse   clickhouse://", "/readyz?verbose", "capture killed (SIGKILL)", "ClickHouse killed (SIGKILL)",
		"s after capture was killed", "s after ClickHouse was killed", // ClickHouse is fresh again
		"commit → queryable", "slot lag", "equal answers", "the temporary directory removed",
	} {
		require.Contains(t, out, line)
	}
	require.NotContains(t, out, "\x1b", "no terminal, no escape sequences")
	require.Empty(t, d.temporaryFiles())
	d.nothingLeft()
}

// TestDemoUntilCtrlC interrupts a demo that runs until then, as a terminal does it, with all its processes: the proof
// is still owed. Its directory is kept, and refused to a second one.
func TestDemoUntilCtrlC(t *testing.T) {
	t.Parallel()
	kept := filepath.Join(t.TempDir(), "what's kept")
	d := startDemo(t, "--rows", "2000", "--for", "0", "--no-kill", "--dir", kept)
	d.says("changes committed")
	require.NoError(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	require.Zero(t, d.ends())
	require.Contains(t, d.output(), "\n  stopping the clinic; comparing now; Ctrl-C again skips this\n")
	require.Contains(t, d.output(), "rows equal")
	d.nothingLeft()
	for _, log := range []string{"capture.log", "load.log", "stack/log/postgres.log"} { // what errors of a demo say to read
		require.FileExists(t, filepath.Join(kept, log))
	}
	c, err := config.Load(filepath.Join(kept, "dirtbike.yaml"))
	require.NoError(t, err)
	require.False(t, c.Privacy.MayOpen(), "it is the allowlist that it says it is")

	second := startDemo(t, "--dir", kept)
	require.Equal(t, exitWrong, second.ends())
	ways := regexp.MustCompile("^Error: no demo: .* holds an earlier demo.\nTry: another --dir; or (dirtbike embedded .*), which starts its databases again, and (dirtbike run .*)\n$").
		FindStringSubmatch(second.output())
	require.NotNil(t, ways, second.output())
	stack, legs := startTyped(t, ways[1]), startTyped(t, ways[2])
	text, err := os.ReadFile(filepath.Join(kept, "dirtbike.yaml"))
	require.NoError(t, err)
	ask := regexp.MustCompile(`Try, while it runs: (dirtbike status .*)`).FindSubmatch(text)
	require.NotNil(t, ask)
	wait := startTyped(t, strings.Replace(string(ask[1]), " status ", " wait --timeout 2m ", 1))
	require.Zero(t, wait.ends(), wait.output())
	asked := startTyped(t, string(ask[1]))
	require.Zero(t, asked.ends(), asked.output())
	for _, p := range []*demoRun{legs, stack} {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.Zero(t, p.ends(), p.output())
		p.nothingLeft()
	}
}

// TestDemoCtrlCTwice leaves out the comparison as soon as the demo has said that it can be left out.
func TestDemoCtrlCTwice(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--rows", "100000", "--for", "0", "--no-kill")
	d.says("changes committed")
	require.NoError(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	d.says("Ctrl-C again skips this")
	require.NoError(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	require.Equal(t, exitNo, d.ends())
	require.NotContains(t, d.output(), "rows equal")
	require.Regexp(t, "\nError: interrupted: .* compared\\.\nTry: press Ctrl-C once, .*\n$", d.output())
	require.Empty(t, d.temporaryFiles())
	d.nothingLeft()
}

// TestDemoInterrupted ends a demo in each of its first phases: it stops in order, and says that it proved nothing.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"Starting Postgres", "Filling", "The clinic is at work"} {
		t.Run(phase, func(t *testing.T) {
			d := startDemo(t, "--rows", "20000", "--no-kill")
			d.says(phase)
			require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
			require.Equal(t, exitNo, d.ends())
			require.Regexp(t, "\nError: interrupted: nothing was compared\\.\nTry: let the demo end by itself; .*\n$", d.output())
			require.NotRegexp(t, `\D0 rows in`, d.output())
			require.Empty(t, d.temporaryFiles())
			d.nothingLeft()
		})
	}
}

// TestDemoKilled leaves the demo no chance to stop its children: they die with it.
func TestDemoKilled(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--rows", "2000", "--for", "0", "--no-kill")
	d.says("changes committed")
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGKILL))
	d.ends()
	d.nothingLeft()
}

// TestDemoRefusals names what is wrong before anything is started.
func TestDemoRefusals(t *testing.T) {
	full := t.TempDir()
	letter := filepath.Join(full, "letter.txt")
	require.NoError(t, os.WriteFile(letter, nil, 0o600))
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--dir", full}, "is not empty; nothing was touched.\nTry: "},
		{[]string{"--dir", letter}, letter + " cannot be the demo's directory: not a directory.\nTry: --dir "},
		{[]string{"--dir", filepath.Join(letter, "x")}, "cannot be the demo's directory: not a directory.\nTry: --dir "},
		{[]string{"--dir", "/proc/x"}, "/proc/x cannot be the demo's directory: no such file or directory.\nTry: --dir "},
		{[]string{"--dir", "/proc/self/fdinfo/x"}, "cannot be the demo's directory: "},
		{[]string{"--rows", "5"}, "a clinic of 5 rows cannot be made.\nTry: "},
		{[]string{"--for", "-1s"}, "it cannot run for -1s.\nTry: "},
		{[]string{"--for", "soon"}, "invalid argument"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, exitWrong, execute(t.Context(), append([]string{"demo"}, c.args...), &out, &errs, nil), "%v", c.args)
		require.Contains(t, errs.String(), c.says)
		require.Empty(t, out.String())
	}
}
