package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// readLedger reads what ClickHouse knows. It counts again if the last counts are old or a view was added.
func readLedger(ctx context.Context, l *ledger.Ledger, before facts) (f facts, err error) {
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
	stored, err := l.NewestStorage(ctx)
	if err != nil {
		return f, err
	}
	f.complete, f.stored, f.views = map[string]ledger.Complete{}, map[string]ledger.Storage{}, map[string]bool{}
	for _, v := range views {
		f.views[v.Name] = v.IsView
	}
	for _, row := range complete {
		f.complete[row.Table] = row
	}
	for _, s := range stored {
		f.stored[s.View] = s
	}
	f.addReasons(quarantines)
	ours := f.ours(views)
	f.counted, f.countedAt = before.counted, before.countedAt
	same := len(ours) == len(f.counted) && !slices.ContainsFunc(ours, func(v ledger.View) bool { _, is := f.counted[v.Name]; return !is })
	if !same || time.Since(f.countedAt) >= countsCache {
		f.countedAt = time.Now()
		f.counted, err = l.Counts(ctx, ours)
	}
	return f, err
}

// addReasons says why tables are quarantined, and why capture no longer follows others, in the order of the legs.
func (f *facts) addReasons(quarantines []ledger.Quarantine) {
	f.reasons, f.excluded = map[string][]*cdc.Problem{}, map[string][]*cdc.Problem{}
	for _, q := range quarantines {
		switch reason := cdc.ParseProblem(q.Leg + ": " + q.Reason); q.State {
		case ledger.StateSkipping:
			f.reasons[q.Table] = append(f.reasons[q.Table], reason)
		case ledger.StateExcluded:
			f.excluded[q.Table] = append(f.excluded[q.Table], reason)
		case ledger.StateClosed:
		}
	}
}

// ours picks the views of captured tables: people may have others in the same database.
func (f *facts) ours(views []ledger.View) []ledger.View {
	names := map[string]bool{}
	for table := range f.complete {
		for _, view := range viewNames(table) {
			names[view] = true
		}
	}
	for table := range f.excluded {
		for _, view := range viewNames(table) {
			names[view] = true
		}
	}
	return slices.DeleteFunc(views, func(v ledger.View) bool { return !v.IsView || !names[v.Name] })
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
		return answer, cdc.Refused(asking).Because(code).Fix("dirtbike explain clickhouse-grants")
	}
	return answer, cdc.Failed(asking).Because(ClickHouseAway(err)).Fix("see that ClickHouse runs and clickhouse.url is right")
}
