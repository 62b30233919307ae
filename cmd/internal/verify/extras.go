package verify

import (
	"context"
	"hash/maphash"
	"slices"

	"dirtbike/cdc"
)

// extras walks ClickHouse's keys and finds those that Postgres does not have. Keys are in no common order, so that this
// is a pass of its own.
func (r *run) extras(ctx context.Context) error {
	ended, err := r.control.InsertLSN(ctx)
	if err != nil {
		return err
	}
	find := r.unknown
	if r.sink.hashed {
		slices.Sort(r.seen)
		find = func(ctx context.Context, keys []string) error { return r.unseen(ctx, keys, ended) }
	}
	batch := make([]string, 0, r.ChunkRows)
	err = r.sink.keys(ctx, func(key string) error {
		r.RowsSink++
		batch = append(batch, key)
		if len(batch) < r.ChunkRows {
			return nil
		}
		err := find(ctx, batch)
		batch = batch[:0]
		return err
	})
	if err != nil {
		return err
	}
	return find(ctx, batch)
}

// unknown asks Postgres which of ClickHouse's keys it does not have.
func (r *run) unknown(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := r.pause(ctx, len(keys)); err != nil {
		return err
	}
	candidates := make([]candidate, len(keys))
	for i, key := range keys {
		var err error
		if candidates[i], err = r.fromKey(key); err != nil {
			return err
		}
	}
	known, err := r.sourceRows(ctx, candidates, true)
	if err != nil {
		return err
	}
	return r.recheck(ctx, slices.DeleteFunc(candidates, func(c candidate) bool {
		_, there := known[c.key]
		return there
	}))
}

// unseen finds keys under a policy that no chunk held: no statement can ask Postgres for them. Such a key counts if it
// is still there once ClickHouse is complete up to the end of the pass, and its version is older than the pass: then
// Postgres had no such row, or had deleted it, while the chunks were read. Rows made during the pass are left to the
// next one.
func (r *run) unseen(ctx context.Context, keys []string, ended cdc.LSN) error {
	missing := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		_, seen := slices.BinarySearch(r.seen, maphash.String(r.seed, key))
		return seen
	})
	if len(missing) == 0 {
		return nil
	}
	epoch, err := r.passed(ctx, r.Table, ended)
	if err != nil {
		return err
	}
	still, err := r.sinkRows(ctx, missing)
	if err != nil {
		return err
	}
	versions, err := r.sink.versions(ctx, missing)
	if err != nil {
		return err
	}
	for _, key := range missing {
		if _, there := still[key]; there && versions[key].Compare(cdc.Position{Epoch: epoch, CommitLSN: r.began}) < 0 {
			r.DifferingKeys++
		}
	}
	return nil
}
