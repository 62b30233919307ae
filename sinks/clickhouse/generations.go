package clickhouse

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// generations makes the storage of generations, brings the view of each topic to its newest complete one, and drops
// storage that is not needed any more (rule 13). Any loader may do it at any time: it only replaces a view by one of a
// higher generation. One that was late may put an older view back, which refuses to answer until a check replaces it.
//
// A generation is opened on every partition, copied, and ended on every partition. Changes go to the newest one opened
// on their partition and to the one that the view shows (apply.Goals). Once all ends are in ClickHouse, CREATE OR
// REPLACE VIEW swaps; once every partition is applied past its end, the storage below is dropped. Rejected: EXCHANGE
// TABLES, since two loaders that do it swap back.
type generations struct {
	db          *table.DB
	contracts   *contracts
	quarantines *apply.Quarantines
	retry       retry // waits for what is everybody's
	once        retry // for what is one table's: it does not wait
	log         *zap.Logger
	checked     time.Time // when check last asked
	// taken says what of somebody's has the name of complete_up_to; nil if nothing has.
	taken *cdc.Problem
	// harmLooked is when harmed last asked, harmEvery how often it does.
	harmLooked time.Time
	harmEvery  time.Duration
}

// of gives the generation if its storage is to get records of a contract; nil if it was dropped or its records are
// skipped. A tombstone has no contract (nil): the storage has one.
func (s *generations) of(ctx context.Context, t *apply.Topic, g *apply.Generation, c *contract) (*apply.Generation, error) {
	if g.Dropped || g.Number < t.Shown || s.quarantines.Skips(t.Table, g.Number) {
		return nil, nil
	}
	if g.Table == nil && (c == nil || g.Number < t.NewestGeneration()) { // its columns may be others than this record's
		err := s.once(ctx, "read how the storage is", func(ctx context.Context) error { return s.recover(ctx, t, g) })
		if err != nil && (c == nil || !errors.Is(err, table.ErrNoStorage)) {
			return nil, err
		}
	}
	if c == nil {
		return g, nil
	}
	return g, s.ensure(ctx, t, g, c)
}

// recover finds the contract of storage that an earlier session made.
func (s *generations) recover(ctx context.Context, t *apply.Topic, g *apply.Generation) error {
	id, err := s.db.SchemaID(ctx, t.Schema, t.Rel, g.Number)
	if err != nil {
		return err
	}
	c, err := s.contracts.value(ctx, id)
	if err != nil {
		return err
	}
	return s.ensure(ctx, t, g, c)
}

// ensure makes the generation's storage if needed and learns how it is.
func (s *generations) ensure(ctx context.Context, t *apply.Topic, g *apply.Generation, c *contract) error {
	if g.Table != nil {
		return g.Table.Fits(c.table, c.id)
	}
	return s.once(ctx, "create storage of "+t.Table, func(ctx context.Context) error {
		begun, err := s.begun(ctx, t, g)
		if err != nil {
			return err
		}
		storage := s.db.Create
		if begun {
			storage = s.db.Open
		}
		made, err := storage(ctx, c.table, c.id, g.Number)
		if err != nil {
			return err
		}
		cuts, err := s.db.Ledger.Cuts(ctx, t.Name, g.Number)
		if err != nil {
			return err
		}
		g.Table, g.Cuts = made, g.Cuts.Union(cuts)
		return nil
	})
}

// begun reports whether records of the generation were applied by any loader: then its storage was made, and must not
// be made again without its rows.
func (s *generations) begun(ctx context.Context, t *apply.Topic, g *apply.Generation) (bool, error) {
	if g.Number <= t.Shown {
		return true, nil
	}
	applied, err := s.db.Ledger.Applied(ctx, []string{t.Name})
	if err != nil {
		return false, err
	}
	opens, err := s.db.Ledger.Opens(ctx, []string{t.Name})
	return slices.ContainsFunc(opens, func(m ledger.Mark) bool {
		return m.TopicID == t.ID && m.Generation == g.Number && slices.ContainsFunc(applied, func(a ledger.Applied) bool {
			return a.TopicID == t.ID && a.Partition == m.Partition && a.Next > m.Offset
		})
	}), err
}

// refresh brings the view and the storage of a topic up to date.
func (s *generations) refresh(ctx context.Context, t *apply.Topic) error {
	stored, err := s.load(ctx, t)
	if err != nil {
		return err
	}
	complete := t.Complete(stored)
	newest := t.Shown
	for number := range complete {
		newest = max(newest, number)
	}
	if newest > t.Shown {
		if err := s.show(ctx, t, t.Generation(newest)); err != nil {
			return err
		}
	}
	if t.Shown > 0 {
		if err := s.closeMissing(ctx, t, complete[t.Shown]); err != nil {
			return err
		}
		if err := s.confirm(ctx, t); err != nil {
			return err
		}
	}
	done, err := s.dropOld(ctx, t)
	if err != nil {
		return err
	}
	t.Outdated = !done || t.NewestGeneration() > t.Shown
	return nil
}

