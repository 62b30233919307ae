package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
)

// Records with `unchanged` (rule 17) take those columns from their base: the latest earlier row of their key. If the batch has
// it, the row is completed at once. Otherwise the record is deferred: before the batch is inserted, all bases that are
// missing are read by key in one query per table, which sees every earlier batch, since batches are inserted one after another.

// deferred is a record that waits for its base. It owns its bytes.
type deferred struct {
	partition *apply.Partition
	ended     bool // its partition had passed the generation's end
	key       string
	env       avro.Envelope
	row       block.Row
}

// applyUnchanged completes a row from its base, or defers it.
func (l *Loader) applyUnchanged(p *apply.Partition, g *apply.Generation, s *storage, r *block.Row) error {
	key, err := s.recordKey(r.Key)
	if err != nil {
		return err
	}
	_, ended := g.Ends[p.ID]
	base, ok := s.find(key)
	if !ok {
		l.batch.grew(s, s.postpone(p, r, key, ended))
		return nil
	}
	_, err = l.complete(p, s, r, base, ended)
	return err
}

// complete appends a record whose base is known. It gives the row on which the key's next record builds.
func (l *Loader) complete(p *apply.Partition, s *storage, r *block.Row, base block.Ref, ended bool) (block.Ref, error) {
	if r.Envelope.Meta.Position.Compare(base.Version()) <= 0 {
		return base, nil // a replay: what is there is newer, or this very row
	}
	if base.Deleted() || s.isCut(base.Version(), base.Leaf()) {
		l.noBase(p, s, r, ended)
		return base, nil
	}
	seg := s.current()
	before := seg.Bytes()
	if err := seg.Append(r, base); err != nil {
		return block.Ref{}, err
	}
	l.batch.grew(s, seg.Bytes()-before)
	return seg.Last(), nil
}

// noBase quarantines the table, or drops the record while the generation's own copy of the row is still to come, when a TRUNCATE
// that came first through another partition hides it anyway, or when the row is known to be missing (gone.go). A generation below one
// that is open here gets no more changes instead: rows may be missing from it, which is why there is a newer copy.
func (l *Loader) noBase(p *apply.Partition, s *storage, r *block.Row, ended bool) {
	at := r.Envelope.Meta
	if !ended || s.isCut(at.Position, at.Leaf) || p.IsMissing(p.Topic.Generation(s.generation), r.Key, at.Position) {
		return
	}
	if s.generation < p.Newest {
		l.outgrown(p.Topic, p.Topic.Generation(s.generation))
		return
	}
	l.quarantine(p.Topic, s.generation, fmt.Sprintf("partition %d: a record lacks unchanged columns and the row before it is not there. Try: ALTER TABLE %s REPLICA IDENTITY FULL, then "+cdc.ResnapshotCommand(p.Topic.Table),
		p.ID, sqlName(p.Topic.Table)))
}

// recordKey gives the sorting key's bytes of a record key.
func (s *storage) recordKey(key []byte) ([]byte, error) {
	if s.keys == nil {
		s.keys = block.New(s.table)
	}
	s.keys.Reset()
	r := block.Row{Envelope: &avro.Envelope{}, Key: key}
	if err := s.keys.AppendDelete(&r); err != nil {
		s.keys = nil
		return nil, err
	}
	s.scratch = s.keys.AppendSortingKey(s.scratch[:0], 0)
	return s.scratch, nil
}

// find gives the newest row of a key in the batch. The index is made when the first record needs it, and kept up from there.
func (s *storage) find(key []byte) (block.Ref, bool) {
	if s.latest == nil {
		s.latest = map[string]block.Ref{}
	}
	var k []byte
	for i := s.indexedSegments; i < len(s.segments); i++ {
		seg := s.segments[i]
		for ; s.indexedRows < seg.Rows(); s.indexedRows++ {
			k = seg.AppendSortingKey(k[:0], s.indexedRows)
			at := block.Ref{Block: seg, Row: s.indexedRows}
			if old, ok := s.latest[string(k)]; !ok || old.Version().Compare(at.Version()) <= 0 {
				s.latest[string(k)] = at
			}
		}
		if i < len(s.segments)-1 {
			s.indexedSegments, s.indexedRows = i+1, 0
		}
	}
	r, ok := s.latest[string(key)]
	return r, ok
}

