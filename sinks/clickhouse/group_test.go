package clickhouse

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

func named(name string) func(*Options) {
	return func(o *Options) {
		o.Instance = name
		o.Kafka = append(o.Kafka, kgo.SessionTimeout(30*time.Second), kgo.HeartbeatInterval(200*time.Millisecond))
	}
}

// TestSameInstance: of two loaders of one name the older one ends with one clear line, and the newer one does the work;
// under another name it works beside it. Another pipeline needs another database.
func TestSameInstance(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "contested")
	w.fill(tab, 0, 10, 10)
	older := w.load(named("host-8085"))
	w.wait()
	newer := w.load(named("host-8085"))
	err := receive(t, older.done)
	close(older.done)
	require.ErrorIs(t, err, ErrSameInstance)
	require.Equal(t, []cdc.Remedy{{Command: "another --listen port for one of the two"}}, cdc.Explain(err).Try)
	require.NotContains(t, err.Error(), "\n")
	other := w.load(named("host-8086"))
	w.fill(tab, 10, 20, 10)
	w.wait()
	require.Equal(t, []string{"20"}, w.query("SELECT count() FROM DB.contested"))
	for _, l := range []*loader{newer, other} {
		select {
		case err := <-l.done:
			t.Fatal("it stopped, too", err)
		default:
		}
	}

	err = ledger.New(w.conn, w.database).CheckOwner(w.ctx, "another")
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "another clickhouse.database"}}, cdc.Explain(err).Try)
	require.NoError(t, ledger.New(w.conn, w.database+"_of_another").CheckOwner(w.ctx, "another"))
}

// TestStopLeavesGroup: a named loader that is stopped gives its partitions away at once, far within the session
// timeout.
func TestStopLeavesGroup(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "handed")
	w.fill(tab, 0, 10, 10)
	first := w.load(named("host-1"))
	w.wait()
	second := w.load(named("host-2"))
	members := func() int {
		groups, err := w.admin.DescribeGroups(w.ctx, w.prefix)
		require.NoError(t, err)
		return len(groups[w.prefix].Members)
	}
	require.Eventually(t, func() bool { return members() == 2 }, 20*time.Second, 20*time.Millisecond)
	first.stop(t)
	require.Equal(t, 1, members())
	began := time.Now()
	w.fill(tab, 10, 20, 10)
	w.wait()
	require.Less(t, time.Since(began), 15*time.Second, "the session timeout is 30 s")
	require.Equal(t, []string{"20"}, w.query("SELECT count() FROM DB.handed"))
	second.stop(t)
	require.Zero(t, members())
}

// TestKilledNamedLoader: one that comes back under its name has its partitions at once, without the session timeout.
func TestKilledNamedLoader(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "back")
	w.fill(tab, 0, 10, 10)
	client, err := kgo.NewClient(append(w.options().Kafka, kgo.ConsumerGroup(w.prefix), kgo.ConsumeTopics(tab.topic.Name), kgo.InstanceID("host-1"),
		kgo.SessionTimeout(60*time.Second))...) // as one that was killed: it never leaves, and its session lasts
	require.NoError(t, err)
	require.NoError(t, client.PollFetches(w.ctx).Err())
	client.Close()
	began := time.Now()
	w.load(named("host-1"))
	w.wait()
	require.Less(t, time.Since(began), 30*time.Second)
}
