package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// writers are a committer over a broker's sink, with the pool that its writers share.
type writers struct {
	broker *broker
	*committer
	table *cdc.Table
	wakes chan struct{}
}

func newWriters(t *testing.T, chunks int, maxTransaction int64) *writers {
	t.Helper()
	w := &writers{broker: newBroker(), table: newTable(1, "a"), wakes: make(chan struct{}, 1)}
	sink := w.broker.sink()
	_, err := sink.Recover(t.Context())
	require.NoError(t, err)
	w.committer = newCommitter(sink, newChunkPool(chunks, 100), clocks{maxTransaction}, NewMetrics(nil), cdc.Point{})
	w.listen(func(cdc.Durable) {}, func() {
		select {
		case w.wakes <- struct{}{}:
		default:
		}
	})
	return w
}

// session is one that has started, with these tables.
func (w *writers) session(live relations, tables ...*table) *session {
	return &session{live: newLive(func() {}),
		o: &Options{ChunkBytes: 100}, committer: w.committer, report: newReporter(&Options{Log: zap.NewNop(), Metrics: NewMetrics(nil)}),
		plan: &plan{}, state: &cdc.State{Source: cdc.SourceState{Epoch: 1}}, tables: tables, relations: live,
	}
}

// chunk takes one and fills it with n records of an operation, counted from a number.
func (w *writers) chunk(ctx context.Context, op string, from uint32, n int) (*cdc.Chunk, error) {
	c, err := w.pool.get(ctx)
	if err != nil {
		return nil, err
	}
	e := &fakeEncoder{t: w.table}
	for i := range uint32(n) {
		e.append(c, &cdc.Meta{Generation: 1}, 0, op, cdc.Position{Epoch: 1, CommitLSN: 1, Ordinal: from + i}, fmt.Sprint(op, from+i))
	}
	return c, nil
}

func at(ordinal uint32, partial bool) *cdc.Point {
	return &cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 1, Ordinal: ordinal}, Partial: partial}
}

// follow writes rows up to a number as the follower does: full chunks with the point inside, and a point when it is
// asked for.
func (w *writers) follow(ctx context.Context, rng *rand.Rand, rows uint32) error {
	next := uint32(1)
	for next <= rows {
		n := min(1+rng.IntN(5), int(rows-next)+1)
		c, err := w.chunk(ctx, "c", next, n)
		if err != nil {
			return err
		}
		next += uint32(n)
		p := part{chunk: c, reached: at(next, true)}
		if rng.IntN(2) == 0 {
			p.reached = at(next, false)
		}
		send := w.send
		if r := w.demand(); r != answered && (r == askHeld || r == askSplit || r > askNothing && !p.reached.Partial) {
			send = w.answer
		}
		if err := send(ctx, p); err != nil {
			return err
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond) // the bubble's clock
	}
	return w.commitNow(ctx, part{reached: at(next, false)})
}

// copyRows writes chunks without a point, and ends with its state.
func (w *writers) copyRows(ctx context.Context, rng *rand.Rand, name string, chunks int) error {
	rows := int64(0)
	for range chunks {
		n := 1 + rng.IntN(5)
		c, err := w.chunk(ctx, name, 0, n)
		if err != nil {
			return err
		}
		rows += int64(n)
		if err := w.send(ctx, part{chunk: c}); err != nil {
			return err
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond) // the bubble's clock
	}
	return w.commitNow(ctx, part{changed: []cdc.StateChange{cdc.TableState{Table: name, Rows: rows}}})
}

// TestCopiesBesideTheFollower: in any order, each commit holds exactly the follower's rows up to its point, an
// ended copy's state comes with all its rows, no two commits are too far apart, and nothing waits for ever, even if the
// sink keeps chunks until Commit.
func TestCopiesBesideTheFollower(t *testing.T) {
	base := uint64(time.Now().UnixNano())
	if *seedFlag != 0 {
		synctest.Test(t, func(t *testing.T) { copiesBesideTheFollower(t, *seedFlag) })
		return
	}
	for i := range uint64(100) {
		synctest.Test(t, func(t *testing.T) { copiesBesideTheFollower(t, base+i) })
		if t.Failed() {
			return
		}
	}
}