// show makes the view read a generation.
func (s *generations) show(ctx context.Context, t *apply.Topic, g *apply.Generation) error {
	if g.Table == nil {
		if err := s.recover(ctx, t, g); err != nil {
			return err
		}
	}
	before, after := t.Shown, g.Number
	if err := s.db.Show(ctx, g.Table, g.Cut()); err != nil {
		if errcode.Of(err) != proto.ErrUnknownTable {
			return err
		}
		shown, again := s.db.ShownOf(ctx, t.View())
		if again != nil || shown <= g.Number {
			return err
		}
		after = shown // another loader was faster, and has dropped this generation
	}
	s.log.Info("generation complete: the view shows it", zap.String("table", t.Table), zap.Uint32("generation", after), zap.Uint32("before", before))
	t.Shown = after
	t.Changed()
	return nil
}

// confirm records that the table has a view, and lifts a quarantine that the generation outlived.
func (s *generations) confirm(ctx context.Context, t *apply.Topic) error {
	if t.Recorded < t.Shown {
		if err := ledger.Write(ctx, s.db.Ledger, ledger.Shown{Table: t.Table, Topic: t.Name, Generation: t.Shown}); err != nil {
			return err
		}
		t.Recorded = t.Shown
	}
	if s.quarantines.Lift(t.Table, t.Shown) {
		t.Changed()
	}
	return s.quarantines.Write(ctx, s.db.Ledger)
}

// closeMissing closes the missing rows from before the cut of the generation that the view shows, and those of former
// topics of the name. It follows the view: a table must not be called exact while the view still lacks a row.
func (s *generations) closeMissing(ctx context.Context, t *apply.Topic, complete bool) error {
	shown := t.Generation(t.Shown)
	if complete { // the view shows a complete copy of this topic
		if err := s.db.Ledger.CloseMissingOfOtherTopics(ctx, t.Table, t.ID); err != nil {
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
	if err := ledger.Write(ctx, s.db.Ledger, found...); err != nil {
		return err
	}
	for _, row := range found {
		delete(t.Parts[row.Partition].Missing, row.Key)
	}
	return nil
}

// dropOld drops the storage of generations below the shown one, once every partition has been applied past its end.
func (s *generations) dropOld(ctx context.Context, t *apply.Topic) (done bool, err error) {
	shown := t.Generations[t.Shown]
	if shown == nil || t.Shown == 1 && len(t.Generations) == 1 {
		return true, nil
	}
	passed, err := s.passedEnd(ctx, t, shown)
	if err != nil || !passed {
		return false, err
	}
	stored, err := s.db.Stored(ctx, t.Schema, t.Rel)
	if err != nil {
		return false, err
	}
	for _, number := range stored {
		if number < t.Shown {
			if err := s.db.Drop(ctx, t.Schema, t.Rel, number); err != nil {
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

func (s *generations) passedEnd(ctx context.Context, t *apply.Topic, g *apply.Generation) (bool, error) {
	applied, err := s.db.Ledger.Applied(ctx, []string{t.Name})
	past, all := int32(0), t.EndsOn(g.Number)
	for id, end := range g.Ends {
		if id < all && (end.Offset == 0 || slices.ContainsFunc(applied, func(a ledger.Applied) bool {
			return a.Partition == id && a.TopicID == t.ID && a.Next >= end.Offset
		})) {
			past++
		}
	}
	return past >= all, err
}

// check asks, after batches and while quiet, whether each view still shows what this loader believes: another loader
// may have put a newer view there or, when late, an older one, or a person has dropped it. What differs is refreshed.
func (s *generations) check(ctx context.Context, topics map[string]*apply.Topic) error {
	if time.Since(s.checked) < viewInterval {
		return nil
	}
	s.checked = time.Now()
	var shown map[string]uint32
	err := s.retry(ctx, "read what the views show", func(ctx context.Context) (err error) {
		var taken *cdc.Problem
		shown, taken, err = s.db.KeepComplete(ctx)
		if taken != nil && s.taken == nil {
			s.log.Warn("the view complete_up_to cannot be made; load goes on, and dirtbike's own verbs do not need it", zap.Error(taken))
		}
		s.taken = taken
		return err
	})
	for _, t := range topics {
		if !t.Progress && len(t.Parts) > 0 && err == nil && shown[t.View()] != t.Shown {
			t.Outdated = true
		}
	}
	return err
}

const viewInterval = time.Second

// load reads what ClickHouse knows of a topic's generations on all partitions, and what the view shows.
func (s *generations) load(ctx context.Context, t *apply.Topic) (stored []ledger.Mark, err error) {
	if stored, err = s.db.Ledger.Marks(ctx, t.ID); err != nil {
		return nil, err
	}
	for _, m := range stored {
		t.Learn(m.Partition, m.Generation, m.Kind, apply.End{Offset: m.Offset, Cut: m.Version})
	}
	shown, err := s.db.ShownOf(ctx, t.View())
	if err == nil && t.Shown != shown {
		t.Shown = shown
		t.Changed()
	}
	return stored, err
}

// notices says what of somebody's has the name of complete_up_to.
func (s *generations) notices() []ledger.Notice {
	if s.taken == nil {
		return nil
	}
	return []ledger.Notice{{Kind: ledger.NoticeTaken, Name: ledger.CompleteName, Reason: s.taken.Error()}}
}
