package embedded

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	clickHouseUser = "dirtbike"
	gracefulStop   = 20 * time.Second
	libraryStop    = 1500 * time.Millisecond

	// The names of the library's own ports, which only front connects to.
	libraryTCP  = "clickhouse-library"
	libraryHTTP = "clickhouse-library-http"
)

// ClickHouse is a real server with a user `dirtbike` that holds every right; user `default` may do nothing. It has no
// TLS, no Keeper and no writable user storage (CREATE USER fails) when it comes from npm. That one is started again
// when it ends by itself: it aborts where the program would only log, and front may not know of every case.
type ClickHouse struct {
	server
	engine   clickHouseEngine
	dir      string
	workDir  *workDir
	tcp      int
	http     int
	password string
}

func openClickHouse(d *workDir, e clickHouseEngine, log *zap.Logger) (*ClickHouse, error) {
	dir, err := d.sub("clickhouse")
	if err != nil {
		return nil, err
	}
	c := &ClickHouse{engine: e, dir: dir, workDir: d, tcp: d.state.Ports["clickhouse"], http: d.state.Ports["clickhouse-http"], password: d.state.ClickHousePassword}
	c.server = server{log: log, launch: c.launch, end: c.endLibrary, revives: true}
	if e.program != "" {
		c.end, c.revives = bySignals(stopStep{syscall.SIGTERM, gracefulStop}), false
	}
	if err := os.MkdirAll(c.DataDir(), 0o700); err != nil {
		return nil, fmt.Errorf("create ClickHouse's data folder: %w", err)
	}
	if e.program != "" {
		return c, c.writeConfig(c.tcp, c.http)
	}
	return c, c.writeConfig(d.state.Ports[libraryTCP], d.state.Ports[libraryHTTP])
}

// URL returns the connection string of the native protocol, user and password included.
func (c *ClickHouse) URL() string { return c.url("clickhouse", c.tcp) }

// HTTPURL returns the address of the HTTP interface, user and password included.
func (c *ClickHouse) HTTPURL() string { return c.url("http", c.http) }

func (c *ClickHouse) url(scheme string, port int) string {
	u := url.URL{Scheme: scheme, User: url.UserPassword(clickHouseUser, c.password), Host: loopback(port)}
	return u.String()
}

// Port returns the loopback port of the native protocol; it stays the same over restarts.
func (c *ClickHouse) Port() int { return c.tcp }

// DataDir returns the folder that holds everything the server stores.
func (c *ClickHouse) DataDir() string { return filepath.Join(c.dir, "data") }

// launch asks over HTTP with the real user, so that users.xml is known to be loaded.
func (c *ClickHouse) launch(ctx context.Context) (*child, error) {
	return launch(ctx, c.spec(), func(ctx context.Context) error { return c.query(ctx, "SELECT 1") })
}

// query runs one statement over HTTP; its result is read and dropped.
func (c *ClickHouse) query(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+loopback(c.http), strings.NewReader(sql))
	if err != nil {
		return err
	}
	req.SetBasicAuth(clickHouseUser, c.password)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("clickhouse: status %d: %s", resp.StatusCode, firstLine(string(body)))
	}
	return err
}

// endLibrary ends the query that keeps the library's server alive. It would then wait five seconds for clients that are
// merely connected, which no setting shortens, so it is killed after a shorter wait: its parts on disk are complete at
// any moment.
func (c *ClickHouse) endLibrary(ctx context.Context, ch *child) error {
	ch.expected.Store(true)
	if err := c.query(ctx, "KILL QUERY WHERE query LIKE '"+keepAlivePrefix+"%'"); err != nil {
		c.log.Warn("ClickHouse did not take the request to stop", zap.Error(err))
	}
	if ch.waitCtx(ctx, libraryStop) {
		return nil
	}
	return ch.kill()
}
