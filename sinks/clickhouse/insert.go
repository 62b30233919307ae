package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// inserter writes batches to ClickHouse, one after another, each in the steps of flush (rules 13, 17, 21). A crash
// after any of them repeats the batch, with the same result, since rows are idempotent by key and version, everything
// else by its own key, and the applied offsets come last:
//   - Opened generations come before rows: a table is copied again because changes of it may be missing, so it must not
//     be called exact once its view shows a change that follows the open.
//   - Bases are read when every insert before this batch has been acknowledged: see Loader.
//   - Quarantines come before ends, which may make another loader show a copy that lacks the dropped rows.
type inserter struct {
	o           *Options
	db          *table.DB
	retry       retry // waits for what is everybody's
	ofTable     retry // for what is one table's: it waits for the server only
	metrics     *metrics
	basesAtOnce basesAtOnce
}

// run inserts batches until work is closed, and finishes each with what was found out.
func (i *inserter) run(ctx context.Context, work <-chan *batch) {
	for b := range work {
		b.err = i.flush(ctx, b)
		b.finish()
	}
}

// flush applies a batch. An error other than a stop means that ctx has ended; nothing of the batch counts as applied
// then.
func (i *inserter) flush(ctx context.Context, b *batch) error {
	books := i.db.Ledger
	for _, step := range []struct {
		retried string // what is tried until it succeeds; "": the step does so itself
		do      func(context.Context) error
	}{
		{"write opened generations", func(ctx context.Context) error { return ledger.Write(ctx, books, b.opens...) }},
		{"", func(ctx context.Context) error { return i.resolveBases(ctx, b) }},
		{"", func(ctx context.Context) error { return i.insertRows(ctx, b) }},
		{"write quarantined tables", func(ctx context.Context) error { return ledger.Write(ctx, books, b.quarantines...) }},
		{"write cuts", func(ctx context.Context) error { return ledger.Write(ctx, books, b.cuts...) }},
		{"write ended generations", func(ctx context.Context) error { return ledger.Write(ctx, books, b.ends...) }},
		{"write missing rows", func(ctx context.Context) error { return ledger.Write(ctx, books, b.missing...) }},
		{"write applied offsets", func(ctx context.Context) error {
			i.o.Fault.At(cdc.FaultAfterInsert)
			return ledger.Write(ctx, books, b.applied()...)
		}},
	} {
		run := step.do
		if step.retried != "" {
			run = func(ctx context.Context) error { return i.retry(ctx, step.retried, step.do) }
		}
		if err := run(ctx); err != nil {
			return err
		}
	}
	if b.commitTime > 0 {
		i.metrics.latency.Observe(time.Since(time.UnixMicro(b.commitTime)).Seconds())
	}
	return nil
}

