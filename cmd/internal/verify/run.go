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
	TableReport
	chunks *reader // of the reading goroutine
	again  *reader // for re-reads
	sink   *sink
	// began is the source's position before the first chunk.
	began cdc.LSN
	// epoch and at are the position at the last chunk compared.
	epoch uint32
	at    cdc.LSN
	// seen holds a hash of every key, only where ClickHouse's keys cannot be looked up in Postgres (plan.hashed).
	seen []uint64
	seed maphash.Seed
}

func (r *run) open(ctx context.Context, rel *schemas.Relation) (err error) {
	// pgconn closes a connection when a query is cancelled, as when a table turns out not to be exact while its next
	// chunk is being read
	for i, s := range []**wait.Source{&r.reading, &r.control} {
		if err := wait.Reconnect(ctx, s, r.Source); err != nil {
			return err
		}
		r.pids[i].Store((*s).Conn.PID())
	}
	var plans [2]*plan
	for i := range plans {
		if plans[i], err = newPlan(rel, r.Prefix, r.Policies); err != nil {
			return &cdc.Problem{Kind: errInexact, Cause: err} // capture refuses it likewise
		}
	}
	if r.chunks, err = newReader(ctx, r.reading, plans[0]); err != nil {
		return err
	}
	r.sink = newSink(r.ClickHouse, r.Database, plans[1])
	r.again, err = newReader(ctx, r.control, plans[1])
	return err
}

// ahead is how many chunks may wait to be compared; it bounds memory.
const ahead = 2

func (r *run) run(ctx context.Context, rel *schemas.Relation) (err error) {
	if err = r.open(ctx, rel); err != nil {
		return err
	}
	if r.began, err = r.control.InsertLSN(ctx); err != nil {
		return err
	}
	if _, err = r.passed(ctx, r.Table, 0); err != nil { // does not start if the table is not exact
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
	if err := group.Wait(); err != nil || r.sink.ordered {
		return err
	}
	return r.extras(ctx)
}

// read sends the table's rows, chunk by chunk in the order of its key.
func (r *run) read(ctx context.Context, out chan<- *chunk) error {
	at, err := r.sink.now(ctx)
	if err != nil {
		return err
	}
	limit := r.ChunkRows
	if !r.sink.ordered { // ClickHouse's index is sparse: a lookup of scattered keys reads most of the table, however few they are
		limit *= 5
	}
	for last := (&chunk{}); !last.last; {
		c := &chunk{after: last.to}
		err := r.chunks.chunk(ctx, c.after, limit, func(values [][]byte) error { return c.add(r.chunks.plan, values, at) })
		if err != nil {
			return err
		}
		c.last = !c.full && len(c.rows) < limit
		if len(c.rows) > 0 {
			c.to = c.candidate(len(c.rows) - 1).texts
		}
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
		if c.full {
			limit = max(1, len(c.rows))
		}
		last = c
	}
	return nil
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
	after, to []string
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

func (c *chunk) add(p *plan, values [][]byte, now int64) (err error) {
	if len(c.text) > chunkBytes {
		c.full = true
		return nil
	}
	at := row{raw: len(c.text)}
	for _, k := range p.table.Key {
		c.text = appendField(c.text, values[k])
	}
	at.key = len(c.text)
	if c.text, err = p.append(c.text, p.table.Key, values, now); err != nil {
		return err
	}
	at.row = len(c.text)
	if c.text, err = p.append(c.text, p.all, values, now); err != nil {
		return err
	}
	at.end = len(c.text)
	c.rows = append(c.rows, at)
	return nil
}

func (c *chunk) key(i int) []byte { return c.text[c.rows[i].key:c.rows[i].row] }
func (c *chunk) row(i int) []byte { return c.text[c.rows[i].row:c.rows[i].end] }

func (c *chunk) candidate(i int) candidate {
	out := candidate{key: string(c.key(i))}
	raw, _ := fields(string(c.text[c.rows[i].raw:c.rows[i].key])) // add wrote them, so that they parse
	for _, f := range raw {
		out.texts = append(out.texts, f.value)
	}
	return out
}

// candidate is a key whose rows differ in the first comparison: Postgres' texts of its columns, and the canonical text.
type candidate struct {
	texts []string
	key   string
}

// fromKey fills in Postgres' texts of a key that came from ClickHouse; its columns have no policy but keep.
func (r *run) fromKey(key string) (candidate, error) {
	out := candidate{key: key}
	parts, err := fields(key)
	if err != nil {
		return out, err
	}
	for i, k := range r.again.table.Key {
		text, err := keyText(&r.again.table.Columns[k].Type, parts[i])
		if err != nil {
			return out, err
		}
		out.texts = append(out.texts, text)
	}
	return out, nil
}

// compare waits until ClickHouse has what the chunk shows, compares, and reads again what differs.
func (r *run) compare(ctx context.Context, c *chunk) error {
	epoch, err := r.passed(ctx, r.Table, c.lsn)
	if err != nil {
		return err
	}
	r.epoch, r.at = epoch, c.lsn
	find := r.match
	if r.sink.ordered {
		find = r.merge
	}
	differ, err := find(ctx, c)
	if wait.Missing(err) {
		return cdc.Failed("view %s.%s is missing, or lacks a column", r.Database, r.sink.view).Of(errInexact)
	}
	if err != nil {
		return err
	}
	r.RowsSource += int64(len(c.rows))
	if err := r.recheck(ctx, differ); err != nil {
		return err
	}
	r.OnProgress(r.Table, r.RowsSource)
	return nil
}
