package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU, OS, Kernel string
	Cores           int
	Memory          uint64 // bytes
	Load            string // the load averages at the beginning
}

// thisMachine reads what the kernel says; outside of Linux only what Go knows.
func thisMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown"}
	if runtime.GOOS != "linux" {
		return m, nil
	}
	var errs []error
	read := func(path string) string {
		b, err := os.ReadFile(path)
		errs = append(errs, err)
		return string(b)
	}
	m.CPU = field(read("/proc/cpuinfo"), "model name", m.CPU)
	m.OS = strings.Trim(field(strings.ReplaceAll(read("/etc/os-release"), "=", ":"), "PRETTY_NAME", m.OS), `"`)
	m.Kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	m.Load = strings.Join(strings.Fields(read("/proc/loadavg"))[:3], " ")
	if err := errors.Join(errs...); err != nil {
		return m, fmt.Errorf("look at the machine: %w", err)
	}
	total, err := kilobytes(read("/proc/meminfo"), "MemTotal")
	m.Memory = uint64(max(total, 0))
	return m, err
}

// field finds the value of the first line "name: value", or gives other.
func field(text, name, other string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return other
}

// versions notes what is measured against what.
func (r *run) versions(ctx context.Context, e *engines) error {
	note := func(name, version string) { r.report.note(name, version) }
	if info, ok := debug.ReadBuildInfo(); ok {
		revision := ""
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = ", commit " + s.Value
			}
		}
		note("dirtbike", info.Main.Version+revision)
		note("Go", info.GoVersion)
	}
	conn, err := pgx.Connect(ctx, e.postgres("postgres"))
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return fmt.Errorf("ask Postgres for its version: %w", err)
	}
	note("Postgres", version)
	if tool, err := findRecvlogical(); err == nil && r.takes(MeasureStream) {
		out, err := exec.CommandContext(ctx, tool, "--version").Output()
		if err != nil {
			return fmt.Errorf("ask pg_recvlogical for its version: %w", err)
		}
		note("pg_recvlogical", strings.TrimSpace(strings.TrimPrefix(string(out), "pg_recvlogical")))
	}
	return nil
}

// serverVersions notes those of the whole stack.
func (r *run) serverVersions(ctx context.Context, w *whole) error {
	if err := r.versions(ctx, w.engines); err != nil {
		return err
	}
	var version string
	if err := w.ask(ctx, "SELECT version()", &version); err != nil {
		return fmt.Errorf("ask ClickHouse for its version: %w", err)
	}
	r.report.note("ClickHouse", version)
	r.report.note("Kafka", map[string]string{"apache": "Apache Kafka 4.1.0, one node", "kfake": "kfake, the embedded stack's stand-in"}[r.kafka()])
	return nil
}

func (r *run) kafka() string {
	if r.Kafka == "" {
		return "kfake"
	}
	return r.Kafka
}

// openClickHouse connects; the connection is the observer's.
func openClickHouse(url string) (chgo.Conn, error) {
	o, err := chgo.ParseDSN(url)
	if err != nil {
		return nil, fmt.Errorf("the embedded ClickHouse's URL: %w", err)
	}
	conn, err := chgo.Open(o)
	if err != nil {
		return nil, fmt.Errorf("connect to ClickHouse: %w", err)
	}
	return conn, nil
}

func count(n int64) string { return humanize.Comma(n) }
