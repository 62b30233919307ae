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
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// parallelInserts bounds the inserts into different tables at one time.
const parallelInserts = 3

// flush applies the batch: the generations that it opens, rows, then what orders and hides them, then the applied offsets (rules
// 13 and 21). Each step may be repeated; an error other than a stop means that ctx has ended and nothing of the batch is applied.
//
// Opens come before rows: a table is copied anew because changes of it may be missing, so it must not be called exact once the
// view shows a change behind the open.
func (l *Loader) flush(ctx context.Context) error {
	if err := l.retry(ctx, "write opened generations", func(ctx context.Context) error { return l.writeMarks(ctx, ledger.KindOpen) }); err != nil {
		return err
	}
	if err := l.insertStores(ctx); err != nil {
		return err
	}
	if err := l.retry(ctx, "write cuts and generations", l.writeBookkeeping); err != nil {
		return err
	}
	l.o.Fault.At(cdc.FaultAfterInsert)
	if err := l.retry(ctx, "write applied offsets", l.writeApplied); err != nil {
		return err
	}
	if l.batch.commitTime > 0 {
		l.metrics.latency.Observe(time.Since(time.UnixMicro(l.batch.commitTime)).Seconds())
	}
	l.batch.reset()
	l.publish()
	return nil
}

// settleAll looks after every topic whose view or storage may have to move.
func (l *Loader) settleAll(ctx context.Context) error {
	for _, name := range apply.SortedKeys(l.topics) {
		t := l.topics[name]
		if t.Progress || !t.Unsettled || len(t.Parts) == 0 {
			continue
		}
		err := l.retry(ctx, "settle the generations of "+t.Table, func(ctx context.Context) error { return l.settle(ctx, t) })
		switch {
		case err == nil:
		case ctx.Err() != nil || isStop(err):
			return err
		default:
			l.quarantine(t, t.NewestGeneration(), "generations: "+withoutValues(err))
			t.Unsettled = false
		}
	}
	return nil
}