func copiesBesideTheFollower(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("run again with -run %s -seed %d", t.Name(), seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 5))
	w := newWriters(t, 1+rng.IntN(4), int64(50+rng.IntN(500)))
	w.broker.late, w.broker.slow = rng.IntN(2) == 0, time.Duration(rng.IntN(50))*time.Millisecond
	w.watchCommits(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("ended")
	var run, all sync.WaitGroup
	run.Go(func() {
		if err := w.run(ctx); !errors.Is(err, ended) {
			cancel(err)
		}
	})
	require.NoError(t, w.commitNow(ctx, part{reached: at(1, false)}))
	for i, work := range []func(rng *rand.Rand) error{
		func(rng *rand.Rand) error { return w.follow(ctx, rng, 100) },
		func(rng *rand.Rand) error { return w.copyRows(ctx, rng, "x", 30) },
		func(rng *rand.Rand) error { return w.copyRows(ctx, rng, "y", 60) },
	} {
		own := rand.New(rand.NewPCG(seed, uint64(10+i)))
		all.Go(func() {
			if err := work(own); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	cancel(ended)
	run.Wait()
	require.ErrorIs(t, context.Cause(ctx), ended)
	require.Len(t, w.broker.records, 100+int(w.broker.state.Tables[".x"].Rows+w.broker.state.Tables[".y"].Rows))
	for i := 1; i < len(w.broker.times); i++ {
		require.Less(t, w.broker.times[i].Sub(w.broker.times[i-1]), longestOpen+time.Second)
	}
}

// watchCommits checks the records and the state right after each commit.
func (w *writers) watchCommits(t *testing.T) {
	w.broker.fail = func(point string) error {
		if point != "after" {
			return nil
		}
		follower, copied := uint32(1), map[string]int64{}
		for _, r := range w.broker.records {
			if r.Op != "c" {
				copied[r.Op]++
				continue
			}
			require.Equal(t, follower, r.Position.Ordinal, "in order, and once")
			follower++
		}
		require.Equal(t, follower, w.broker.state.Point.Position.Ordinal, "all that was sent up to the point, and no more")
		for name, state := range w.broker.state.Tables {
			require.Equal(t, state.Rows, copied[name[1:]])
		}
		return nil
	}
}

// TestTheFollowerIsAskedForTheChunkThatOthersWaitFor: it is idle with the only chunk, and nothing is written that could
// be committed.
func TestTheFollowerIsAskedForTheChunkThatOthersWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriters(t, 1, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = w.run(ctx) }()
		require.NoError(t, w.commitNow(ctx, part{reached: at(1, false)}))
		held, err := w.chunk(ctx, "c", 1, 1)
		require.NoError(t, err)
		copied := make(chan error, 1)
		go func() {
			c, err := w.chunk(ctx, "r", 0, 1)
			if err == nil {
				err = w.commitNow(ctx, part{chunk: c})
			}
			copied <- err
		}()
		for w.demand() != askHeld {
			<-w.wakes
		}
		require.NoError(t, w.answer(ctx, part{chunk: held, reached: at(2, true)}))
		require.NoError(t, <-copied)
		require.Less(t, time.Since(w.broker.times[0]), time.Second)
	})
}

// TestAFollowerThatHoldsNothing is not made to commit again and again because copies wait for each other's chunks; a
// chunk whose only row could not be carried is given back.
func TestAFollowerThatHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriters(t, 2, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = w.run(ctx) }()
		require.NoError(t, w.commitNow(ctx, part{reached: at(1, false)}))
		r := newRig()
		stream, err := func() (cdc.Stream, error) { r.server.slot = &cdc.SlotStatus{}; return r.server.Stream(ctx, 1000, true) }()
		require.NoError(t, err)
		a := &table{listed: newTable(1, "a")}
		require.NoError(t, a.open())
		a.relation = &relation{table: a, encoder: &fakeEncoder{t: a.listed}}
		f := &follower{
			session: w.session(relations{1: a.relation}, a), stream: stream, drift: &driftWatch{}, topics: &topicWatch{}, point: *at(1, false), stored: *at(1, false),
		}
		w.listen(func(cdc.Durable) {}, stream.Wake)
		context.AfterFunc(ctx, stream.Wake)
		go func() { _ = f.run(ctx) }()
		r.server.add(insert(1, "!"))
		time.Sleep(time.Second) // the transaction's own commit is made
		synctest.Wait()
		require.True(t, a.quarantined())
		first, err := w.pool.get(ctx)
		require.NoError(t, err)
		second, err := w.pool.get(ctx)
		require.NoError(t, err)
		before, _ := w.broker.history()
		waiting := make(chan error, 1)
		go func() { _, err := w.pool.get(ctx); waiting <- err }()
		time.Sleep(2 * time.Second) // the bubble's clock; less than the heartbeat
		synctest.Wait()
		after, _ := w.broker.history()
		require.Equal(t, len(before), len(after))
		second.Release()
		require.NoError(t, <-waiting)
		first.Release()
	})
}

