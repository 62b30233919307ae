package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"dirtbike/docker/embedded/embeddedtest"
)

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitGood, "Available Commands"},
		{[]string{"--help"}, exitGood, "Available Commands"},
		{[]string{"help", "verify"}, exitGood, "Compare every row"},
		{[]string{"verfy"}, exitWrong, "\"verfy\" is no verb of dirtbike.\nTry: dirtbike --help"},
		{[]string{"verify", "--nonsense"}, exitWrong, "Try: dirtbike verify --help"},
		{[]string{"run", "foo"}, exitWrong, "unknown command \"foo\" for \"dirtbike run\".\nTry: dirtbike run --help\n"},
		{[]string{"purge"}, exitWrong, "Try: dirtbike purge --help\n"},
		{[]string{"inventory", "public.patients"}, exitWrong, "Try: dirtbike inventory --help\n"},
		{[]string{"wait", "--timeout", "0s"}, exitWrong, "--timeout 0s leaves no time to wait.\nTry: --timeout 60s\n"},
		{[]string{"wait", "--timeout", "-5s"}, exitWrong, "--timeout -5s leaves no time to wait.\nTry: --timeout 60s\n"},
		{[]string{"demo", "--for", "-5s"}, exitWrong, "no demo: it cannot run for -5s.\nTry: --for 30s, or --for 0 until Ctrl-C\n"},
		{[]string{"run", "--config", "nothing.yaml"}, exitWrong, "no config file nothing.yaml"},
		{[]string{"run", "--config", "no\nthing\x1b.yaml"}, exitWrong, "Error: no config file \"no\\nthing\\x1b.yaml\".\nTry: "},
		{[]string{"check", "--config", "-"}, exitWrong, "Error: --config - is no file.\nTry: --config /dev/stdin\n"},
		{[]string{"check", "--config", ""}, exitWrong, "Error: --config is empty.\nTry: "},
		{[]string{"check", "--config", "/dev/null"}, exitWrong, "the file is empty"},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, execute(t.Context(), c.args, &out, &out, nil), "%v: %s", c.args, &out)
		require.Contains(t, out.String(), c.says, "%v", c.args)
	}
}

// TestConfigOfASilentPipe: nothing waits for ever for a config that does not come.
func TestConfigOfASilentPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	silent, err := os.OpenFile(pipe, os.O_RDWR, 0) // never waits
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var out bytes.Buffer
	require.Equal(t, exitWrong, execute(ctx, []string{"run", "--config", pipe}, &out, &out, nil))
	require.Equal(t, "Error: the config did not come out of its pipe until SIGTERM.\nTry: see what writes it\n", out.String())
}

func TestEmbeddedInterruptedAtStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.Equal(t, exitGood, execute(ctx, []string{"embedded", "--dir", t.TempDir()}, &out, &out, nil), "%s", &out)
}

