package verify

import (
	"context"

	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
)

// reread holds the rows of both sides when a key is read again; an empty text is no row.
type reread struct {
	source, sink string
	version      cdc.Position
}

// recheck decides about keys that differ in the first comparison (rule 25):
//
//	read Postgres; B = the log's position
//	wait until ClickHouse is complete up to B; read ClickHouse, with the version of the key's newest row
//	the rows are equal                  → no difference
//	both and the version, twice alike   → a difference
//	else                                → it changed meanwhile: read again
//
// Twice, because a commit is in the log, and may be in ClickHouse, a little before Postgres shows it to others. What
// ClickHouse had at the first reading is in the log that the second reading of Postgres
// follows, or in none: a version beyond that excuses nothing.
func (r *run) recheck(ctx context.Context, keys []candidate) error {
	before := map[string]reread{}
	_, err := wait.Poll(ctx, r.Timeout, func() (bool, error) {
		if len(keys) == 0 {
			return true, nil
		}
		rows, err := r.readAgain(ctx, keys)
		if err != nil {
			return false, err
		}
		var open []candidate
		for _, k := range keys {
			now := rows[k.key]
			last, known := before[k.key]
			switch {
			case now.source == now.sink:
			case known && last == now:
				r.DifferingKeys++
			default:
				before[k.key] = now
				open = append(open, k)
			}
		}
		keys = open
		return len(keys) == 0, nil
	})
	if err == nil && len(keys) > 0 {
		r.Log.Warn("keys changed too often to be compared", zap.String("table", r.Table), zap.Int("keys", len(keys)))
		err = cdc.Failed("%d keys of %s changed again and again for %s", len(keys), r.Table, r.Timeout).Of(wait.ErrBehind).Fix("dirtbike verify when fewer rows change")
	}
	return err
}

// readAgain reads the keys on both sides, ClickHouse once it is complete up to where Postgres was read.
func (r *run) readAgain(ctx context.Context, candidates []candidate) (rows map[string]reread, err error) {
	source, err := r.sourceRows(ctx, candidates, false)
	if err != nil {
		return nil, err
	}
	to, err := r.control.InsertLSN(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = r.passed(ctx, r.Table, to); err != nil {
		return nil, err
	}
	keys := make([]string, len(candidates))
	for i, c := range candidates {
		keys[i] = c.key
	}
	sink, err := r.sinkRows(ctx, keys)
	if err != nil {
		return nil, err
	}
	versions, err := r.sink.versions(ctx, keys)
	if wait.Missing(err) {
		err = cdc.Failed("its storage was replaced while it was compared").Of(errInexact)
	}
	rows = make(map[string]reread, len(keys))
	for _, key := range keys {
		rows[key] = reread{source[key], sink[key], versions[key]}
	}
	return rows, err
}

// sourceRows reads rows of Postgres, or only their keys, and gives the texts of the rows, or "", by canonical key.
func (r *run) sourceRows(ctx context.Context, candidates []candidate, onlyKeys bool) (map[string]string, error) {
	at, err := r.sink.now(ctx)
	if err != nil {
		return nil, err
	}
	wanted := make([][]string, len(candidates))
	for i, c := range candidates {
		wanted[i] = c.texts
	}
	out := make(map[string]string, len(candidates))
	var key, row []byte
	return out, r.again.lookup(ctx, wanted, onlyKeys, func(values [][]byte) (err error) {
		if key, err = r.again.append(key[:0], r.again.table.Key, values, at); err != nil {
			return err
		}
		if !onlyKeys {
			row, err = r.again.append(row[:0], r.again.all, values, at)
		}
		out[string(key)] = string(row)
		return err
	})
}

// sinkRows reads rows of ClickHouse by key.
func (r *run) sinkRows(ctx context.Context, keys []string) (map[string]string, error) {
	out := make(map[string]string, len(keys))
	return out, r.sink.lookup(ctx, keys, func(key, row string) error {
		out[key] = row
		return nil
	})
}