// postpone copies a record, which aliases the consumer's memory, and says how many bytes that takes.
func (s *storage) postpone(p *apply.Partition, r *block.Row, key []byte, ended bool) int64 {
	d := deferred{partition: p, ended: ended, key: string(key)}
	d.env = avro.Envelope{
		After: append([]byte(nil), r.Envelope.After...), Meta: r.Envelope.Meta, Op: r.Envelope.Op, Unchanged: append([]int(nil), r.Envelope.Unchanged...),
	}
	for _, v := range r.Envelope.Inexact {
		d.env.Inexact = append(d.env.Inexact, avro.InexactValue{Column: v.Column, Text: append([]byte(nil), v.Text...)})
	}
	d.row = block.Row{Key: append([]byte(nil), r.Key...), Partition: r.Partition, Offset: r.Offset}
	s.deferred = append(s.deferred, d)
	return int64(len(d.env.After)+len(d.row.Key)+len(key)) + deferredOverhead
}

const deferredOverhead = 256

// resolve completes the deferred records, those of a key in their order. Bases are read for some keys at a time, and what is
// complete is inserted early when it would outgrow a batch: bases may be far larger than the records that lack them.
func (l *Loader) resolve(ctx context.Context, s *storage) error {
	keys, byKey := groupByKey(s.deferred)
	s.deferred = nil
	for len(keys) > 0 {
		allowed := orDefault(s.basesAtOnce, keysAtFirst)
		n := min(allowed, len(keys))
		var some []*deferred
		for _, k := range keys[:n] {
			some = append(some, byKey[k]...)
		}
		keys = keys[n:]
		size, err := l.resolveSome(ctx, s, some)
		if err != nil {
			return err
		}
		if l.quarantines.Skips(s.topic.Table, s.generation) {
			return nil // all rows are dropped
		}
		if l.batch.bytes >= l.o.BatchBytes && len(s.segments) > 0 {
			if err := l.insertEarly(ctx, s); err != nil {
				return err
			}
		}
		s.basesAtOnce = nextKeys(n, allowed, size, l.o.BatchBytes)
	}
	return nil
}

// The keys whose bases are held at one time: few until it is known how large they are, then as many as fill a batch.
const (
	keysAtFirst = 32
	keysAtMost  = 2000
)

// nextKeys gives how many bases to read after n of them, of those that were allowed, had a size.
func nextKeys(n, allowed int, size, batch int64) int {
	fit := batch * int64(n) / max(size, 1)
	return int(max(min(fit, 4*int64(allowed), keysAtMost), 1))
}

// groupByKey groups records by key, in the order of each key's first; the records of a key keep their order.
func groupByKey(waiting []deferred) (keys []string, byKey map[string][]*deferred) {
	byKey = map[string][]*deferred{}
	for i := range waiting {
		d := &waiting[i]
		if byKey[d.key] == nil {
			keys = append(keys, d.key)
		}
		byKey[d.key] = append(byKey[d.key], d)
	}
	return keys, byKey
}

// resolveSome completes the records of some keys, and gives the size of their bases.
func (l *Loader) resolveSome(ctx context.Context, s *storage, some []*deferred) (size int64, err error) {
	bases, size, err := l.readBases(ctx, s, some)
	if err != nil {
		return 0, err
	}
	for _, d := range some {
		d.row.Envelope = &d.env
		if base, ok := bases[d.key]; ok {
			bases[d.key], err = l.complete(d.partition, s, &d.row, base, d.ended)
		} else {
			l.noBase(d.partition, s, &d.row, d.ended)
		}
		if err != nil || l.quarantines.Skips(s.topic.Table, s.generation) {
			return 0, err
		}
	}
	return size, nil
}