// TestACopyBesideARunningFollower: a real one of each share a committer. Every change comes once, in order; the copy is
// whole; the rows of the copy do not wait for the follower's points, nor these for the copy.
func TestACopyBesideARunningFollower(t *testing.T) {
	for _, chunks := range []int{1, 2, 4} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			w := newWriters(t, chunks, 1000)
			w.broker.late, r.server.broker, r.server.slot = true, w.broker, &cdc.SlotStatus{}
			a, b := &table{listed: newTable(1, "a")}, &table{listed: newTable(2, "b")}
			live := relations{}
			for _, tb := range []*table{a, b} {
				tb.relation = &relation{table: tb, encoder: &fakeEncoder{t: tb.listed}}
				live[tb.listed.OID] = tb.relation
				require.NoError(t, tb.open())
			}
			for i := range 200 {
				r.server.rows[2] = append(r.server.rows[2], body(i))
			}
			s := w.session(live, a, b)
			stream, err := r.server.Stream(t.Context(), 1000, true)
			require.NoError(t, err)
			w.listen(stream.Report, stream.Wake)
			f := &follower{session: s, stream: stream, drift: &driftWatch{}, topics: &topicWatch{}, stored: pointAt(1, 1000), point: pointAt(1, 1000)}
			ctx, cancel := context.WithCancel(t.Context())
			defer context.AfterFunc(ctx, stream.Wake)()
			var all sync.WaitGroup
			all.Go(func() { _ = w.run(ctx) })
			require.NoError(t, w.commitNow(ctx, part{reached: &f.stored}))
			all.Go(func() { _ = f.run(ctx) })
			var want []record
			traffic := func() {
				for i := range 50 {
					want = append(want, expected(r.tables, r.server.add(insert(1, body(i)), insert(2, body(i))))...)
					time.Sleep(10 * time.Millisecond) // the bubble's clock
				}
			}
			all.Go(traffic)
			r.server.copying = func(*cdc.Table) error { time.Sleep(300 * time.Millisecond); return nil } // the bubble's clock
			s.o.Tables, s.live.wake = r.tables, stream.Wake
			require.NoError(t, s.copyRanges(ctx, b))
			w.broker.until(t, func(s cdc.State, _ []record) bool {
				return s.Point.Position.CommitLSN == 1000+50*20-10 && !s.Point.Partial && s.Tables["public.b"].Phase == cdc.TableStreaming
			})
			cancel()
			all.Wait()
			records, state := w.broker.snapshot()
			got := changes(records)
			for i := range got {
				got[i].Generation = 0
			}
			require.Equal(t, want, got)
			copied := map[string]bool{} // ranges that were given up come again
			for _, row := range ofOps(records, "r") {
				copied[row.Body] = true
			}
			require.Len(t, copied, 200)
			require.Len(t, ofOps(records, "end"), 2)
			require.Equal(t, cdc.TableStreaming, state.Tables["public.b"].Phase)
			require.False(t, r.server.early)
			require.LessOrEqual(t, w.broker.held, chunks)
		})
	}
}

// quietEncoder appends a record without allocating.
type quietEncoder struct {
	cdc.TableEncoder
	topic *cdc.Topic
}

func (e quietEncoder) Append(_ context.Context, c *cdc.Chunk, m *cdc.Meta, ch cdc.RowChange) error {
	at := len(c.Bytes)
	c.Bytes = append(c.Bytes, ch.New[0].Data...)
	c.Records = append(c.Records, cdc.Record{Topic: e.topic, Key: at, Value: at, End: len(c.Bytes), Position: m.Position})
	return nil
}

// discard is a sink that takes everything.
type discard struct{ cdc.Sink }

func (discard) Write(_ context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	defer c.Release()
	return cdc.AcceptedRecords(int64(len(c.Records)), int64(len(c.Bytes))), nil
}

func (discard) Commit(_ context.Context, p cdc.Point, _ ...cdc.StateChange) (cdc.Durable, error) {
	return cdc.DurableAt(p), nil
}

// TestRowsDoNotAllocate: what is allocated belongs to chunks and commits.
func TestRowsDoNotAllocate(t *testing.T) {
	c := newCommitter(discard{}, newChunkPool(4, 1<<14), clocks{1 << 30}, NewMetrics(nil), cdc.Point{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = c.run(ctx) }()
	a := &table{listed: newTable(1, "a")}
	s := (&writers{committer: c}).session(relations{1: {table: a, encoder: quietEncoder{topic: a.listed.Topic}}}, a)
	s.o.ChunkBytes = 1 << 14
	f := &follower{session: s, drift: &driftWatch{}, topics: &topicWatch{}}
	e := insert(1, "a row of forty bytes, as narrow ones are")
	require.NoError(t, f.begin(&cdc.Event{Kind: cdc.EventBegin, CommitLSN: 1}))
	perRow := testing.AllocsPerRun(20_000, func() {
		if err := f.event(ctx, &e); err != nil {
			t.Error(err)
		}
	})
	require.Zero(t, perRow)
}
