package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

const (
	clickHouseUser = "dirtbike"
	gracefulStop   = 20 * time.Second
	libraryStop    = 1500 * time.Millisecond
	lockGoesWithin = 10 * time.Second // a killed server's lock on its data
)

// ClickHouse is a real server with a user `dirtbike` that holds every right; user `default` may do nothing. Its methods
// may be called concurrently. It has no TLS, no Keeper and no writable user storage (CREATE USER fails) when it comes
// from npm.
type ClickHouse struct {
	engine   clickHouseEngine
	dir      string
	logDir   string
	tcp      int
	http     int
	password string
	log      *zap.Logger

	mu     sync.Mutex
	child  *child
	wanted bool // Start was the last word, not Stop or Kill
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

// LogDir returns the folder of the server's logs (shared with the other parts).
func (c *ClickHouse) LogDir() string { return c.logDir }

func openClickHouse(d *workDir, e clickHouseEngine, log *zap.Logger) (*ClickHouse, error) {
	dir, err := d.sub("clickhouse")
	if err != nil {
		return nil, err
	}
	logs, err := d.sub("log")
	if err != nil {
		return nil, err
	}
	c := &ClickHouse{
		engine: e, dir: dir, logDir: logs, tcp: d.state.Ports["clickhouse"], http: d.state.Ports["clickhouse-http"],
		password: d.state.ClickHousePassword, log: log,
	}
	if err := os.MkdirAll(c.DataDir(), 0o700); err != nil {
		return nil, fmt.Errorf("create ClickHouse's data folder: %w", err)
	}
	return c, nil
}

// Start starts the server after Stop or Kill, on the same ports, and waits until it answers. One that runs is left
// alone.
func (c *ClickHouse) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = true
	return c.start(ctx)
}

// start is Start under the lock.
func (c *ClickHouse) start(ctx context.Context) error {
	if c.child != nil && c.child.running() {
		return nil
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.startOnce(ctx) },
		backoff.WithBackOff(backoff.NewConstantBackOff(200*time.Millisecond)), backoff.WithMaxElapsedTime(lockGoesWithin))
	return err
}

// startOnce tries to start; a former server of a killed parent may still be on its way out, so an early end is retried.
func (c *ClickHouse) startOnce(ctx context.Context) error {
	s, err := c.spec()
	if err != nil {
		return backoff.Permanent(err)
	}
	ch, err := spawn(s)
	if err != nil {
		return backoff.Permanent(err)
	}
	if err := waitReady(ctx, ch, c.ping); err != nil {
		if ch.running() {
			return backoff.Permanent(errors.Join(err, ch.kill()))
		}
		return err
	}
	c.child = ch
	go c.watch(context.WithoutCancel(ctx), ch) // it outlives the call that starts it
	return nil
}

// watch starts the library's server again when it ended by itself: it aborts where the program would only log, and
// front may not know of every case.
func (c *ClickHouse) watch(ctx context.Context, ch *child) {
	reportExit(ch, c.log)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine.lib == "" || !c.wanted || c.child != ch {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lockGoesWithin)
	defer cancel()
	if err := c.start(ctx); err != nil {
		c.log.Error("ClickHouse did not start again", zap.Error(err))
	}
}

// ping asks over HTTP with the real user, so that users.xml is known to be loaded.
func (c *ClickHouse) ping(ctx context.Context) error {
	return c.query(ctx, "SELECT 1")
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
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("clickhouse: status %d: %s", resp.StatusCode, firstLine(string(body)))
	}
	return nil
}

// Stop ends the server gracefully; what it has confirmed to a client is stored. The program gets SIGTERM. The library
// gets a request to end the query that keeps it alive; it would then wait five seconds for clients that are merely
// connected, which no setting shortens, so it is killed after a shorter wait: its parts on disk are complete at any
// moment.
func (c *ClickHouse) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = false
	if c.child == nil || !c.child.running() {
		return nil
	}
	if c.engine.lib == "" {
		return stopChild(ctx, c.child, []stopStep{{syscall.SIGTERM, gracefulStop}})
	}
	c.child.expect()
	if err := c.query(ctx, "KILL QUERY WHERE query LIKE '"+keepAlivePrefix+"%'"); err != nil {
		c.log.Warn("ClickHouse did not take the request to stop", zap.Error(err))
	}
	if c.child.waitCtx(ctx, libraryStop) {
		return nil
	}
	return c.child.kill()
}

// Kill sends SIGKILL and waits until the server is gone.
func (c *ClickHouse) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = false
	if c.child == nil {
		return nil
	}
	return c.child.kill()
}

// Restart is Stop, then Start; after Kill it only starts.
func (c *ClickHouse) Restart(ctx context.Context) error {
	if err := c.Stop(ctx); err != nil {
		return err
	}
	return c.Start(ctx)
}
