package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

const (
	postgresUser  = "postgres"
	fastStop      = 20 * time.Second // SIGINT: waits for walsenders to send what is left
	immediateStop = 10 * time.Second // SIGQUIT: recovery at the next start
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
	// files in the data directory: a killed server leaves nothing in /dev/shm
	"dynamic_shared_memory_type": "mmap",
}

// Postgres is a cluster of its own on a loopback TCP port, with wal_level=logical. After Kill its backends notice and
// end by themselves.
type Postgres struct {
	server
	engine   postgresEngine
	dir      string // folder that holds the data directory
	logPath  string
	port     int
	password string
	settings map[string]string
	runAs    *credential // nil = as the caller
}

// openPostgres describes the cluster, which its first start makes.
func openPostgres(d *workDir, e postgresEngine, extra map[string]string, log *zap.Logger) (*Postgres, error) {
	dir, err := d.sub("postgres")
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(postgresSettings)
	maps.Copy(settings, extra)
	maps.DeleteFunc(settings, func(name, value string) bool { _, ours := extra[name]; return ours && value == "" })
	p := &Postgres{engine: e, dir: dir, logPath: d.logPath("postgres"), port: d.state.Ports["postgres"], password: d.state.PostgresPassword, settings: settings}
	p.server = server{log: log, launch: p.launch, end: bySignals(stopStep{syscall.SIGINT, fastStop}, stopStep{syscall.SIGQUIT, immediateStop})}
	if os.Geteuid() != 0 {
		return p, nil
	}
	if !reachable(filepath.Join(e.bin, "postgres")) {
		return nil, fmt.Errorf("Postgres runs as user %d, which cannot reach %s. Try: DIRTBIKE_CACHE=%s", nobody, e.bin, rootCache)
	}
	p.runAs = &credential{uid: nobody, gid: nobody}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return nil, fmt.Errorf("give Postgres its folder: %w", err)
	}
	return p, nil
}

// URL returns the superuser's connection string for database postgres.
func (p *Postgres) URL() string { return p.DatabaseURL("postgres") }

// DatabaseURL returns the superuser's connection string for a database.
func (p *Postgres) DatabaseURL(name string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, p.password), Host: loopback(p.port), Path: "/" + name, RawQuery: "sslmode=disable"}
	return u.String()
}

// Port returns the loopback TCP port; it stays the same over restarts.
func (p *Postgres) Port() int { return p.port }

// DataDir returns the data directory.
func (p *Postgres) DataDir() string { return filepath.Join(p.dir, p.engine.major) }

// CreateDatabase creates a database; that it exists already is an error.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	if err := p.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func (p *Postgres) exec(ctx context.Context, sql string) error {
	config, err := pgx.ParseConfig(p.URL())
	if err != nil {
		return err
	}
	config.RuntimeParams, config.ValidateConnect = map[string]string{}, nil // those of PGOPTIONS and its like are about other servers
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// stillInUse is what Postgres says while backends of a cluster that was just killed hold its shared memory.
var stillInUse = regexp.MustCompile(`is still in use|[iI]s another postmaster`)

// launch tries to start the cluster. Only a former one that has not ended yet is worth another try.
func (p *Postgres) launch(ctx context.Context) (*child, error) {
	if err := p.initdb(ctx); err != nil {
		return nil, backoff.Permanent(err)
	}
	if err := p.removeStalePid(); err != nil {
		return nil, backoff.Permanent(err)
	}
	home, err := openHome(p.dir, p.runAs)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	defer home.close()
	// it is ready when it answers a query: a cluster in recovery refuses connections
	c, err := launch(ctx, p.spec(home), func(ctx context.Context) error { return p.exec(ctx, "SELECT 1") })
	if !stillInUse.MatchString(logTail(p.logPath, 1024)) {
		err = backoff.Permanent(err)
	}
	return c, err
}

func (p *Postgres) spec(h *home) spec {
	args := []string{"-D", filepath.Join(h.ref, p.engine.major), "-p", strconv.Itoa(p.port)}
	for _, name := range slices.Sorted(maps.Keys(p.settings)) {
		args = append(args, "-c", name+"="+p.settings[name])
	}
	return spec{
		name: "postgres", path: filepath.Join(p.engine.bin, "postgres"), args: args, env: h.env(), dir: "/",
		cred: p.runAs, files: h.files(), log: p.logPath,
	}
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
