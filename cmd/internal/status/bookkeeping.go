package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// readLedger reads what ClickHouse knows from bookkeeping and system tables alone: it costs the same whatever the
// tables hold, asks as often for one as for a thousand, and a view that is broken concerns nothing else.
func readLedger(ctx context.Context, l *ledger.Ledger) (f facts, err error) {
	complete, err := l.Complete(ctx)
	if err != nil {
		return f, err
	}
	quarantines, err := l.Quarantines(ctx)
	if err != nil {
		return f, err
	}
	views, err := l.Views(ctx)
	if err != nil {
		return f, err
	}
	stored, err := l.Storages(ctx)
	if err != nil {
		return f, err
	}
	if f.notices, err = l.Notices(ctx); err != nil {
		return f, err
	}
	f.complete, f.stored, f.shown = map[string]ledger.Complete{}, map[string][]ledger.Storage{}, map[string]uint32{}
	for _, row := range complete {
		f.complete[row.Table] = row
	}
	for _, s := range stored {
		f.stored[s.View] = append(f.stored[s.View], s)
	}
	for _, v := range views {
		if v.IsView {
			f.shown[v.Name] = v.Generation
		}
	}
	f.addReasons(quarantines)
	return f, nil
}

// Counted counts the rows and the inexact values of each table that has a view, which reads every key of all of them.
// Where one cannot be counted, the estimate stays and the table says why.
func (c *Collector) Counted(ctx context.Context, s Status) Status {
	l := ledger.New(c.ClickHouse, c.Database)
	shown := c.shown()
	for i := range s.Tables {
		t := &s.Tables[i]
		for _, view := range viewNames(t.Table) {
			if _, is := shown[view]; !is {
				continue
			}
			n, err := Within(ctx, func(ctx context.Context) (ledger.Count, error) { return l.Count(ctx, view) })
			if err != nil {
				t.because(append(t.problems, cdc.Failed("its rows cannot be counted").Because(err))...)
				continue
			}
			t.Rows, t.Inexact, t.RowsEstimated = n.Rows, n.Inexact, false
		}
	}
	return s
}

// shown gives the views that were there at the last answer.
func (c *Collector) shown() map[string]uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.facts.shown
}

// addReasons says why tables are quarantined, and why capture no longer follows others, in the order of the legs.
func (f *facts) addReasons(quarantines []ledger.Quarantine) {
	f.reasons, f.excluded, f.refused = map[string][]*cdc.Problem{}, map[string][]*cdc.Problem{}, map[string]uint32{}
	for _, q := range quarantines {
		switch reason := cdc.ParseProblem(q.Leg + ": " + q.Reason); q.State {
		case ledger.StateSkipping:
			f.reasons[q.Table] = append(f.reasons[q.Table], reason)
			f.refused[q.Table] = max(f.refused[q.Table], q.Generation)
		case ledger.StateExcluded:
			f.excluded[q.Table] = append(f.excluded[q.Table], reason)
		case ledger.StateClosed:
		}
	}
}

// askClickHouse runs a query until ctx ends, and explains its error.
func askClickHouse[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	answer, err := Within(ctx, ask)
	if err == nil {
		return answer, nil
	}
	const asking = "ask ClickHouse for the status"
	login, code := ClickHouseLogin(err), errcode.Of(err)
	switch {
	case login != nil:
		return answer, login
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return answer, fmt.Errorf(asking+": %w", hangs("ClickHouse", "clickhouse.url", began))
	case code != 0:
		return answer, refusedStatus(asking, err)
	}
	return answer, cdc.Failed(asking).Because(ClickHouseAway(err)).Fix("see that ClickHouse runs and clickhouse.url is right")
}

// refusedStatus says what ClickHouse's own error means: a person has to change the login or its rights, while what the
// server lacks for now passes.
func refusedStatus(asking string, err error) error {
	p := cdc.Refused("%s", asking).Because(errcode.Explain(err))
	if errcode.OwnerOf(err) == errcode.OfServer {
		p = p.Of(cdc.ErrUnreachable)
	}
	return p.OrFix("dirtbike check")
}