// resolveBases completes deferred rows and widens columns, so that no NULL becomes a default (rule 23).
func (i *inserter) resolveBases(ctx context.Context, b *batch) error {
	for _, r := range b.sorted() {
		err := i.resolve(ctx, b, r)
		if err == nil {
			err = i.widen(ctx, r)
		}
		if err != nil && ctx.Err() == nil && !isStop(err) {
			err = i.refused(ctx, b, r, "", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// widen makes columns Nullable that got a NULL although the source says NOT NULL: the log may be older than the
// constraint, and NaN is NULL in ClickHouse.
func (i *inserter) widen(ctx context.Context, r *rows) error {
	for column := range r.table.Contract.Columns {
		if r.table.Nullable(column) || !slices.ContainsFunc(r.blocks, func(b *block.Block) bool { return b.HasNull(column) }) {
			continue
		}
		c := &r.table.Contract.Columns[column]
		if c.Key {
			return fmt.Errorf("key column %s is NULL", c.Name)
		}
		i.o.Log.Warn("column widened to Nullable: a NULL came although it is NOT NULL", zap.String("table", r.topic.Table), zap.String("column", c.Name))
		err := i.ofTable(ctx, "widen a column of "+r.topic.Table, func(ctx context.Context) error { return i.db.Widen(ctx, r.table, column) })
		if err == nil {
			err = i.ofTable(ctx, "renew the view of "+r.topic.Table, func(ctx context.Context) error { return i.renewView(ctx, r) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// renewView makes the view of a storage again, unless it shows another generation: another loader may have replaced it.
func (i *inserter) renewView(ctx context.Context, r *rows) error {
	shown, err := i.db.ShownOf(ctx, r.topic.View())
	if err != nil || shown != r.table.Generation {
		return err
	}
	marks, err := i.db.Ledger.Marks(ctx, r.topic.ID)
	if err != nil {
		return err
	}
	var cut cdc.Position
	for _, m := range marks {
		if m.Kind == ledger.KindEnd && m.Generation == shown {
			cut = m.Version // every partition's end says the same
		}
	}
	return i.db.Show(ctx, r.table, cut)
}

// parallelInserts bounds the inserts into different tables at one time.
const parallelInserts = 3

func (i *inserter) insertRows(ctx context.Context, b *batch) error {
	all := b.sorted()
	g, inserting := errgroup.WithContext(ctx)
	g.SetLimit(parallelInserts)
	failed := make([]error, len(all))
	for n, r := range all {
		if r.count() == 0 {
			continue
		}
		i.o.Fault.At(cdc.FaultBeforeInsert)
		g.Go(func() error {
			err := i.insert(inserting, r)
			if ctx.Err() == nil {
				failed[n], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for n, r := range all {
		if failed[n] == nil {
			i.count(r)
		} else if err := i.refused(ctx, b, r, "insert: ", failed[n]); err != nil {
			return err
		}
	}
	return nil
}

// insert sends a table's rows as one INSERT. After a mismatch of types it asks once whether another loader has widened
// a column.
func (i *inserter) insert(ctx context.Context, r *rows) error {
	start, asked := time.Now(), false
	blocks := slices.DeleteFunc(slices.Clone(r.blocks), func(b *block.Block) bool { return b.Rows() == 0 })
	send := func(ctx context.Context) error {
		return i.db.Insert(ctx, r.table, blocks, func() { i.o.Fault.At(cdc.FaultInInsert) })
	}
	err := i.ofTable(ctx, "insert into "+r.topic.Table, func(ctx context.Context) error {
		err := send(ctx)
		if owner := errcode.OwnerOf(err); (owner == errcode.OfRows || owner == errcode.OfStorage) && errcode.Of(err) != proto.ErrUnknownTable && !asked {
			asked = true
			if err = i.db.Describe(ctx, r.table); err == nil {
				err = send(ctx)
			}
		}
		return err
	})
	i.metrics.seconds.Observe(time.Since(start).Seconds())
	return err
}

// refused quarantines a table whose rows cannot be inserted, or makes it wait, unless the storage of an old generation
// was dropped meanwhile.
func (i *inserter) refused(ctx context.Context, b *batch, r *rows, doing string, failed error) error {
	if errcode.Of(failed) == proto.ErrUnknownTable {
		var shown uint32
		err := i.retry(ctx, "read generations", func(ctx context.Context) (err error) {
			shown, err = i.db.ShownOf(ctx, r.topic.View())
			return err
		})
		if err != nil {
			return err
		}
		if r.generation.Number < shown {
			r.replacedBy = shown
			r.clear()
			return nil
		}
	}
	if isUnsettled(failed) {
		b.hold(r, failed)
	} else {
		b.quarantine(r, doing+reasonOf(failed, r.topic.Table))
	}
	return nil
}

// count adds what was inserted to status and metrics.
func (i *inserter) count(r *rows) {
	if n := r.count(); n > 0 {
		i.metrics.rows.WithLabelValues(r.topic.Table).Add(float64(n))
		i.metrics.bytes.WithLabelValues(r.topic.Table).Add(float64(r.bytes))
		i.metrics.inserts.WithLabelValues(r.topic.Table).Inc()
	}
}