// TestEmbeddedRefusals: wrong options exit with 2 and a way out, and make nothing.
func TestEmbeddedRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	inUse := t.TempDir()
	lock := flock.New(filepath.Join(inUse, ".lock"))
	_, err := lock.TryLock()
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Unlock() })
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"embedded", "--kafka", "redpanda"}, "Error: unknown Kafka \"redpanda\".\nTry: kfake or apache\n"},
		{[]string{"embedded", "--postgres", "13"}, "Error: unsupported Postgres version \"13\".\nTry: one of 14, 15, 16, 17, 18\n"},
		{[]string{"embedded", "--engines", "docker"}, "Error: unknown engines \"docker\".\nTry: npm or path\n"},
		{[]string{"embedded", "--prepare", "--engines", "docker"}, "Error: unknown engines \"docker\".\nTry: npm or path\n"},
		{[]string{"embedded", "--prepare", "--clean"}, "Error: --prepare and --clean exclude each other.\nTry: one after the other\n"},
		{[]string{"embedded", "--dir", file}, " is a file.\nTry: --dir with a new or empty directory\n"},
		{[]string{"embedded", "--dir", filepath.Dir(file)}, "nothing was touched.\nTry: --dir with a new or empty directory\n"},
		{[]string{"embedded", "--dir", inUse}, " is in use by another embedded stack.\nTry: stop it, or another --dir\n"},
		{[]string{"embedded", "--clean", "--dir", filepath.Dir(file)}, "nothing was removed.\nTry: --dir with the directory that `dirtbike embedded` was given\n"},
		{[]string{"embedded", "--dir", "/proc/x"}, "/proc/x cannot be the directory of the embedded stack: no such file or directory.\nTry: --dir "},
		{[]string{"embedded", "--dir", "/proc/x/y"}, "/proc/x/y cannot be the directory of the embedded stack: no such file or directory.\nTry: --dir "},
		{[]string{"embedded", "--dir", "-"}, "- is no directory.\nTry: --dir DIR\n"},
		{[]string{"embedded", "--clean", "--dir", "/proc/self"}, "nothing was removed.\nTry: --dir "},
		{[]string{"demo", "--dir", "/proc/x"}, "/proc/x cannot be the demo's directory: no such file or directory.\nTry: --dir "},
		{[]string{"demo", "--dir", "-"}, "- is no directory.\nTry: --dir "},
		{[]string{"demo", "--kafka", "redpanda"}, "Error: no demo: unknown Kafka \"redpanda\".\nTry: kfake or apache\n"},
		{[]string{"demo", "--engines", "docker"}, "Error: no demo: unknown engines \"docker\".\nTry: npm or path\n"},
	} {
		empty := t.TempDir()
		t.Chdir(empty)
		t.Setenv("TMPDIR", empty)
		var out bytes.Buffer
		require.Equal(t, exitWrong, execute(t.Context(), c.args, &out, &out, nil), "%v: %s", c.args, &out)
		require.Contains(t, out.String(), c.says, "%v", c.args)
		left, err := os.ReadDir(empty)
		require.NoError(t, err)
		require.Empty(t, left, "%v", c.args)
	}
}

// TestInterrupted: what fails after Ctrl-C, in whatever server a verb was waiting for, blames none.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dead := embeddedtest.FreeAddress(t)
	for _, silent := range []string{"postgres", "clickhouse", "kafka"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		at := map[string]string{"postgres": dead, "clickhouse": dead, "kafka": dead}
		at[silent] = listener.Addr().String()
		path := filepath.Join(t.TempDir(), "dirtbike.yaml")
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `source: {url: "postgres://u@%s/d"}
kafka: {brokers: ["%s"]}
registry: {url: "http://%s"}
clickhouse: {url: "clickhouse://%s"}
`, at["postgres"], at["kafka"], dead, at["clickhouse"]), 0o600))
		for _, verb := range map[string][][]string{ // by what they ask first
			"postgres":   {{"verify"}, {"status"}, {"status", "--json"}, {"inventory"}, {"purge", "public.a"}, {"resnapshot", "public.a"}, {"purge", "public.a", "--yes"}, {"init", "--source", "postgres://u@" + at["postgres"] + "/d", "--out", path + ".out"}},
			"clickhouse": {{"check"}}, "kafka": {{"wait"}, {"check", "--json"}},
		}[silent] {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if conn, err := listener.Accept(); err == nil {
					defer conn.Close()
					cancel()
				}
			}()
			var out, errs bytes.Buffer
			code := execute(ctx, append(verb, "--config", path), &out, &errs, nil)
			require.Error(t, ctx.Err(), "%v did not ask %s: %s", verb, silent, &errs)
			require.Equal(t, exitNo, code, "%v: %s", verb, &errs)
			if changes := verb[0] == "resnapshot" || slices.Contains(verb, "--yes"); changes {
				require.Regexp(t, `(^|\n)Error: interrupted; [^\n]*\.\nTry: the same command again[^\n]*\n$`, errs.String(), "%v", verb)
			} else {
				require.Equal(t, "Error: interrupted: there is no answer, and nothing was changed\n", errs.String(), "%v", verb)
			}
			require.Empty(t, out.String(), "%v", verb)
			cancel()
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, verb := range [][]string{{"bench", "--kafka", "kfake"}, {"demo"}} {
		var errs bytes.Buffer
		require.Equal(t, exitNo, execute(ended, verb, io.Discard, &errs, nil), "%v: %s", verb, &errs)
		require.Regexp(t, `Error: interrupted[^\n]*\.\nTry: [^\n]*\n$`, errs.String(), "%v", verb)
	}
}

