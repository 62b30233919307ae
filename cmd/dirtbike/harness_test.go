package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// kfakeStack is shared by all tests that do not ask for Apache Kafka, which secureStack has; each test has a database
// and a prefix of its own.
var kfakeStack = embeddedtest.ShareEmbedded(embedded.Options{})

// rigs counts them.
var rigs atomic.Int64

// rig is one pipeline under test: a database of its own, and the legs as processes.
type rig struct {
	*testing.T
	stack  *embedded.Stack
	dir    string
	name   string // database in Postgres and ClickHouse, prefix, slot and publication
	url    string
	config string
	extra  rigOptions
	legs   []*process
	ports  map[string]string
}

type rigOptions struct {
	kafka      string            // apache, or kfake if it is anything else
	postgres   string            // major version; default the embedded stack's own
	settings   map[string]string // of that server
	tables     string            // YAML list; default ["public.*"]
	kafkaYAML  string            // further keys of the kafka section, ", key: value"
	sourceYAML string
	loadYAML   string
	privacy    string // a whole section
	// privateClickHouse gives it a ClickHouse of its own.
	privateClickHouse bool
	// clickHouse is the URL of the login that the pipeline uses; "": that which the test itself uses
	clickHouse string
	// stack is one of its own; nil: that of its kind
	stack *embedded.Stack
}

func newRig(t *testing.T, o rigOptions, schema string) *rig {
	t.Helper()
	stack := o.stack
	switch {
	case stack != nil:
	case o.kafka == "apache":
		stack = withOwnRegistry(t, secureStack.Get(t).Stack) // its plain addresses
	default:
		stack = withOwnRegistry(t, kfakeStack.Get(t))
	}
	if o.postgres != "" {
		settings := map[string]string{"max_prepared_transactions": "10"}
		maps.Copy(settings, o.settings)
		server := embeddedtest.Postgres(t, o.postgres, settings)
		stack = &embedded.Stack{Postgres: server, ClickHouse: stack.ClickHouse, Kafka: stack.Kafka, Registry: stack.Registry}
	}
	r := &rig{T: t, stack: stack, dir: t.TempDir(), name: rigName(t), extra: o, ports: map[string]string{}}
	r.config = filepath.Join(r.dir, "dirtbike.yaml")
	ctx := t.Context()
	require.NoError(t, stack.Postgres.CreateDatabase(ctx, r.name))
	r.url = stack.Postgres.DatabaseURL(r.name)
	r.exec(schema)
	r.writeConfig()
	if o.privateClickHouse {
		r.privateClickHouse()
	}
	t.Cleanup(r.cleanup)
	return r
}

// withOwnRegistry is a stack with a registry for the test alone: each compares a new schema with all that it has.
func withOwnRegistry(t *testing.T, s *embedded.Stack) *embedded.Stack {
	t.Helper()
	own := embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{Registry: true}})
	return &embedded.Stack{Postgres: s.Postgres, ClickHouse: s.ClickHouse, Kafka: s.Kafka, Registry: own.Registry}
}

// rigName begins with a number of its own and is a valid name of a slot.
func rigName(t *testing.T) string {
	name := strings.ToLower(strings.NewReplacer("/", "_", "#", "_", "-", "_").Replace(t.Name()))
	return fmt.Sprintf("t%d_%.25s", rigs.Add(1), name)
}

func (r *rig) writeConfig() {
	tables := r.extra.tables
	if tables == "" {
		tables = `["public.*"]`
	}
	text := fmt.Sprintf(`source: {url: "%s", tables: %s, slot: %s, publication: %s%s}
kafka: {brokers: ["%s"], prefix: %s, partitions: 3%s}
registry: {url: "%s"}
clickhouse: {url: "%s", database: %s, load: {flush_interval: 100ms%s}}
ops: {listen: "127.0.0.1:0"}
%s
`, r.url, tables, r.name, r.name, r.extra.sourceYAML, strings.Join(r.stack.Kafka.Brokers(), `", "`), r.name, r.extra.kafkaYAML,
		r.stack.Registry.URL(), cmp.Or(r.extra.clickHouse, r.stack.ClickHouse.URL()), r.name, r.extra.loadYAML, r.extra.privacy)
	require.NoError(r, os.WriteFile(r.config, []byte(text), 0o600))
}

// cleanup stops the legs and drops the slot, so that the shared server does not keep this test's log.
func (r *rig) cleanup() {
	for _, l := range r.legs {
		l.end()
		if r.Failed() {
			r.Logf("---- %s\n%s", l.verb, tail(l.output(), 6000))
		}
	}
	if r.Failed() {
		r.Logf("---- Postgres, last errors\n%s", r.postgresErrors())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return
	}
	defer conn.Close(ctx) // the test is over
	_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()`)
	for range 50 {
		if _, err = conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT temporary`); err == nil {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// postgresErrors are what the server has logged last: what a leg says of them may leave out the message.
func (r *rig) postgresErrors() string {
	log, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(r.stack.Postgres.DataDir())), "log", "postgres.log"))
	return tail(strings.Join(regexp.MustCompile(`(?m)^.*(ERROR|FATAL|PANIC): .*\n`).FindAllString(string(log), -1), ""), 3000)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// pg opens a connection that closes with the test.
