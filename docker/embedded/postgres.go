package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

const (
	postgresUser    = "postgres"
	fastStop        = 20 * time.Second // SIGINT: waits for walsenders to send what is left
	immediateStop   = 10 * time.Second // SIGQUIT: recovery at the next start
	orphansGoWithin = 20 * time.Second // backends of a killed postmaster notice its death
)

// postgresSettings are the settings every cluster gets; PostgresSettings overrides them.
var postgresSettings = map[string]string{
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"wal_level":               "logical",
	"max_replication_slots":   "100",
	"max_wal_senders":         "100",
	"max_connections":         "200",
	"max_wal_size":            "2GB",
	"shared_buffers":          "256MB",
	"timezone":                "UTC",
	"log_timezone":            "UTC",
}

// Postgres is a cluster of its own on a loopback TCP port, with wal_level=logical. Its methods may be called
// concurrently.
type Postgres struct {
	engine   postgresEngine
	dir      string // folder that holds the data directory
	logPath  string
	port     int
	password string
	settings map[string]string
	runAs    *credential // nil = as the caller
	log      *zap.Logger

	mu    sync.Mutex
	child *child
}

// URL returns the superuser's connection string for database postgres.
func (p *Postgres) URL() string { return p.DatabaseURL("postgres") }

// DatabaseURL returns the superuser's connection string for a database.
func (p *Postgres) DatabaseURL(name string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(postgresUser, p.password), Host: loopback(p.port),
		Path: "/" + name, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the loopback TCP port; it stays the same over restarts.
func (p *Postgres) Port() int { return p.port }

// Major returns the major version, "14" to "18".
func (p *Postgres) Major() string { return p.engine.major }

// DataDir returns the data directory.
func (p *Postgres) DataDir() string { return filepath.Join(p.dir, p.engine.major) }

// CreateDatabase creates a database; that it exists already is an error.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Start starts the cluster after Stop or Kill, on the same port, and waits until it answers. One that runs is left
// alone.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != nil && p.child.running() {
		return nil
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, p.startOnce(ctx) },
		backoff.WithBackOff(backoff.NewConstantBackOff(100*time.Millisecond)), backoff.WithMaxElapsedTime(orphansGoWithin))
	return err
}

// startOnce tries to start. The backends of a cluster that was just killed hold its shared memory until they notice:
// that error alone is worth another try.
func (p *Postgres) startOnce(ctx context.Context) error {
	if err := p.removeStalePid(); err != nil {
		return backoff.Permanent(err)
	}
	home, err := openHome(p.dir, p.runAs)
	if err != nil {
		return backoff.Permanent(err)
	}
	defer home.close()
	c, err := spawn(p.spec(home))
	if err != nil {
		return backoff.Permanent(err)
	}
	if err := waitReady(ctx, c, p.ping); err != nil {
		return p.startFailed(c, err)
	}
	p.child = c
	go reportExit(c, p.log)
	return nil
}

func (p *Postgres) startFailed(c *child, err error) error {
	if c.running() {
		return backoff.Permanent(errors.Join(err, c.kill()))
	}
	tail := logTail(p.logPath, 1024)
	if strings.Contains(tail, "is still in use") || strings.Contains(tail, "is another postmaster") || strings.Contains(tail, "Is another postmaster") {
		return err
	}
	return backoff.Permanent(err)
}

func (p *Postgres) spec(h *home) spec {
	args := []string{"-D", filepath.Join(h.ref, p.engine.major), "-p", strconv.Itoa(p.port)}
	for _, name := range sortedKeys(p.settings) {
		args = append(args, "-c", name+"="+p.settings[name])
	}
	return spec{
		name: "postgres", path: filepath.Join(p.engine.bin, "postgres"), args: args, env: h.env(), dir: "/",
		cred: p.runAs, files: h.files(), log: p.logPath,
	}
}

// ping asks for an answer to a query: a cluster in recovery refuses connections.
func (p *Postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "SELECT 1")
	return err
}

// removeStalePid removes a postmaster.pid whose process number another process has by now: Postgres would take any
// living process of its user for its former self.
func (p *Postgres) removeStalePid() error {
	path := filepath.Join(p.DataDir(), "postmaster.pid")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	comm, err := os.ReadFile("/proc/" + firstLine(string(raw)) + "/comm")
	if err != nil || strings.TrimSpace(string(comm)) == "postgres" {
		return nil // gone, or really a postmaster: Postgres handles both
	}
	return os.Remove(path)
}

// Stop ends the cluster with a fast shutdown, then an immediate one. Data is intact either way.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return stopChild(ctx, p.child, []stopStep{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, immediateStop}})
}

// Kill sends SIGKILL to the postmaster and waits until it is gone; its backends notice and end by themselves.
func (p *Postgres) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return nil
	}
	return p.child.kill()
}

// Restart is Stop, then Start.
func (p *Postgres) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
