package clickhouse

import (
	"context"
	"errors"

	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// storages finds and makes the storage of generations.
type storages struct {
	db          *table.DB
	ledger      *ledger.Ledger
	contracts   *contracts
	quarantines *apply.Quarantines
	retry       retry
}

// of gives the generation if its storage is to get records of a contract; nil if it was dropped or its records are
// skipped. A tombstone has no contract (nil): the storage has one.
func (s *storages) of(ctx context.Context, t *apply.Topic, g *apply.Generation, c *contract) (*apply.Generation, error) {
	if g.Dropped || g.Number < t.Shown || s.quarantines.Skips(t.Table, g.Number) {
		return nil, nil
	}
	if g.Table == nil && (c == nil || g.Number < t.NewestGeneration()) { // its columns may be others than this record's
		err := s.retry(ctx, "read how the storage is", func(ctx context.Context) error { return s.recover(ctx, t, g) })
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
func (s *storages) recover(ctx context.Context, t *apply.Topic, g *apply.Generation) error {
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
func (s *storages) ensure(ctx context.Context, t *apply.Topic, g *apply.Generation, c *contract) error {
	if g.Table != nil {
		return g.Table.Fits(c.table, c.id)
	}
	return s.retry(ctx, "create storage of "+t.Table, func(ctx context.Context) error {
		made, err := s.db.Create(ctx, c.table, c.id, g.Number)
		if err != nil {
			return err
		}
		cuts, err := s.ledger.Cuts(ctx, t.Name, g.Number)
		if err != nil {
			return err
		}
		g.Table, g.Cuts = made, g.Cuts.Union(cuts)
		return nil
	})
}