func (r *rig) pg() *pgx.Conn {
	r.Helper()
	return embeddedtest.Connect(r, r.url)
}

func (r *rig) exec(sql string, args ...any) {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.url)
	require.NoError(r, err)
	defer conn.Close(r.Context()) // nothing is open on it
	_, err = conn.Exec(r.Context(), sql, args...)
	require.NoError(r, err)
}

func (r *rig) ch() driver.Conn {
	r.Helper()
	return embeddedtest.ClickHouse(r, r.stack.ClickHouse.URL())
}

// process is one leg of dirtbike under test.
type process struct {
	rig  *rig
	verb string
	cmd  *exec.Cmd
	out  *os.File
	mark string
	done chan struct{}
	err  error
}

// start runs a verb as a process of its own, with the test binary's fault hooks.
func (r *rig) start(verb string, env ...string) *process {
	r.Helper()
	self, err := os.Executable()
	require.NoError(r, err)
	return r.startBuild(self, verb, nil, env...)
}

// startBuild is start with any build of dirtbike; the test binary is one.
func (r *rig) startBuild(binary, verb string, flags []string, env ...string) *process {
	r.Helper()
	l := &process{rig: r, verb: verb, done: make(chan struct{})}
	file, err := os.CreateTemp(r.dir, verb+"-*.log")
	require.NoError(r, err)
	l.out, l.mark = file, file.Name()+".mark"
	args := append(strings.Fields(verb), "--config", r.config, "--log-format", "json", "--listen", r.listens(verb))
	l.cmd = exec.Command(binary, append(args, flags...)...)
	l.cmd.Env = append(append(os.Environ(), envMark+"="+l.mark), env...)
	l.cmd.Stdout, l.cmd.Stderr = file, file
	require.NoError(r, l.cmd.Start())
	go func() {
		l.err = l.cmd.Wait()
		close(l.done)
	}()
	r.legs = append(r.legs, l)
	return l
}

// listens gives each verb an address that stays, so that a loader that comes back is known to its consumer group.
func (r *rig) listens(verb string) string {
	if verb == "capture" {
		return "127.0.0.1:0" // two of them may run at once
	}
	verb = "load" // run is the same loader
	if r.ports[verb] == "" {
		r.ports[verb] = embeddedtest.FreeAddress(r)
	}
	return r.ports[verb]
}

// end is SIGTERM, and SIGKILL if that does not help.
func (l *process) end() {
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-l.done:
	case <-time.After(10 * time.Second):
		l.kill()
	}
}

func (l *process) kill() {
	_ = l.cmd.Process.Signal(syscall.SIGKILL)
	<-l.done
}

// killedAt kills the leg, if it still runs, and says which point it had passed.
func (l *process) killedAt() string {
	l.kill()
	b, _ := os.ReadFile(l.mark)
	return strings.TrimSpace(string(b))
}

// dump makes the process write all its goroutines to its log and end.
func (l *process) dump() {
	_ = l.cmd.Process.Signal(syscall.SIGQUIT)
	<-l.done
	l.rig.Logf("---- %s, goroutines\n%s", l.verb, l.output())
}

// stop is SIGTERM; the exit code must be 0.
func (l *process) stop() {
	l.rig.Helper()
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-l.done:
	case <-time.After(15 * time.Second):
		l.rig.Fatalf("%s did not stop within 15 s of SIGTERM", l.verb)
	}
	require.NoError(l.rig, l.err, "exit code of %s after SIGTERM", l.verb)
}

func (l *process) running() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

func (l *process) output() string {
	b, _ := os.ReadFile(l.out.Name())
	return l.rig.short(string(b))
}

// verb runs one verb to its end in this process and gives exit code and output.
func (r *rig) verb(args ...string) (code int, stdout, stderr string) {
	r.Helper()
	var out, errs bytes.Buffer
	code = execute(r.Context(), append(args, "--config", r.config), &out, &errs, nil)
	return code, r.short(out.String()), r.short(errs.String())
}

// short takes the config out of printed commands: tests write them without.
func (r *rig) short(text string) string { return strings.ReplaceAll(text, " --config "+r.config, "") }

// get reads a page of a server, with any status.
func (r *rig) get(url string) string {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	require.NoError(r, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return string(body)
}

// wait waits until ClickHouse is complete up to now.
func (r *rig) wait() {
	r.Helper()
	code, out, errs := r.verb("wait", "--timeout", "3m") // the race detector makes everything slower
	require.Zero(r, code, "wait: %s%s", out, errs)
}

func contextFor(r *rig, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), d)
}
