package clickhouse

import (
	"cmp"
	"context"
	"slices"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/table"
)

// Records with `unchanged` (rule 17) take those columns from their base: the latest earlier row of their key. If the
// batch has it, the row is completed when it is taken. Otherwise it is deferred: before the batch is inserted, all
// bases that are missing are read by key in one query per table. That sees every earlier batch, also the one that was
// being inserted while this one was built, because the inserter has one batch at a time.
//
// A record may be small and its base large: when the batch is full, records are deferred although the batch has their
// bases. Its rows of that table are then inserted before bases are read, and a later row of a key makes those before it
// replays.

// resolve completes the deferred records, those of a key in their order. Bases are read for some keys at a time, and
// what is complete is inserted early when it would outgrow a batch: bases may be far larger than the records that lack
// them.
func (i *inserter) resolve(ctx context.Context, b *batch, r *rows) error {
	waiting := r.deferred
	r.deferred = nil
	if r.early && r.count() > 0 {
		if err := i.insertEarly(ctx, b, r); err != nil {
			return err
		}
	}
	slices.SortStableFunc(waiting, func(a, b *deferred) int { return cmp.Compare(a.key, b.key) })
	for len(waiting) > 0 && !r.skipped {
		allowed := i.basesAtOnce.of(r.topic.Name, r.table)
		some, n := firstKeys(waiting, allowed)
		waiting = waiting[len(some):]
		size, err := i.resolveSome(ctx, b, r, some)
		if err != nil {
			return err
		}
		if b.bytes >= i.o.BatchBytes && r.count() > 0 {
			if err := i.insertEarly(ctx, b, r); err != nil {
				return err
			}
		}
		i.basesAtOnce[r.topic.Name] = basesOf{r.table, nextKeys(n, allowed, size, i.o.BatchBytes)}
	}
	return nil
}

// The keys whose bases are held at one time: one until it is known how large they are, then as many as fill a batch.
const (
	keysAtFirst = 1
	keysAtMost  = 2000
)

// basesAtOnce says how many bases fill a batch, as far as is known: by topic, of the generation that was asked last.
type basesAtOnce map[string]basesOf

type basesOf struct {
	storage *table.Table
	keys    int
}

// of gives how many bases of a generation may be read at once.
func (m basesAtOnce) of(topic string, storage *table.Table) int {
	if last := m[topic]; last.storage == storage {
		return last.keys
	}
	return keysAtFirst
}

// firstKeys gives the records of the first keys, as many as are allowed, and counts these keys.
func firstKeys(sorted []*deferred, allowed int) (some []*deferred, keys int) {
	for i := range sorted {
		if i > 0 && sorted[i].key == sorted[i-1].key {
			continue
		}
		if keys == allowed {
			return sorted[:i], keys
		}
		keys++
	}
	return sorted, keys
}

// nextKeys gives how many bases to read after n of them, of those that were allowed, had a size.
func nextKeys(n, allowed int, size, batch int64) int {
	fit := batch * int64(n) / max(size, 1)
	return int(max(min(fit, 4*int64(allowed), keysAtMost), 1))
}

// resolveSome completes the records of some keys, and gives the size of their bases. Of a key only the last row is
// kept: it outranks those before, which may be many, each as large as the base.
func (i *inserter) resolveSome(ctx context.Context, b *batch, r *rows, some []*deferred) (size int64, err error) {
	bases, size, err := i.readBases(ctx, r, some)
	if err != nil {
		return 0, err
	}
	var newest chain
	for n := 0; n < len(some) && !r.skipped; {
		of, _ := firstKeys(some[n:], 1)
		n += len(of)
		newest = chain{spare: newest.spare}
		if err := b.resolveKey(r, of, bases[of[0].key], &newest); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// resolveKey completes the records of one key, each from the row before it.
func (b *batch) resolveKey(r *rows, records []*deferred, base block.Ref, last *chain) error {
	for _, d := range records {
		d.row.Envelope = &d.env
		if err := last.build(r, &base); err != nil {
			return err
		}
		switch apply.OfBase(d.Waiting, &d.env.Meta, base, r.cuts, r.generation.Number, d.span.newest) {
		case apply.Fits:
			last.row, last.base, last.built = &d.row, base, false
		case apply.Drop:
		case apply.Outgrow:
			r.outgrown = true
		case apply.Quarantine:
			b.quarantine(r, lostBase(d.row.Partition, r.topic.Table))
			return nil // all rows are dropped
		}
	}
	if last.row == nil {
		return nil
	}
	return b.complete(r, last.row, last.base)
}

// chain is the newest row of a key, on which its next record builds. It holds two rows in full, however many there
// were.
type chain struct {
	row   *block.Row // nil: there is none yet
	base  block.Ref  // of row
	built bool       // row is in one of the blocks
	spare [2]*block.Block
}

// build makes the row in full, and gives it as the base of the next record. The other block keeps the row's own base.
func (c *chain) build(r *rows, base *block.Ref) error {
	if c.row == nil || c.built {
		return nil
	}
	into := &c.spare[0]
	if c.base.Block == c.spare[0] {
		into = &c.spare[1]
	}
	if *into == nil {
		*into = block.New(r.table.Contract)
	}
	(*into).Reset()
	if err := (*into).Append(c.row, c.base); err != nil {
		return err
	}
	*base, c.built = (*into).Last(), true
	return nil
}

// complete appends a record with its base.
func (b *batch) complete(r *rows, row *block.Row, base block.Ref) error {
	to := r.current()
	before := to.Bytes()
	if err := to.Append(row, base); err != nil {
		return err
	}
	b.grew(r, to.Bytes()-before)
	return nil
}

// lostBase is the reason of a quarantine. A new copy has every row; whether another replica identity would keep records
// from depending on them is not known here, and Postgres refuses it for some tables.
func lostBase(partition int32, table string) string {
	return cdc.Failed("partition %d: a record lacks unchanged columns and the row before it is not there", partition).
		Fix("%s", cdc.ResnapshotCommand(table)).Error()
}

// insertEarly inserts what a table has before the rest of its batch. Offsets follow with the batch, so that a crash
// repeats it.
func (i *inserter) insertEarly(ctx context.Context, b *batch, r *rows) error {
	err := i.widen(ctx, r)
	if err == nil {
		err = i.insert(ctx, r)
	}
	if err != nil {
		return err
	}
	i.count(r)
	b.bytes -= r.bytes
	r.clear()
	return nil
}

// readBases reads the newest stored row of each key.
func (i *inserter) readBases(ctx context.Context, r *rows, waiting []*deferred) (bases map[string]block.Ref, size int64, err error) {
	keys := block.New(r.table.Contract)
	for n, d := range waiting {
		if n > 0 && d.key == waiting[n-1].key {
			continue
		}
		if err := keys.AppendDelete(&block.Row{Envelope: &avro.Envelope{}, Key: d.row.Key}); err != nil {
			return nil, 0, err
		}
	}
	err = i.ofTable(ctx, "read the rows before", func(ctx context.Context) (err error) {
		if bases, size, err = i.db.Newest(ctx, r.table, keys); err == nil {
			return nil
		}
		if again := i.db.Describe(ctx, r.table); again != nil { // another loader may have widened a column
			return again
		}
		return err
	})
	return bases, size, err
}
