package capture

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// modelTables reads ranges of what table 1 holds now: rows "key=value", by key.
type modelTables struct {
	*fakeTables
	now   map[string]string
	limit int
	slow  func() time.Duration // what reading a range takes
}

func (m *modelTables) Ranges(*cdc.Table) (cdc.RangeReader, error) { return (*modelRanges)(m), nil }

type modelRanges modelTables

func (r *modelRanges) Close(context.Context) {}

func (r *modelRanges) WaitsFor(context.Context, []uint64) (*cdc.Problem, error) { return nil, nil }

func (r *modelRanges) Read(_ context.Context, after cdc.Key, limit int, sees func(cdc.Visibility) bool, row func(cdc.Tuple) error) (out cdc.Range, err error) {
	s := r.server
	s.mu.Lock()
	now, running := maps.Clone(r.now), slices.Clone(s.running)
	s.mu.Unlock()
	if !sees(cdc.Visibility{End: 1000, Running: running}) {
		return out, cdc.ErrNotVisible
	}
	limit = min(limit, r.limit)
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if after != nil && key <= string(after[0].Data) {
			continue
		}
		if out.Rows == limit {
			out.Log, _ = s.reach()
			return out, nil
		}
		time.Sleep(r.slow()) // the bubble's clock
		if err := row(text(key + "=" + now[key])); err != nil {
			return out, err
		}
		out.Rows++
		out.Last = cdc.Key{{Kind: cdc.DatumText, Data: []byte(key)}}
	}
	out.End = true
	out.Log, _ = s.reach()
	return out, nil
}

// change makes a random transaction on table 1, in the log and in what the table holds.
func (m *modelTables) change(rng *rand.Rand) {
	var events []cdc.Event
	m.server.mu.Lock()
	for range 1 + rng.IntN(6) {
		key := fmt.Sprintf("k%02d", rng.IntN(40))
		row := key + "=" + fmt.Sprint(rng.IntN(1000))
		_, there := m.now[key]
		switch {
		case rng.IntN(60) == 0:
			events = append(events, truncate(1))
			clear(m.now)
		case !there:
			events = append(events, insert(1, row))
			m.now[key] = row[len(key)+1:]
		case rng.IntN(3) == 0:
			events = append(events, remove(1, key+"="+m.now[key]))
			delete(m.now, key)
		default:
			events = append(events, update(1, row))
			m.now[key] = row[len(key)+1:]
		}
	}
	m.server.mu.Unlock()
	m.server.add(events...)
}

// fold gives what a reader of the table's newest generation has: by version as ClickHouse does, or by what came last as
// a reader of a compacted topic does. A row below the cut or a truncate is gone.
func fold(records []record, generation uint32, byVersion bool) map[string]string {
	rows, versions, cut := map[string]string{}, map[string]cdc.Position{}, cdc.Position{}
	for _, r := range records {
		if r.Topic != "p.public.a" || r.Generation != generation {
			continue
		}
		key, value, _ := strings.Cut(r.Body, "=")
		switch r.Op {
		case "t", "end":
			if r.Position.Compare(cut) > 0 && r.Op == "t" {
				cut = r.Position
			}
			continue
		case "open":
			continue
		}
		if byVersion && r.Position.Compare(versions[key]) < 0 {
			continue
		}
		if versions[key] = r.Position; r.Op == "d" {
			delete(rows, key)
		} else {
			rows[key] = value
		}
	}
	for key := range rows {
		if versions[key].Compare(cut) < 0 {
			delete(rows, key)
		}
	}
	return rows
}

// TestCopiesBesideTheStream: whatever changes while a table is copied, also through failures, readers by version and by
// order both end with what the table holds.
func TestCopiesBesideTheStream(t *testing.T) {
	base := uint64(time.Now().UnixNano())
	if *seedFlag != 0 {
		base = *seedFlag
	}
	for i := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { copiesBeside(t, base+i) })
		if t.Failed() {
			t.Logf("run again with -run %s -seed %d", t.Name(), base+i)
			return
		}
	}
}

func copiesBeside(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig()
	own := rand.New(rand.NewPCG(seed, 2)) // copies ask
	m := &modelTables{fakeTables: r.tables, now: map[string]string{}, limit: 1 + rng.IntN(8), slow: func() time.Duration {
		return time.Duration(own.IntN(60)) * time.Millisecond
	}}
	m.list = m.list[:1]
	m.list[0].KeyStays = rng.IntN(2) == 0
	r.options.ChunkBytes, r.options.Chunks = 20+rng.IntN(100), 2+rng.IntN(4)
	for i := range 30 {
		m.now[fmt.Sprintf("k%02d", i)] = "0"
	}
	r.breaks(rng)
	run := func() (stop func() error) {
		o := r.options
		o.Source, o.Sink, o.Tables = r.server, r.sink(), m
		r.capture = NewCapture(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.capture.Run(ctx) }()
		return func() error { cancel(); return <-done }
	}
	for range 4 {
		stop := run()
		for range 10 + rng.IntN(20) {
			m.change(rng)
			time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond) // the bubble's clock
		}
		require.NoError(t, ignoreFence(stop()))
	}
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	stop := run()
	for range 20 {
		m.change(rng)
		time.Sleep(20 * time.Millisecond) // the bubble's clock
	}
	r.streaming(t)
	require.NoError(t, stop())
	records, state := r.snapshot()
	generation := state.Tables["public.a"].Generation
	require.Equal(t, cdc.TableStreaming, state.Tables["public.a"].Phase)
	require.Equal(t, m.now, fold(records, generation, true), "by version")
	require.Equal(t, m.now, fold(records, generation, false), "by order")
}
