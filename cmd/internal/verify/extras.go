package verify

import (
	"context"
	"hash/maphash"
	"slices"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
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
		r.rowsSink++
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
	known, err := r.sourceKeys(ctx, keys)
	if err != nil {
		return err
	}
	var missing []candidate
	for _, key := range keys {
		if !known[key] {
			c, err := r.rawFromKey(key)
			if err != nil {
				return err
			}
			missing = append(missing, c)
		}
	}
	return r.recheck(ctx, missing)
}

// sourceKeys says which of these keys Postgres has.
func (r *run) sourceKeys(ctx context.Context, keys []string) (map[string]bool, error) {
	lookup, err := r.rawKeys(keys)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(keys))
	var key []byte
	return known, r.again.lookup(ctx, lookup, true, func(values [][]byte) (err error) {
		key = key[:0]
		for i, k := range r.again.table.Key {
			if key, err = r.again.columns[k].append(key, values[i], 0); err != nil {
				return err
			}
		}
		known[string(key)] = true
		return nil
	})
}

// rawKeys gives Postgres' texts of canonical keys.
func (r *run) rawKeys(keys []string) ([][]string, error) {
	out := make([][]string, len(keys))
	for i, key := range keys {
		parts, err := fields(key)
		if err != nil {
			return nil, err
		}
		for n, k := range r.again.table.Key {
			text, err := keyText(&r.again.table.Columns[k].Type, parts[n])
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], text)
		}
	}
	return out, nil
}

// unseen finds keys under a policy that no chunk held: no statement can ask Postgres for them. Such a key counts if it
// is still there once ClickHouse is complete up to the end of the pass, and its version is older than the pass: then
// Postgres had no such row, or had deleted it, while the chunks were read. Rows made during the pass are left to the
// next one.
func (r *run) unseen(ctx context.Context, keys []string, ended cdc.LSN) error {
	var missing []string
	for _, key := range keys {
		if _, ok := slices.BinarySearch(r.seen, maphash.String(r.seed, key)); !ok {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	at, err := r.passed(ctx, r.name, ended)
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
		if _, ok := still[key]; ok && versions[key].Before(wait.Position{Epoch: at.Epoch, LSN: r.began}) {
			r.differing++
		}
	}
	return nil
}
