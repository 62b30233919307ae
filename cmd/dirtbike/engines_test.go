package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/oracle"
)

// engine is a part that can be killed and comes back at the same address.
type engine interface {
	Kill() error
	Start(ctx context.Context) error
}

// ended is Kafka that is stopped in place of being killed.
type ended struct {
	*testing.T
	*embedded.Kafka
}

// Kill stops it.
func (e ended) Kill() error { return e.Stop(e.Context()) }

// Start starts it again.
func (e ended) Start(ctx context.Context) error { return e.Kafka.Start(ctx) }

// TestEnginesKilled kills every part in turn, and some at once, under traffic: no person has to decide anything, both
// legs go on by themselves, and in the end both sides are equal and every change is there once. The registry is down at
// the start, too.
func TestEnginesKilled(t *testing.T) {
	t.Parallel()
	enginesKilled(t, "apache", func(s *embedded.Stack) [][]engine {
		return [][]engine{{s.Kafka}, {s.ClickHouse}, {s.Registry, s.Postgres}, {s.Postgres, s.Kafka, s.ClickHouse}}
	})
}

// TestEnginesKilledOnKfake stops Kafka in place of killing it: a kfake that is killed while it ends a transaction may
// commit it in some partitions only (ARCHITECTURE, "What trying showed").
func TestEnginesKilledOnKfake(t *testing.T) {
	t.Parallel()
	enginesKilled(t, "kfake", func(s *embedded.Stack) [][]engine {
		return [][]engine{{ended{t, s.Kafka}}, {s.Postgres, s.ClickHouse}, {ended{t, s.Kafka}, s.ClickHouse}}
	})
}

func enginesKilled(t *testing.T, kafka string, rounds func(*embedded.Stack) [][]engine) {
	t.Helper()
	stack := embeddedtest.Start(t, embedded.Options{Kafka: kafka})
	o := writersOptions(kafka)
	o.stack = stack
	r := newWritersRigOf(t, o)
	log := r.changeLog()
	require.NoError(t, stack.Registry.Kill())
	capture, load := r.start("capture"), r.start("load")
	require.Never(t, func() bool { return !capture.running() || !load.running() }, 3*time.Second, 100*time.Millisecond, "the registry is waited for")
	require.NoError(t, stack.Registry.Start(t.Context()))
	r.wait()
	start := r.slotStartByState()
	w := startWriters(t, r.url, 4, 11)
	w.reconnect.Store(true)
	for _, parts := range rounds(stack) {
		<-time.After(time.Second) // of traffic
		for _, part := range parts {
			require.NoError(t, part.Kill())
		}
		<-time.After(2 * time.Second) // of outage
		for _, part := range parts {
			require.NoError(t, part.Start(t.Context()))
		}
		require.True(t, capture.running(), capture.output())
		require.True(t, load.running(), load.output())
	}
	<-time.After(time.Second) // of traffic
	w.finish(t)
	r.wait()
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	r.exactlyOnce(log, max(start, log.Start), writersTables, func(table string) bool { return table != "public.foreign_traffic" })
	require.NotContains(t, capture.output()+load.output(), "quarantined:")
	capture.stop()
	load.stop()
}

// slotStartByState is the slot's consistent point as the first copy's cut, which every row `r` carries.
func (r *rig) slotStartByState() uint64 {
	r.Helper()
	ctx, cancel := contextFor(r, time.Minute)
	defer cancel()
	records, err := oracle.ReadTopics(ctx, r.stack.Kafka.Brokers(), r.stack.Registry.URL(), []string{r.name + ".public.accounts"})
	require.NoError(r, err)
	for _, record := range records {
		if record.Op == oracle.OpRead {
			return record.Position.CommitLSN
		}
	}
	r.Fatal("no row of a copy")
	return 0
}

// TestLostResponses loses answers of ClickHouse and of Postgres under traffic: what was done and not heard of is done
// again, and changes nothing. (Kafka's lost answers are tested in sinks/kafka: its clients follow the brokers' own
// addresses.)
func TestLostResponses(t *testing.T) {
	t.Parallel()
	r := newWritersRig(t, "kfake")
	log := r.changeLog()
	house, server := &lossy{}, &lossy{}
	r.relay(r.stack.ClickHouse.URL(), house.loses)
	r.relay(r.url, server.loses)
	l := r.start("run")
	r.wait()
	start := r.slotStartByState()
	house.armed.Store(true)
	server.armed.Store(true)
	w := startWriters(t, r.url, 4, 12)
	require.Eventually(t, func() bool { return house.cuts.Load() > 8 && server.cuts.Load() > 3 }, 60*time.Second, 50*time.Millisecond, "too few answers were lost")
	t.Logf("%d answers of ClickHouse and %d of Postgres were lost", house.cuts.Load(), server.cuts.Load())
	w.finish(t)
	house.armed.Store(false)
	server.armed.Store(false)
	r.wait()
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	r.exactlyOnce(log, max(start, log.Start), writersTables, func(table string) bool { return table != "public.foreign_traffic" })
	require.NotContains(t, l.output(), "quarantined:")
	l.stop()
}