// TestOpsAddressIsPrinted: a port that dirtbike chose is printed at any log level, and stdout holds nothing else; the
// last line of the log says that it ended at SIGTERM.
func TestOpsAddressIsPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	dead := embeddedtest.FreeAddress(t)
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `source: {url: "postgres://u@%[1]s/d"}
kafka: {brokers: ["%[1]s"]}
registry: {url: "http://%[1]s"}
clickhouse: {url: "clickhouse://%[1]s"}
`, dead), 0o600))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct{ listen, says string }{
		{"127.0.0.1:0", `^Health and metrics at http://127\.0\.0\.1:[1-9][0-9]*\n$`},
		{embeddedtest.FreeAddress(t), `^$`},
	} {
		var out, errs bytes.Buffer
		args := []string{"load", "--config", path, "--log-level", "error", "--log-format", "json", "--listen", c.listen}
		require.Equal(t, exitGood, execute(ended, args, &out, &errs, nil), "%s", &errs)
		require.Regexp(t, c.says, out.String())
	}
	for _, verb := range []string{"run", "capture", "load"} { // without a last line a log would seem to end in a crash
		var out, errs bytes.Buffer
		require.Equal(t, exitGood, execute(ended, []string{verb, "--config", path, "--log-format", "json", "--listen", "127.0.0.1:0"}, &out, &errs, nil), "%s", &errs)
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		require.Contains(t, lines[len(lines)-1], `"level":"info"`)
		require.Contains(t, lines[len(lines)-1], `"stopped: what is committed is safe`)
	}
}

func TestTryOnItsOwnLine(t *testing.T) {
	for message, want := range map[string]string{
		"no. Try: this":                          "no.\nTry: this",
		"no. Try, as the tables' owner: ALTER x": "no.\nTry, as the tables' owner: ALTER x",
		"no. Try: this, or that. Try: the other": "no.\nTry: this, or that. Try: the other",
		"no way out":                             "no way out",
		"Try this: or not":                       "Try this: or not",
	} {
		require.Equal(t, want, tryOnItsOwnLine(message))
	}
}

// TestColoursAreForTerminals: a log in a file, or with NO_COLOR, has no escape sequences.
func TestColoursAreForTerminals(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer file.Close()
	for _, to := range []io.Writer{file, new(strings.Builder)} {
		a := &app{stderr: to, logLevel: "info", logFormat: "console"}
		log, err := a.logger()
		require.NoError(t, err)
		log.Info("plain")
	}
	written, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Contains(t, string(written), "\tINFO\tplain")
	require.NotContains(t, string(written), "\x1b")
	level := func(terminal bool) string {
		encoding := zap.NewProductionEncoderConfig()
		encoding.EncodeLevel = levelEncoder(terminal)
		line, err := zapcore.NewConsoleEncoder(encoding).EncodeEntry(zapcore.Entry{Level: zap.InfoLevel}, nil)
		require.NoError(t, err)
		return line.String()
	}
	require.Contains(t, level(true), "\x1b[34mINFO\x1b[0m")
	require.NotContains(t, level(false), "\x1b")
	t.Setenv("NO_COLOR", "1")
	require.NotContains(t, level(true), "\x1b")
}
