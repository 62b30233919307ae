package capture

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
)

// second is another process for the pipeline that r runs: config, source and sink may be changed.
func (r *rig) second(change func(o *Options, f *fakeTables)) *Capture {
	tables := &fakeTables{server: r.server, mismatch: r.tables.mismatch, unselected: r.tables.unselected, called: r.tables.called}
	for _, t := range r.tables.list {
		own := *t
		tables.list = append(tables.list, &own)
	}
	o := r.options
	o.Source, o.Sink, o.Tables = r.server, r.sink(), tables
	change(&o, tables)
	return NewCapture(o)
}

// takesOver runs c until it follows the n-th stream of this server's life.
func (r *rig) takesOver(t *testing.T, c *Capture, n int) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for r.server.opened() < n {
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(time.Second): // the bubble's clock
		}
	}
	r.caughtUp(t)
	return func() error {
		cancel()
		return <-done
	}
}

func (r *rig) fences() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch
}

// goesOn shows that the capture started first still commits.
func (r *rig) goesOn(t *testing.T) {
	t.Helper()
	r.server.add(insert(1, "more"))
	r.caughtUp(t)
	require.True(t, r.capture.Status().Healthy, r.capture.Status().LastError)
}

// misfit is a policy that names a column that the table does not have.
func misfit(t *cdc.Table) *cdc.Table {
	out := refused(t.OID, t.Name, errKeyless)
	out.Shape, out.RefusedByConfig = t.Shape, true
	return out
}

// TestARefusedSecondStartFencesNobody: a second start with another config ends, and the first capture never notices.
func TestARefusedSecondStartFencesNobody(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(o *Options, f *fakeTables)
		fix    string
	}{
		{"partitions", func(o *Options, _ *fakeTables) { o.Partitions = 3 }, "kafka.partitions: 2"},
		{"hash key", func(o *Options, _ *fakeTables) { o.HashKeys = map[string]string{"k1": "f2"} }, "privacy.hash.keys"},
		{"slot", func(o *Options, _ *fakeTables) { o.Slot = "other" }, "name dirtbike in source.slot"},
		{"policy", func(_ *Options, f *fakeTables) { f.list[1].PolicyPrint = "x" }, "put the former policy back"},
		{"a column's name", func(_ *Options, f *fakeTables) { f.list[1] = misfit(f.list[1]) }, "give it a key"},
		{"prefix", func(_ *Options, f *fakeTables) { f.list[1].Topic = &cdc.Topic{Name: "q", Partitions: 2} }, "kafka.prefix"},
		{"no table", func(_ *Options, f *fakeTables) { f.list = nil }, "tables: "},
		{"a slip of the pen", func(_ *Options, f *fakeTables) {
			f.list, f.unselected, f.unmatched = f.list[:1], []uint32{2}, []error{errGlob}
		}, "if public.b is to be left out"},
		{"publication", func(o *Options, _ *fakeTables) { o.Source = unpublished{o.Source} }, cdc.ResnapshotAllCommand},
		{"after a table that would be quarantined", func(_ *Options, f *fakeTables) {
			f.list[0].Shape, f.list[1].PolicyPrint = "x", "x"
		}, "put the former policy back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := followed(t)
				core, logs := observer.New(zap.WarnLevel)
				fences := r.fences()
				tables, made := r.left()
				c := r.second(func(o *Options, f *fakeTables) { o.Log = zap.New(core); test.change(o, f) })
				err := c.Run(t.Context())
				requireFix(t, err, test.fix)
				require.NotContains(t, err.Error(), "\n")
				require.True(t, errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap))
				require.Zero(t, logs.Len(), "nothing is quarantined, nothing skipped")
				require.Empty(t, c.Status().Tables)
				r.goesOn(t)
				require.Equal(t, fences, r.fences())
				tablesNow, madeNow := r.left()
				require.Equal(t, tables, tablesNow)
				require.Equal(t, made, madeNow)
				require.NoError(t, stop())
			})
		})
	}
}

// left is what a start leaves in addition to its points: tables' states, topics, publication and slot.
func (r *rig) left() (tables map[string]cdc.TableState, made []string) {
	_, state := r.snapshot()
	for _, line := range r.journal.all() {
		if line == "publication" || line == "slot" || strings.HasPrefix(line, "topic") {
			made = append(made, line)
		}
	}
	return state.Tables, made
}

type unpublished struct{ cdc.Source }

func (unpublished) Published(context.Context, []*cdc.Table) (bool, map[uint32]cdc.PublishedBy, error) {
	return false, nil, nil
}

// awaySource and awaySink do not answer while away is set.
type awaySource struct {
	cdc.Source
	away *atomic.Bool
}

func (s awaySource) Identify(ctx context.Context) (cdc.Identity, error) {
	if s.away.Load() {
		return cdc.Identity{}, errLost
	}
	return s.Source.Identify(ctx)
}

type awaySink struct {
	cdc.Sink
	away *atomic.Bool
}

func (s awaySink) Peek(ctx context.Context) (*cdc.State, error) {
	if s.away.Load() {
		return nil, errLost
	}
	return s.Sink.Peek(ctx)
}

