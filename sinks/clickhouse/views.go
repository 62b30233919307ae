package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"go.uber.org/zap"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// views brings the view of each topic to its newest complete generation, and drops storage that nobody needs any more
// (rule 13). Any loader may do it at any time: a view only ever goes up, and what it shows is checked again and again.
//
// A generation is opened on every partition, copied, and ended on every partition. Changes go to the newest one opened
// on their partition and to the one that the view shows (apply.Goals). Once all ends are in ClickHouse, CREATE OR
// REPLACE VIEW swaps; once every partition is applied past its end, the storage below is dropped. Rejected: EXCHANGE
// TABLES, since two loaders that do it swap back.
type views struct {
	db          *table.DB
	ledger      *ledger.Ledger
	storages    *storages
	quarantines *apply.Quarantines
	retry       retry
	log         *zap.Logger
	checked     time.Time // when check last asked
}

// refresh brings the view and the storage of a topic up to date.
func (v *views) refresh(ctx context.Context, t *apply.Topic) error {
	stored, err := v.load(ctx, t)
	if err != nil {
		return err
	}
	complete := t.Complete(stored)
	newest := t.Shown
	for number, is := range complete {
		if is {
			newest = max(newest, number)
		}
	}
	if newest > t.Shown {
		if err := v.show(ctx, t, newest); err != nil {
			return err
		}
	}
	if t.Shown > 0 {
		if err := v.closeMissing(ctx, t, complete[t.Shown]); err != nil {
			return err
		}
		if err := v.confirm(ctx, t); err != nil {
			return err
		}
	}
	done, err := v.dropOld(ctx, t)
	if err != nil {
		return err
	}
	t.Outdated = !done || t.NewestGeneration() > t.Shown
	return nil
}

// show makes the view read a generation.
func (v *views) show(ctx context.Context, t *apply.Topic, number uint32) error {
	g := t.Generation(number)
	if g.Table == nil {
		if err := v.storages.recover(ctx, t, g); err != nil {
			return err
		}
	}
	if err := v.db.Show(ctx, g.Table, g.Cut()); err != nil {
		if errcode.Of(err) == proto.ErrUnknownTable {
			if shown, again := v.db.ShownOf(ctx, t.Schema, t.Rel); again == nil && shown > number {
				t.Shown = shown // another loader was faster, and has dropped this generation
				t.Changed()
				return nil
			}
		}
		return fmt.Errorf("create the view of %s: %w", t.Table, err)
	}
	v.log.Info("generation complete: the view shows it", zap.String("table", t.Table), zap.Uint32("generation", number), zap.Uint32("before", t.Shown))
	t.Shown = number
	t.Changed()
	return nil
}

// confirm records that the table has a view, and lifts a quarantine that the generation outlived.
func (v *views) confirm(ctx context.Context, t *apply.Topic) error {
	if t.Recorded < t.Shown {
		if err := v.ledger.WriteShown(ctx, ledger.Shown{Table: t.Table, Topic: t.Name, Generation: t.Shown}); err != nil {
			return err
		}
		t.Recorded = t.Shown
	}
	if v.quarantines.Lift(t.Table, t.Shown) {
		t.Changed()
	}
	return v.quarantines.Write(ctx, v.ledger)
}

// closeMissing closes the missing rows from before the cut of the generation that the view shows, and those of former
// topics of the name. It follows the view: a table must not be called exact while the view still lacks a row.
func (v *views) closeMissing(ctx context.Context, t *apply.Topic, complete bool) error {
	shown := t.Generation(t.Shown)
	if complete { // the view shows a complete copy of this topic
		if err := v.ledger.CloseMissingOfOtherTopics(ctx, t.Table, t.ID); err != nil {
			return err
		}
	}
	var found []ledger.MissingRow
	for _, p := range t.Parts {
		for key, from := range p.Missing {
			if shown.Below(p.ID, from) {
				found = append(found, ledger.MissingRow{Table: t.Table, TopicID: t.ID, Partition: p.ID, Key: key, Version: shown.Ends[p.ID].Cut})
			}
		}
	}
	if err := v.ledger.WriteMissingRows(ctx, found); err != nil {
		return err
	}
	for _, row := range found {
		delete(t.Parts[row.Partition].Missing, row.Key)
	}
	return nil
}

// dropOld drops the storage of generations below the shown one, once every partition has been applied past its end.
func (v *views) dropOld(ctx context.Context, t *apply.Topic) (done bool, err error) {
	shown := t.Generations[t.Shown]
	if shown == nil || t.Shown == 1 && len(t.Generations) == 1 {
		return true, nil
	}
	passed, err := v.passedEnd(ctx, t, shown)
	if err != nil || !passed {
		return false, err
	}
	stored, err := v.db.Stored(ctx, t.Schema, t.Rel)
	if err != nil {
		return false, err
	}
	for _, number := range stored {
		if number < t.Shown {
			if err := v.db.Drop(ctx, t.Schema, t.Rel, number); err != nil {
				return false, err
			}
		}
	}
	for number, g := range t.Generations {
		g.Dropped = g.Dropped || number < t.Shown
	}
	t.Changed()
	return true, nil
}

func (v *views) passedEnd(ctx context.Context, t *apply.Topic, g *apply.Generation) (bool, error) {
	applied, err := v.ledger.Applied(ctx, []string{t.Name})
	if err != nil {
		return false, err
	}
	past := 0
	for _, a := range applied {
		if end, ok := g.Ends[a.Partition]; ok && a.TopicID == t.ID && a.Next > end.Offset {
			past++
		}
	}
	return past >= int(t.Partitions), nil
}

// check asks, after batches and while quiet, whether each view still shows what this loader believes: another loader
// may have moved it on, or have been late and put it back, or somebody has dropped it. What differs is refreshed.
func (v *views) check(ctx context.Context, topics map[string]*apply.Topic) error {
	if time.Since(v.checked) < viewInterval {
		return nil
	}
	v.checked = time.Now()
	var shown map[string]uint32
	err := v.retry(ctx, "read what the views show", func(ctx context.Context) (err error) {
		shown, err = v.db.Shown(ctx)
		return err
	})
	for _, t := range topics {
		if !t.Progress && len(t.Parts) > 0 && err == nil && shown[schemas.ClickHouseView(t.Schema, t.Rel)] != t.Shown {
			t.Outdated = true
		}
	}
	return err
}

const viewInterval = time.Second

// load reads what ClickHouse knows of a topic's generations on all partitions, and what the view shows.
func (v *views) load(ctx context.Context, t *apply.Topic) (stored []ledger.Mark, err error) {
	if stored, err = v.ledger.Marks(ctx, t.ID); err != nil {
		return nil, err
	}
	for _, m := range stored {
		t.Learn(m.Partition, m.Generation, m.Kind, apply.End{Offset: m.Offset, Cut: m.Version})
	}
	shown, err := v.db.ShownOf(ctx, t.Schema, t.Rel)
	if err == nil && t.Shown != shown {
		t.Shown = shown
		t.Changed()
	}
	return stored, err
}
