package verify

import (
	"context"
	"hash/maphash"

	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
	"dirtbike/schemas"
)

// run compares one table: a goroutine reads chunks from Postgres, ahead of the one that waits for ClickHouse and
// compares. Each has its own plan, since plans hold scratch memory.
type run struct {
	*verifier
	name   string
	chunks *reader // of the reading goroutine
	again  *reader // for re-reads
	sink   *sink
	// began is the source's position before the first chunk.
	began cdc.LSN
	// at is the position at the last chunk compared.
	at wait.Position
	// seen holds a hash of every key, only where ClickHouse's keys cannot be looked up in Postgres (plan.hashed).
	seen []uint64
	seed maphash.Seed

	rowsSource, rowsSink, differing int64
}

func (v *verifier) newRun(ctx context.Context, rel *schemas.Relation) (*run, error) {
	if err := v.connect(ctx); err != nil {
		return nil, err
	}
	r := &run{verifier: v, name: rel.FullName(), seed: maphash.MakeSeed()}
	var plans [2]*plan
	for i := range plans {
		var err error
		if plans[i], err = newPlan(rel, v.Prefix, v.Policies); err != nil {
			return nil, &cdc.Problem{Kind: errInexact, Cause: err} // capture refuses it likewise
		}
	}
	var err error
	if r.chunks, err = newReader(ctx, v.reading, plans[0]); err != nil {
		return nil, err
	}
	if r.again, err = newReader(ctx, v.control, plans[1]); err != nil {
		return nil, err
	}
	r.sink = newSink(v.ClickHouse, v.Database, plans[1])
	return r, nil
}

// ahead is how many chunks may wait to be compared; it bounds memory.
const ahead = 2

func (r *run) run(ctx context.Context) (err error) {
	if r.began, err = r.control.InsertLSN(ctx); err != nil {
		return err
	}
	if _, err = r.passed(ctx, r.name, 0); err != nil { // is it exact at all?
		return err
	}
	group, inside := errgroup.WithContext(ctx)
	chunks := make(chan *chunk, ahead)
	group.Go(func() error {
		defer close(chunks)
		return r.read(inside, chunks)
	})
	group.Go(func() error {
		for c := range chunks {
			if err := r.compare(inside, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if r.sink.ordered {
		return nil
	}
	return r.extras(ctx)
}

// chunkRows is larger where keys are looked up: ClickHouse's index is sparse, so that a lookup of scattered keys reads
// most of the table, however few they are.
func (r *run) chunkRows() int {
	if r.sink.ordered {
		return r.ChunkRows
	}
	return 5 * r.ChunkRows
}

// read sends the table's rows, chunk by chunk in the order of its key.
func (r *run) read(ctx context.Context, out chan<- *chunk) error {
	earliest, err := r.sink.earliestYear(ctx)
	if err != nil {
		return err
	}
	limit, after := r.chunkRows(), [][]byte(nil)
	for {
		c := &chunk{after: after}
		err := r.chunks.chunk(ctx, after, limit, func(values [][]byte) error { return c.add(r.chunks.plan, values, earliest) })
		if err != nil {
			return err
		}
		if err := c.end(); err != nil {
			return err
		}
		c.last = !c.full && len(c.rows) < limit
		if c.lsn, err = r.reading.InsertLSN(ctx); err != nil {
			return err
		}
		if err := r.pause(ctx, len(c.rows)); err != nil {
			return err
		}
		select {
		case out <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.last {
			return nil
		}
		after = c.to
		if c.full {
			limit = max(1, len(c.rows))
		}
	}
}

// pause waits as long as reading that many rows may take (Options.RowsPerSecond).
func (r *run) pause(ctx context.Context, rows int) error {
	for rows > 0 {
		n := min(rows, r.limit.Burst())
		if err := r.limit.WaitN(ctx, n); err != nil {
			return err
		}
		rows -= n
	}
	return nil
}

// chunk holds rows of Postgres that follow each other in the order of the key.
type chunk struct {
	// after is the key after which the chunk begins, nil for the first; to is that of its last row.
	after, to [][]byte
	rows      []row
	text      []byte
	// lsn was read after the rows.
	lsn cdc.LSN
	// full says that rows were left out because the chunk had become large, last that nothing follows.
	full, last bool
}

// row says where a row is in chunk.text: text[raw:key] is Postgres' key, text[key:row] the canonical key, text[row:end]
// the canonical row.
type row struct{ raw, key, row, end int }

// chunkBytes bounds a chunk of wide rows.
const chunkBytes = 32 << 20

func (c *chunk) add(p *plan, values [][]byte, earliest int64) (err error) {
	if len(c.text) > chunkBytes {
		c.full = true
		return nil
	}
	at := row{raw: len(c.text)}
	c.text = p.appendRaw(c.text, values)
	at.key = len(c.text)
	if c.text, err = p.appendKey(c.text, values, earliest); err != nil {
		return err
	}
	at.row = len(c.text)
	if c.text, err = p.appendRow(c.text, values, earliest); err != nil {
		return err
	}
	at.end = len(c.text)
	c.rows = append(c.rows, at)
	return nil
}

// end notes the key of the last row.
func (c *chunk) end() error {
	if len(c.rows) == 0 {
		return nil
	}
	parts, err := fields(c.rawKey(len(c.rows) - 1))
	for _, p := range parts {
		c.to = append(c.to, []byte(p.value))
	}
	return err
}

func (c *chunk) rawKey(i int) string { return string(c.text[c.rows[i].raw:c.rows[i].key]) }
func (c *chunk) key(i int) []byte    { return c.text[c.rows[i].key:c.rows[i].row] }
func (c *chunk) row(i int) []byte    { return c.text[c.rows[i].row:c.rows[i].end] }

// candidate is a key whose rows differ at first sight.
type candidate struct {
	// raw is Postgres' text of the key, as fields; empty if only ClickHouse's is known.
	raw string
	// key is the canonical text.
	key string
}

// rawFromKey fills in Postgres' text of a key that came from ClickHouse; no policy is between the two.
func (r *run) rawFromKey(key string) (candidate, error) {
	parts, err := fields(key)
	if err != nil {
		return candidate{}, err
	}
	var raw []byte
	for i, k := range r.again.table.Key {
		text, err := keyText(&r.again.table.Columns[k].Type, parts[i])
		if err != nil {
			return candidate{}, err
		}
		raw = appendField(raw, []byte(text))
	}
	return candidate{string(raw), key}, nil
}

// compare waits until ClickHouse has what the chunk shows, compares, and reads again what differs.
func (r *run) compare(ctx context.Context, c *chunk) error {
	at, err := r.passed(ctx, r.name, c.lsn)
	if err != nil {
		return err
	}
	r.at = wait.Position{Epoch: at.Epoch, LSN: c.lsn}
	var differ []candidate
	if r.sink.ordered {
		differ, err = r.merge(ctx, c)
	} else {
		differ, err = r.match(ctx, c)
	}
	if wait.Missing(err) {
		return cdc.Failed("view %s.%s lacks it or a column", r.Database, schemas.ClickHouseView(r.sink.rel.Schema, r.sink.rel.Name)).Of(errInexact)
	}
	if err != nil {
		return err
	}
	r.rowsSource += int64(len(c.rows))
	if err := r.recheck(ctx, differ); err != nil {
		return err
	}
	r.OnProgress(Progress{Table: r.name, Rows: r.rowsSource})
	return nil
}