// TestAnUnreachableServerFencesNobody: a second start that cannot reach Postgres or Kafka tries on for a while, and
// says so; once it reaches them it takes over. If it never does it ends, and says what to do.
func TestAnUnreachableServerFencesNobody(t *testing.T) {
	var away atomic.Bool
	for name, change := range map[string]func(o *Options, _ *fakeTables){
		"postgres": func(o *Options, _ *fakeTables) { o.Source = awaySource{o.Source, &away} },
		"kafka":    func(o *Options, _ *fakeTables) { o.Sink = awaySink{o.Sink, &away} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := followed(t)
				first, fences := r.capture, r.fences()
				away.Store(true)
				began := time.Now()
				err := r.second(change).Run(t.Context())
				require.ErrorIs(t, err, cdc.ErrUnreachable)
				require.ErrorIs(t, err, errLost)
				requireFix(t, err, "source.url")
				require.GreaterOrEqual(t, time.Since(began), 10*time.Second)
				require.LessOrEqual(t, time.Since(began), 15*time.Second)
				c := r.second(change)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				for range 4 {
					time.Sleep(2 * time.Second) // the bubble's clock
					synctest.Wait()
					require.False(t, c.Status().Healthy)
					require.Contains(t, c.Status().LastError, errLost.Error())
					r.goesOn(t)
				}
				require.Equal(t, fences, r.fences())
				away.Store(false)
				r.again(t, 2+1)
				require.Equal(t, fences+1, r.fences())
				require.True(t, c.Status().Healthy)
				time.Sleep(2 * heartbeat) // the bubble's clock
				require.False(t, first.Status().Healthy)
				require.Contains(t, first.Status().LastError, cdc.ErrFenced.Error())
				cancel()
				require.NoError(t, <-done)
			})
		})
	}
}

// movingSink lets a running capture move on around each Peek.
type movingSink struct {
	cdc.Sink
	move func()
}

func (s movingSink) Peek(ctx context.Context) (*cdc.State, error) {
	s.move()
	defer s.move()
	return s.Sink.Peek(ctx)
}

// TestAMovingPipelineIsNotRefused: what the running capture commits and reports while a start is tried is no gap.
func TestAMovingPipelineIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := followed(t)
		moves := 0
		c := r.second(func(o *Options, _ *fakeTables) {
			o.Sink = movingSink{o.Sink, func() {
				moves++
				r.goesOn(t)
			}}
		})
		stop := r.takesOver(t, c, 3)
		require.Equal(t, 2, moves, "one try")
		require.NoError(t, stop())
	})
}

// lateSlot does not find the slot at first.
type lateSlot struct {
	cdc.Source
	once *sync.Once
}

func (s lateSlot) Slot(ctx context.Context) (status cdc.SlotStatus, found bool, err error) {
	late := false
	if s.once.Do(func() { late = true }); late {
		return status, false, nil
	}
	return s.Source.Slot(ctx)
}

// TestARefusalIsCheckedTwice: another first start may make its slot between two readings.
func TestARefusalIsCheckedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := followed(t)
		c := r.second(func(o *Options, _ *fakeTables) { o.Source = lateSlot{o.Source, &sync.Once{}} })
		require.NoError(t, r.takesOver(t, c, 3)())
	})
}

// countingSink counts its Peeks; a hung one ends with its context only.
type countingSink struct {
	cdc.Sink
	peeks *atomic.Int32
	hangs bool
}

func (s countingSink) Peek(ctx context.Context) (*cdc.State, error) {
	s.peeks.Add(1)
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Sink.Peek(ctx)
}

// TestAStartIsTriedOnce: the sessions after it do without, and a signal ends it.
func TestAStartIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		var peeks atomic.Int32
		c := r.second(func(o *Options, _ *fakeTables) { o.Sink = countingSink{Sink: o.Sink, peeks: &peeks} })
		stop := r.takesOver(t, c, 2)
		stream, _ := r.server.newest()
		stream.fail(errLost)
		r.again(t, 3)
		require.EqualValues(t, 1, peeks.Load())
		require.NoError(t, stop())
	})
	synctest.Test(t, func(t *testing.T) {
		r := ran(t)
		var peeks atomic.Int32
		fences := r.fences()
		c := r.second(func(o *Options, _ *fakeTables) { o.Sink = countingSink{o.Sink, &peeks, true} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the bubble's clock
		defer cancel()
		require.NoError(t, c.Run(ctx))
		require.EqualValues(t, 1, peeks.Load())
		require.Equal(t, fences, r.fences())
	})
}

// TestAMisfitOfTheConfig: with the columns as they were it can only be the config's, at the start of a process; in all
// other cases it is the table's own, which is quarantined.
func TestAMisfitOfTheConfig(t *testing.T) {
	for _, phase := range []cdc.TablePhase{cdc.TableStreaming, cdc.TableCopying} {
		synctest.Test(t, func(t *testing.T) {
			r := ran(t)
			stored := r.state.Tables["public.a"]
			stored.Phase = phase
			r.state.Tables["public.a"] = stored
			r.tables.list[0] = misfit(r.tables.list[0])
			err := r.fails(t)
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.ErrorIs(t, err, errKeyless)
			require.Equal(t, phase, r.state.Tables["public.a"].Phase)
		})
	}
	for name, change := range map[string]func(t *cdc.Table){
		"columns changed": func(t *cdc.Table) { t.Shape = "x" },
		"made again":      func(t *cdc.Table) { t.OID = 77 },
		"the table's own": func(t *cdc.Table) { t.RefusedByConfig = false },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := ran(t)
				r.tables.list[0] = misfit(r.tables.list[0])
				change(r.tables.list[0])
				r.server.idle(1)
				stop := r.start(t)
				r.again(t, 2)
				require.NoError(t, stop())
				require.Equal(t, cdc.TableQuarantined, r.state.Tables["public.a"].Phase)
			})
		})
	}
	t.Run("while it runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, stop := followed(t)
			r.tables.list[0] = misfit(r.tables.list[0])
			stream, _ := r.server.newest()
			stream.fail(errLost)
			r.again(t, 3)
			require.NoError(t, stop())
			require.Equal(t, cdc.TableQuarantined, r.state.Tables["public.a"].Phase)
		})
	})
}
