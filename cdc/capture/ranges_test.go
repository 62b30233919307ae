package capture

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// Ranges reads the server's rows, whose key is their place in the list.
func (f *fakeTables) Ranges(t *cdc.Table) (cdc.RangeReader, error) {
	return &fakeRanges{f.server, t}, nil
}

type fakeRanges struct {
	s *server
	t *cdc.Table
}

func (r *fakeRanges) Close(context.Context) {}

func (r *fakeRanges) WaitsFor(_ context.Context, transactions []uint64) (*cdc.Problem, error) {
	return cdc.Failed("the copy of %s waits for transaction %d", r.t.FullName(), transactions[0]), nil
}

func (r *fakeRanges) Read(_ context.Context, after cdc.Key, limit int, sees func(cdc.Visibility) bool, row func(cdc.Tuple) error) (out cdc.Range, err error) {
	r.s.mu.Lock()
	rows, copying, end, running := slices.Clone(r.s.rows[r.t.OID]), r.s.copying, r.s.identity.Flushed, slices.Clone(r.s.running)
	r.s.mu.Unlock()
	if !sees(cdc.Visibility{End: 1000, Running: running}) {
		return out, cdc.ErrNotVisible
	}
	from := 0
	if after != nil {
		from, _ = strconv.Atoi(string(after[0].Data))
	}
	for i, v := range rows[from:] {
		if i == limit {
			return out, nil
		}
		if from+i == len(rows)/2 && copying != nil {
			if err := copying(r.t); err != nil {
				return out, err
			}
		}
		if err := row(text(v)); err != nil {
			return out, err
		}
		out.Rows++
		out.Last, out.Log = cdc.Key{{Kind: cdc.DatumText, Data: []byte(strconv.Itoa(from + i + 1))}}, end
	}
	out.End, out.Log = true, end
	return out, nil
}

// TestACopyWaitsForTransactions: a copy waits until what ran when it began has ended, and until it sees what was
// published; it says whose it is. The stream goes on meanwhile, and so does the table's own.
func TestACopyWaitsForTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2] = []string{"x"}, []string{"y"}
		r.server.running = []uint64{5}
		run := func(running ...uint64) {
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			r.server.running = running
		}
		stop := r.start(t)
		r.until(t, func(s cdc.State, _ []record) bool { return s.Source.Phase == cdc.PhaseStreaming })
		time.Sleep(10 * time.Second) // the bubble's clock
		require.Contains(t, r.capture.Status().Waiting, "transaction 5")
		r.server.add(insert(1, "one"), insert(2, "two"))
		r.caughtUp(t)
		records, state := r.snapshot()
		require.Len(t, changes(records), 2)
		require.Empty(t, ofOps(records, "r"))
		require.Equal(t, cdc.TableCopying, state.Tables["public.a"].Phase)

		run(7)                       // what was published is committed, and not visible
		time.Sleep(20 * time.Second) // the bubble's clock
		require.Contains(t, r.capture.Status().Waiting, "transaction 7")
		records, _ = r.snapshot()
		require.Empty(t, ofOps(records, "r"))

		run(8) // what begins later keeps nobody
		r.streaming(t)
		require.Empty(t, r.capture.Status().Waiting)
		records, _ = r.snapshot()
		require.Len(t, ofOps(records, "r"), 2)
		for _, read := range ofOps(records, "r") {
			require.Positive(t, read.Position.Compare(changes(records)[1].Position), "above all that was published")
		}
		require.NoError(t, stop())
	})
}

// TestARangeIsGivenUp: a change of the table does not wait for long for a range that is read; other tables never do.
// Rows of a range that was given up are not sent after the change.
func TestARangeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server.rows[1], r.server.rows[2] = []string{"x", "y"}, nil
		reading, finish := make(chan struct{}), make(chan struct{})
		r.server.copying = func(t *cdc.Table) error {
			if t.Name == "a" {
				reading <- struct{}{}
				<-finish
			}
			return nil
		}
		stop := r.start(t)
		<-reading
		r.server.add(insert(2, "other"))
		synctest.Wait()
		r.until(t, func(_ cdc.State, records []record) bool { return len(changes(records)) == 1 })
		began := time.Now()
		r.server.add(insert(1, "own"))
		r.until(t, func(_ cdc.State, records []record) bool { return len(changes(records)) == 2 })
		require.GreaterOrEqual(t, time.Since(began), rangePatience)
		require.Less(t, time.Since(began), time.Second+rangePatience)
		finish <- struct{}{}
		<-reading
		finish <- struct{}{}
		r.streaming(t)
		require.NoError(t, stop())
		records, _ := r.snapshot()
		own := slices.IndexFunc(records, func(r record) bool { return r.Body == "own" })
		for i, read := range records {
			if read.Op == "r" && i > own {
				require.Positive(t, read.Position.Compare(records[own].Position))
			}
		}
		require.NotEmpty(t, ofOps(records[own:], "r"))
	})
}
