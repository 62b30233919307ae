package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
	"dirtbike/sinks/clickhouse/ledger"
)

// TestASilentClickHouseIsNotWaitedFor: it takes connections, and never answers.
func TestASilentClickHouseIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := config.Parse(t.TempDir()+"/dirtbike.yaml", []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://`+l.Addr().String()+`"}
privacy: {mode: open}`))
	require.NoError(t, err)
	for name, ask := range map[string]func(context.Context) error{
		"resnapshot": func(ctx context.Context) error {
			_, err := Resnapshot(ctx, Options{Config: c, Log: zap.NewNop()}, nil, true)
			return err
		},
		"verify": func(ctx context.Context) error {
			conn, err := ClickHouse(c)
			require.NoError(t, err)
			defer conn.Close() //nolint:errcheck // nothing is open on it
			return clickHouseAnswers(ctx, conn)
		},
		"readyz": func(ctx context.Context) error {
			health, err := NewHealth(c)
			require.NoError(t, err)
			defer health.Close()
			check := health.Load(func() string { return "insert: full" })
			require.Equal(t, "insert: full", cdc.Explain(check.Func(ctx)).What)
			began := time.Now()
			err = health.Load(func() string { return "" }).Func(ctx)
			require.Less(t, time.Since(began), status.CheckTime)
			require.Equal(t, []cdc.Remedy{{Command: tryClickHouse}}, cdc.Explain(err).Try)
			return fmt.Errorf("%w: %w", cdc.ErrUnreachable, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := ask(t.Context())
			require.Less(t, time.Since(began), 15*time.Second)
			require.ErrorIs(t, err, cdc.ErrUnreachable)
			require.Len(t, cdc.Explain(err).Try, 1)
		})
	}
}

// TestOneWayOutOfResnapshot: the part's own, or to call it again.
func TestOneWayOutOfResnapshot(t *testing.T) {
	require.ErrorIs(t, copyFailed(errors.New("bad")), cdc.ErrUnreachable)
	require.Equal(t, []cdc.Remedy{{Command: "this"}}, cdc.Explain(copyFailed(errors.New("bad. Try: this"))).Try)
	require.Equal(t, []cdc.Remedy{{Command: "the same command again, once that part is back"}}, cdc.Explain(copyFailed(errors.New("bad"))).Try)
}

// TestStatusAsksASilentKafka: brokers that take connections and never answer, as those of a stopped process.
func TestStatusAsksASilentKafka(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := config.Parse(t.TempDir()+"/dirtbike.yaml", []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["`+l.Addr().String()+`"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
privacy: {mode: open}`))
	require.NoError(t, err)
	health, err := NewHealth(c)
	require.NoError(t, err)
	defer health.Close()
	asking, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, health.Collector().Kafka(asking), context.DeadlineExceeded)
}

// TestLate: from half of the replay horizon on, of the pipeline as a whole, until capture and load are up.
func TestLate(t *testing.T) {
	at := func(table string, ago time.Duration) []ledger.Complete {
		return []ledger.Complete{{Table: table, CommitTime: time.Now().Add(-ago)}}
	}
	require.Equal(t, []cdc.Remedy{{Command: "bring capture and load up before it is over"}}, cdc.Explain(late(at("", 5*time.Hour), 8*time.Hour)).Try)
	require.NoError(t, late(at("", time.Minute), 8*time.Hour))
	require.NoError(t, late(at("public.a", 5*time.Hour), 8*time.Hour), "a table that rests is not late")
	require.NoError(t, late(nil, time.Hour))
}