// insertEarly inserts what a storage has before the rest of its batch. Offsets follow with the batch, so that a crash repeats it.
func (l *Loader) insertEarly(ctx context.Context, s *storage) error {
	if err := l.widen(ctx, s); err != nil {
		return err
	}
	if err := l.insert(ctx, s); err != nil {
		return err
	}
	l.count(s)
	l.batch.bytes -= s.bytes
	s.clear()
	return nil
}

// readBases reads the newest stored row of each key, deleted ones included: FINAL would hide those, and a replayed record could
// not be told from one whose base is missing.
func (l *Loader) readBases(ctx context.Context, s *storage, waiting []*deferred) (bases map[string]block.Ref, size int64, err error) {
	keys := block.New(s.table)
	asked := map[string]bool{}
	for _, d := range waiting {
		if asked[d.key] {
			continue
		}
		asked[d.key] = true
		r := block.Row{Envelope: &avro.Envelope{}, Key: d.row.Key}
		if err := keys.AppendDelete(&r); err != nil {
			return nil, 0, err
		}
	}
	err = l.retry(ctx, "read the rows before", func(ctx context.Context) (err error) {
		if bases, size, err = l.queryBases(ctx, s, keys); err == nil {
			return nil
		}
		if again := l.describe(ctx, s); again != nil { // another loader may have widened a column
			return again
		}
		return err
	})
	return bases, size, err
}

func (l *Loader) queryBases(ctx context.Context, s *storage, keys *block.Block) (bases map[string]block.Ref, size int64, err error) {
	bases = make(map[string]block.Ref, keys.Rows())
	into := s.emptyResult()
	target := into.Results()
	var external []proto.InputColumn
	for _, c := range keys.SortingKey() {
		external = append(external, proto.InputColumn{Name: c.Name, Data: c})
	}
	list := columnList(keys.SortingKey())
	err = l.native.do(ctx, ch.Query{
		Body: "SELECT " + s.readList(into) + " FROM " + s.name + " WHERE (" + list + ") IN (SELECT " + list + " FROM _keys) ORDER BY " +
			schemas.ColVersion + " DESC LIMIT 1 BY " + list,
		ExternalTable: "_keys", ExternalData: external, Result: target,
		OnResult: func(_ context.Context, got proto.Block) error {
			into.Received(got.Rows)
			for i := range got.Rows {
				bases[string(into.AppendSortingKey(nil, i))] = block.Ref{Block: into, Row: i}
			}
			size += into.Bytes()
			if got.Rows > 0 { // the next block gets a segment of its own
				into = s.emptyResult()
				copy(target, into.Results())
			}
			return nil
		},
	})
	return bases, size, err
}

// emptyResult makes a segment whose columns are as the storage's.
func (s *storage) emptyResult() *block.Block {
	seg := block.New(s.table)
	seg.SetNullable(s.nullable)
	return seg
}

// readList lists the columns in the types in which they travel.
func (s *storage) readList(seg *block.Block) string {
	var list []string
	for _, c := range seg.Columns() {
		if name := schemas.ClickHouseIdent(c.Name); s.isLowCardinality(c) {
			list = append(list, "CAST("+name+", "+schemas.ClickHouseLiteral(string(c.Type()))+")")
		} else {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

// isLowCardinality says that the storage column has another type than travels.
func (s *storage) isLowCardinality(c *block.Column) bool {
	for i := range s.table.Columns {
		if t := &s.table.Columns[i].Type; schemas.ClickHouseColumn(s.table.Columns[i].Name) == c.Name {
			return t.Kind == schemas.KindEnum || t.Kind == schemas.KindArray && t.Elem.Kind == schemas.KindEnum
		}
	}
	return false
}

// sqlName is "schema.table" as it stands in Postgres' SQL.
func sqlName(table string) string {
	schema, name, _ := strings.Cut(table, ".")
	return (&schemas.Relation{Schema: schema, Name: name}).SQLName()
}