func (l *Loader) insertStores(ctx context.Context) error {
	stores := append([]*storage(nil), l.batch.stores...)
	for _, s := range stores {
		if err := l.prepare(ctx, s); err != nil {
			return err
		}
	}
	g, inserting := errgroup.WithContext(ctx)
	g.SetLimit(parallelInserts)
	failed := make([]error, len(stores))
	for i, s := range stores {
		if len(s.segments) == 0 {
			continue
		}
		l.o.Fault.At(cdc.FaultBeforeInsert)
		g.Go(func() error {
			err := l.insert(inserting, s)
			if errcode.Permanent(err) {
				failed[i], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.afterInserts(ctx, stores, failed)
}

// afterInserts quarantines the tables whose rows ClickHouse refuses, unless another loader has dropped an old generation.
func (l *Loader) afterInserts(ctx context.Context, stores []*storage, failed []error) error {
	for i, s := range stores {
		if failed[i] == nil {
			l.count(s)
			continue
		}
		if errcode.Of(failed[i]) == proto.ErrUnknownTable {
			if err := l.retry(ctx, "read generations", func(ctx context.Context) error { return l.loadShown(ctx, s.topic) }); err != nil {
				return err
			}
			if s.generation < s.topic.Shown {
				s.topic.Generation(s.generation).Dropped = true
				continue
			}
		}
		l.quarantine(s.topic, s.generation, "insert: "+withoutValues(failed[i]))
	}
	return nil
}

// prepare completes deferred rows and widens columns, so that no NULL becomes a default (rule 23).
func (l *Loader) prepare(ctx context.Context, s *storage) error {
	err := l.resolve(ctx, s)
	if err == nil {
		err = l.widen(ctx, s)
	}
	if err == nil || ctx.Err() != nil || isStop(err) {
		return err
	}
	l.quarantine(s.topic, s.generation, withoutValues(err))
	return nil
}

// widen makes columns Nullable that got a NULL although the source says NOT NULL: the log may be older than the constraint,
// and NaN is NULL in ClickHouse.
func (l *Loader) widen(ctx context.Context, s *storage) error {
	for i := range s.table.Columns {
		if s.nullable[i] || !s.hasNull(i) {
			continue
		}
		c := &s.table.Columns[i]
		if c.Key {
			return fmt.Errorf("key column %s is NULL", c.Name)
		}
		l.o.Log.Warn("column widened to Nullable: a NULL came although it is NOT NULL", zap.String("table", s.topic.Table), zap.String("column", c.Name))
		err := l.retry(ctx, "widen a column of "+s.topic.Table, func(ctx context.Context) error {
			return l.conn.Exec(ctx, "ALTER TABLE "+s.name+" MODIFY COLUMN "+schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))+" "+schemas.ClickHouseType(c.Type, true))
		})
		if err != nil {
			return err
		}
		s.nullable[i] = true
		if err := l.retry(ctx, "renew the view of "+s.topic.Table, func(ctx context.Context) error { return l.renewView(ctx, s) }); err != nil {
			return err
		}
	}
	return nil
}

// renewView makes the view of a storage anew, unless it shows another generation: another loader may have moved it on.
func (l *Loader) renewView(ctx context.Context, s *storage) error {
	if err := l.loadShown(ctx, s.topic); err != nil || s.topic.Shown != s.generation {
		return err
	}
	return l.conn.Exec(ctx, l.createView(s))
}

func (s *storage) hasNull(column int) bool {
	for _, seg := range s.segments {
		if seg.HasNull(column) {
			return true
		}
	}
	return false
}

// insert sends the storage's rows as one INSERT. After a mismatch of types it looks once whether another loader has widened a column.
func (l *Loader) insert(ctx context.Context, s *storage) error {
	start, looked := time.Now(), false
	err := l.retry(ctx, "insert into "+s.topic.Table, func(ctx context.Context) error {
		for _, seg := range s.segments {
			seg.SetNullable(s.nullable)
		}
		err := l.native.insert(ctx, s.name, s.segments, func() { l.o.Fault.At(cdc.FaultInInsert) })
		if errcode.Permanent(err) && errcode.Of(err) != proto.ErrUnknownTable && !looked {
			looked = true
			if err := l.describe(ctx, s); err != nil {
				return err
			}
			err = l.native.insert(ctx, s.name, s.segments, func() { l.o.Fault.At(cdc.FaultInInsert) })
		}
		return err
	})
	l.metrics.seconds.Observe(time.Since(start).Seconds())
	return err
}

// count adds what was inserted to status and metrics.
func (l *Loader) count(s *storage) {
	rows := 0
	for _, seg := range s.segments {
		rows += seg.Rows()
	}
	if rows == 0 {
		return
	}
	s.topic.Rows += int64(rows)
	l.metrics.rows.WithLabelValues(s.topic.Table).Add(float64(rows))
	l.metrics.bytes.WithLabelValues(s.topic.Table).Add(float64(s.bytes))
	l.metrics.inserts.WithLabelValues(s.topic.Table).Inc()
}

// writeBookkeeping stores quarantines, cuts, ends and missing rows of the batch.
func (l *Loader) writeBookkeeping(ctx context.Context) error {
	if err := l.quarantines.Write(ctx, l.ledger); err != nil { // first: ends make another loader show what lacks the dropped rows
		return err
	}
	if err := l.ledger.WriteCuts(ctx, l.batch.cuts); err != nil {
		return err
	}
	if err := l.writeMarks(ctx, ledger.KindEnd); err != nil {
		return err
	}
	return l.writeGone(ctx)
}

// writeMarks stores the batch's opens or ends.
func (l *Loader) writeMarks(ctx context.Context, kind string) error {
	others := func(m ledger.Mark) bool { return m.Kind != kind }
	return l.ledger.WriteMarks(ctx, slices.DeleteFunc(slices.Clone(l.batch.marks), others))
}

// writeApplied stores how far each partition of the batch is applied.
func (l *Loader) writeApplied(ctx context.Context) error {
	var rows []ledger.Applied
	for p := range l.batch.moved {
		if next := l.appliedNext(p); next > p.Applied {
			rows = append(rows, ledger.Applied{TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: p.ID, Next: next})
		}
	}
	if err := l.ledger.WriteApplied(ctx, rows...); err != nil {
		return err
	}
	for p := range l.batch.moved {
		if p.Topic.Progress {
			l.progress.release(p.Next)
		}
		p.Applied = max(p.Applied, l.appliedNext(p))
	}
	return nil
}

// appliedNext is how far a partition is applied with this batch: a progress record counts once everything is complete up to it, and
// nothing while the partition seeks.
func (l *Loader) appliedNext(p *apply.Partition) int64 {
	if p.Topic.Progress {
		return l.progress.appliedUpTo(p.Next)
	}
	if p.Seek != nil { // since the batch began
		return min(p.Next, p.Seek.From)
	}
	return p.Next
}
