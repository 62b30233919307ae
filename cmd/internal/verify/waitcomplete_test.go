package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
)

// silent listens and never answers, as a server does that was stopped with SIGSTOP.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// within10s fails unless f ends long before any client's own timeout would.
func within10s(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the timeout does not hold")
		return nil
	}
}

// TestWaitOnHungServers: the timeout holds where a server takes the connection and says nothing.
func TestWaitOnHungServers(t *testing.T) {
	o := wait.Options{Source: "postgres://nobody:s3cret@" + silent(t) + "/x?sslmode=disable", Timeout: 300 * time.Millisecond}
	err := within10s(t, func() error { return wait.Complete(t.Context(), o) })
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Contains(t, cdc.Explain(err).What, "Postgres hangs")

	c := newClinic(t)
	hung, err := clickhouse.Open(&clickhouse.Options{Addr: []string{silent(t)}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = hung.Close() })
	o = wait.Options{Source: c.url, ClickHouse: hung, Database: c.database, Timeout: 500 * time.Millisecond}
	err = within10s(t, func() error { return wait.Complete(t.Context(), o) })
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Contains(t, cdc.Explain(err).What, "ClickHouse hangs")
	require.Equal(t, []cdc.Remedy{{Command: "see that ClickHouse runs and clickhouse.url is right"}}, cdc.Explain(err).Try)
	c.complete("", far, 1)
	o.ClickHouse, o.Timeout = c.ch, 20*time.Second
	require.NoError(t, wait.Complete(t.Context(), o))
}

// TestWaitTriesAgain: a server that is away is asked until it is back, or the time is over.
func TestWaitTriesAgain(t *testing.T) {
	c := newClinic(t)
	c.complete("", far, 1)
	asked := 0
	o := wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database, Timeout: 20 * time.Second}
	o.Tables = func(context.Context) ([]string, error) {
		if asked++; asked < 4 {
			return nil, fmt.Errorf("%w: Postgres starts", cdc.ErrUnreachable)
		}
		return nil, nil
	}
	require.NoError(t, wait.Complete(t.Context(), o))
	require.Equal(t, 4, asked)

	o.Source, o.Timeout = "postgres://nobody:s3cret@127.0.0.1:1/x", 300*time.Millisecond
	began := time.Now()
	err := wait.Complete(t.Context(), o)
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.NotContains(t, err.Error(), "s3cret")
	require.GreaterOrEqual(t, time.Since(began), o.Timeout)

	refused := errors.New("wrong password")
	o.Tables = func(context.Context) ([]string, error) { return nil, refused }
	require.ErrorIs(t, wait.Complete(t.Context(), o), refused, "trying again cannot help")
}

// TestWaitEndsAtQuarantine names the table and the reason, once all else is complete.
func TestWaitEndsAtQuarantine(t *testing.T) {
	c := newClinic(t)
	c.sink("INSERT INTO DB_raw.quarantine VALUES ('public.claims', 'load', 'column note: malformed value', 1, 1)")
	c.complete("public.claims", 1, 0)
	c.complete("", 1, 1)
	o := wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database, Timeout: 300 * time.Millisecond}
	require.ErrorIs(t, wait.Complete(t.Context(), o), wait.ErrBehind, "a new copy may still be to come")
	c.complete("", far, 1)
	o.Timeout = time.Hour
	err := within10s(t, func() error { return wait.Complete(t.Context(), o) })
	require.ErrorIs(t, err, wait.ErrQuarantined)
	require.Equal(t, []cdc.Remedy{{Command: cdc.ResnapshotCommand("public.claims")}}, cdc.Explain(err).Try)
	require.Contains(t, cdc.Explain(err).What, "column note: malformed value")
}

func TestWaitCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, wait.Complete(ctx, wait.Options{Source: "postgres://x@127.0.0.1:1/x"}), context.Canceled)
}
