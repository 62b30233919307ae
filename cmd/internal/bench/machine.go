package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/dustin/go-humanize"

	"dirtbike/docker/embedded"
	"dirtbike/sinks/clickhouse/session"
)

// Machine is the machine on which the figures were taken.
type Machine struct {
	CPU, OS, Kernel string
	Cores           int
	Memory          uint64 // bytes
	Load            string // the load averages at the beginning
}

// thisMachine asks the kernel; outside of Linux it only has what Go knows.
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
		return m, fmt.Errorf("read what the machine is: %w", err)
	}
	total, err := kilobytes(read("/proc/meminfo"), "MemTotal")
	m.Memory = uint64(max(total, 0))
	return m, err
}

// PeakMemory is the peak resident memory of a process, in bytes, as the kernel counts it.
func PeakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	return kilobytes(string(b), "VmHWM")
}

// kilobytes finds a line "name: n kB" and gives it in bytes.
func kilobytes(text, name string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(field(text, name, ""), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return n << 10, nil
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

// versions notes the versions of what is measured.
func (r *run) versions(ctx context.Context, e *embedded.Postgres) error {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision := ""
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = ", commit " + s.Value
			}
		}
		r.report.note("dirtbike", info.Main.Version+revision)
		r.report.note("Go", info.GoVersion)
	}
	conn, err := login(e.DatabaseURL("postgres")).Connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return fmt.Errorf("ask Postgres for its version: %w", err)
	}
	r.report.note("Postgres", version)
	if tool, err := findRecvlogical(); err == nil && r.takes(MeasureStream) {
		out, err := exec.CommandContext(ctx, tool, "--version").Output()
		if err != nil {
			return fmt.Errorf("ask pg_recvlogical for its version: %w", err)
		}
		r.report.note("pg_recvlogical", strings.TrimSpace(strings.TrimPrefix(string(out), "pg_recvlogical")))
	}
	return nil
}

// serverVersions notes the versions of the whole stack.
func (w *whole) serverVersions(ctx context.Context) error {
	if err := w.versions(ctx, w.stack.Postgres); err != nil {
		return err
	}
	var version string
	if err := w.ask(ctx, "SELECT version()", &version); err != nil {
		return fmt.Errorf("ask ClickHouse for its version: %w", err)
	}
	w.report.note("ClickHouse", version)
	kafka := "kfake, the embedded stack's stand-in"
	if w.Kafka == "apache" {
		kafka = "Apache Kafka 4.1.0, one node"
	}
	w.report.note("Kafka", kafka)
	return nil
}

// openClickHouse connects, for the observer.
func openClickHouse(url string) (driver.Conn, error) {
	o, err := clickhouse.ParseDSN(url)
	if err != nil {
		return nil, fmt.Errorf("the embedded ClickHouse's URL: %w", err)
	}
	return session.Open(o)
}

func count(n int64) string { return humanize.Comma(n) }
