package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/catalog"
	"dirtbike/cdc/replication"
	"dirtbike/cmd/internal/verify"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// Wait returns once ClickHouse is complete up to the source's position at the moment of the call.
func Wait(ctx context.Context, c *config.Config, timeout time.Duration) error {
	relations, err := relations(ctx, c)
	if err != nil {
		return err
	}
	conn, err := ClickHouse(c)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	o := verify.WaitOptions{Source: c.Source.URL.Reveal(), ClickHouse: conn, Database: c.ClickHouse.Database, Timeout: timeout}
	for _, rel := range relations {
		o.Tables = append(o.Tables, rel.FullName())
	}
	return verify.WaitComplete(ctx, o)
}

// Verify compares every captured table, or those named, row by row. progress is told rows done and Postgres' estimate.
func Verify(ctx context.Context, c *config.Config, log *zap.Logger, only []string, progress func(table string, done int64)) (verify.Report, error) {
	all, err := relations(ctx, c)
	if err != nil {
		return verify.Report{}, err
	}
	chosen, err := choose(all, only)
	if err != nil {
		return verify.Report{}, err
	}
	policies, _, err := Policies(c)
	if err != nil {
		return verify.Report{}, err
	}
	conn, err := ClickHouse(c)
	if err != nil {
		return verify.Report{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	return verify.Run(ctx, verify.Options{
		Source: c.Source.URL.Reveal(), ClickHouse: conn, Database: c.ClickHouse.Database, Tables: chosen, Policies: policies,
		Prefix: c.Kafka.Prefix, ChunkRows: c.Verify.ChunkRows, RowsPerSecond: c.Verify.RowsPerSecond, Log: log,
		OnProgress: func(p verify.Progress) { progress(p.Table, p.Rows) },
	})
}

// choose picks the named tables; without names, all.
func choose(all []*schemas.Relation, names []string) ([]*schemas.Relation, error) {
	if len(names) == 0 {
		return all, nil
	}
	byName := map[string]*schemas.Relation{}
	for _, rel := range all {
		byName[rel.FullName()] = rel
	}
	var out []*schemas.Relation
	for _, name := range names {
		rel, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("%w: %s is not captured. Try: the full name, schema.table, of a table that source.tables names", cdc.ErrRefused, name)
		}
		out = append(out, rel)
	}
	return out, nil
}

// relations reads the captured tables from Postgres' catalog.
func relations(ctx context.Context, c *config.Config) ([]*schemas.Relation, error) {
	o, err := pgx.ParseConfig(c.Source.URL.Reveal())
	if err != nil {
		return nil, cdc.ConnectError(err)
	}
	for name, value := range replication.SessionSettings {
		o.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, o)
	if err != nil {
		if err = cdc.ConnectError(err); !errors.Is(err, cdc.ErrRefused) {
			err = fmt.Errorf("%w: %w. Try: see that Postgres runs and source.url is right", cdc.ErrUnreachable, err)
		}
		return nil, err
	}
	defer conn.Close(ctx) // nothing is open on it
	return catalog.Relations(ctx, conn, selection{c}, c.Source.Keys)
}
