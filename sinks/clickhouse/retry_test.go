package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
	"dirtbike/schemas/registry"
	"dirtbike/sinks/clickhouse/consume"
)

// retrier is a loader without servers.
func retrier(t *testing.T, change ...func(*Options)) (*Loader, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	reg, err := registry.New([]string{"http://127.0.0.1:1"}, registry.Options{})
	require.NoError(t, err)
	o := Options{Group: "g", Prefix: "p", Registry: reg, Producers: new(world), Controls: new(world), URL: "clickhouse://127.0.0.1:1", Database: "d", Log: zap.New(core)}
	for _, c := range change {
		c(&o)
	}
	l, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.conn.Close() })
	return l, logs
}

// answers gives a call those answers, one after the other.
func answers(errs ...error) func(context.Context) error {
	return func(context.Context) (err error) {
		err, errs = errs[0], errs[1:]
		return err
	}
}

// closedClient asks no broker any more.
func closedClient(t *testing.T) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	require.NoError(t, err)
	client.Close()
	return client
}

var errAway = errors.New("connection refused")

// TestARefusedLoginIsFinalUntilTheFirstOneSucceeds, also after errors of the connection; later it is waited for:
// passwords rotate.
func TestARefusedLoginIsFinalUntilTheFirstOneSucceeds(t *testing.T) {
	for _, code := range []proto.Error{proto.ErrUnknownUser, proto.ErrWrongPassword, proto.ErrAuthenticationFailed} {
		refused := fmt.Errorf("prepare: %w", &chgo.Exception{Code: int32(code), Message: "canary"})
		l, _ := retrier(t)
		err := l.retry(t.Context(), "prepare ClickHouse", answers(errAway, errAway, refused))
		require.ErrorIs(t, err, cdc.ErrRefused)
		require.ErrorIs(t, err, code)
		require.NotContains(t, err.Error(), "canary")
		require.Len(t, cdc.Explain(err).Try, 1)
		require.NoError(t, l.retry(t.Context(), readMetadata, answers(nil)))
		require.ErrorIs(t, l.retry(t.Context(), "insert", answers(refused)), cdc.ErrRefused, "Kafka's answer says nothing of ClickHouse")
		require.NoError(t, l.retry(t.Context(), "prepare ClickHouse", answers(errAway, nil)))
		require.NoError(t, l.retry(t.Context(), "insert", answers(refused, errAway, refused, nil)))

		l, _ = retrier(t, func(o *Options) { o.LoggedIn = true })
		require.NoError(t, l.retry(t.Context(), "prepare ClickHouse", answers(refused, nil)), "after a SIGHUP")
	}
}

// TestAnOutageSaysOnceWhatIsSafe and what to do; the lines after it are short.
func TestAnOutageSaysOnceWhatIsSafe(t *testing.T) {
	for name, test := range map[string]struct{ what, first string }{
		"ClickHouse": {"look at the views", "trying again; changes wait in Kafka, and load goes on by itself. Try: see that ClickHouse runs and clickhouse.url is right"},
		"Kafka":      {readEnds, "trying again; what is loaded is safe, what is not waits in Kafka or in Postgres' log, and load goes on by itself. Try: look at the brokers named in kafka.brokers"},
		"controls":   {readControls, "trying again; what is loaded is safe, what is not waits in Kafka or in Postgres' log, and load goes on by itself. Try: look at the brokers named in kafka.brokers"},
		"registry":   {readSchema, "trying again; changes wait in Kafka, and load goes on by itself. Try: see that the registry runs and registry.url is right"},
	} {
		t.Run(name, func(t *testing.T) {
			l, logs := retrier(t)
			for range 2 {
				require.NoError(t, l.retry(t.Context(), test.what, answers(errAway, errAway, errAway, nil)))
				var messages []string
				for _, e := range logs.TakeAll() {
					messages = append(messages, e.Message)
					require.Equal(t, "connection refused", e.ContextMap()["error"])
				}
				require.Equal(t, []string{test.first, "trying again", "trying again"}, messages)
			}
		})
	}
	l, logs := retrier(t)
	_, kafkaAway := consume.Read(t.Context(), kadm.NewClient(closedClient(t)), nil, nil, "p", time.Hour)
	for of, err := range map[part]error{partKafka: kafkaAway, partClickHouse: errAway} {
		require.NoError(t, l.retry(t.Context(), "find the start offsets", answers(fmt.Errorf("assign: %w", err), nil)))
		require.Contains(t, logs.TakeAll()[0].Message, of.try, "that of the server which was asked")
	}
	full := &chgo.Exception{Code: 243}
	require.NoError(t, l.retry(t.Context(), "insert", answers(full, nil)))
	require.Equal(t, "trying again; changes wait in Kafka, and load goes on by itself", logs.All()[0].Message, "the error has its own way out")
	require.Contains(t, logs.All()[0].ContextMap()["error"], "Try: free disk space")
}

// TestAnOutageIsLoggedAtARate: each step for itself, and the first line of an outage always.
func TestAnOutageIsLoggedAtARate(t *testing.T) {
	l, logs := retrier(t)
	for range 100 {
		l.outage.complain("cannot "+readRecords, readRecords, errAway)
		l.outage.complain("cannot "+beInGroup, beInGroup, errAway)
	}
	require.Equal(t, 2*linesAtOnce, logs.Len())
	now := time.Now()
	require.False(t, l.outage.mayLog(readRecords, now))
	require.True(t, l.outage.mayLog(readRecords, now.Add(linesWithin)))
	l.outage.complain("trying again", "insert", errAway)
	require.Equal(t, 2*linesAtOnce+1, logs.Len())
	l.outage.recovered(readRecords)
	l.outage.recovered(beInGroup)
	l.outage.recovered("insert")
	l.outage.complain("cannot "+readRecords, readRecords, errAway)
	require.Equal(t, 2*linesAtOnce+2, logs.Len(), "a new outage")
}
