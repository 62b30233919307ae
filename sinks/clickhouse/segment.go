package clickhouse

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// segment is one block of rows of a storage table. It is built by one goroutine and reused after the insert.
type segment struct {
	table *schemas.Table
	// fields has one builder per column of the table, keyInts those of `_key_<col>` in key order (nil where the key column is
	// its own sorting key).
	fields  []*builder
	keyInts []*column
	exact   *texts // nil if no kind needs `_inexact`
	inexact *column

	version, deleted, partition, offset, leaf *fixed
	bookkeeping                               []*column
	keySkips                                  []func([]byte) ([]byte, error)
	rows                                      int
	// bytes is about what the rows take.
	bytes int64
	// isUnchanged marks the columns that the row being appended takes from its base.
	isUnchanged []bool
}

// row is what a segment appends: where it comes from and what the envelope says.
type row struct {
	env       *avro.Envelope
	key       []byte // payload of the record key
	partition int32
	offset    int64
}

// ref names a row that is built or was read.
type ref struct {
	seg *segment
	row int
}

func (r ref) version() cdc.Position {
	return cdc.PositionFromHalves(r.seg.halves(r.row))
}

func (r ref) deleted() bool { return r.seg.deleted.data[r.row] == 1 }
func (r ref) leaf() uint32  { return r.seg.leaf.uint32(r.row) }

func (s *segment) halves(i int) (high, low uint64) {
	b := s.version.row(i)
	return binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b)
}

// needsInexact reports whether the table has a kind whose exact text may be needed (rule 31).
func needsInexact(t *schemas.Table) bool {
	for i := range t.Columns {
		if t.Columns[i].Inexact() {
			return true
		}
	}
	return false
}

func newSegment(t *schemas.Table) *segment {
	s := &segment{table: t, isUnchanged: make([]bool, len(t.Columns))}
	exact := &texts{}
	for i := range t.Columns {
		s.fields = append(s.fields, newBuilder(&t.Columns[i], exact))
	}
	for _, k := range t.Key {
		s.addKey(&t.Columns[k])
	}
	if needsInexact(t) {
		s.exact = exact
		s.inexact = &column{name: schemas.ColInexact, wire: "Map(String, String)", vals: exact}
	}
	s.version = s.own(schemas.ColVersion, "UInt128", 16)
	s.deleted = s.own(schemas.ColDeleted, "UInt8", 1)
	s.partition = s.own(schemas.ColPartition, "UInt32", 4)
	s.offset = s.own(schemas.ColOffset, "UInt64", 8)
	s.leaf = s.own(schemas.ColLeaf, "UInt32", 4)
	return s
}

func (s *segment) addKey(c *schemas.TableColumn) {
	s.keySkips = append(s.keySkips, avro.Skipper(c.Type, false))
	if !schemas.KeyInteger(c.Type) {
		s.keyInts = append(s.keyInts, nil)
		return
	}
	f := &column{name: schemas.ColKeyPrefix + c.Name, wire: "Int64", vals: &fixed{width: 8}}
	if c.Type.Kind == schemas.KindDate {
		f.wire, f.vals = "Int32", &fixed{width: 4}
	}
	s.keyInts = append(s.keyInts, f)
}

func (s *segment) own(name, wire string, width int) *fixed {
	f := &fixed{width: width}
	s.bookkeeping = append(s.bookkeeping, &column{name: name, wire: wire, vals: f})
	return f
}

// columns lists all columns in the storage table's order.
func (s *segment) columns() []*column {
	var out []*column
	for _, k := range s.keyInts {
		if k != nil {
			out = append(out, k)
		}
	}
	for _, b := range s.fields {
		out = append(out, &b.column)
	}
	if s.inexact != nil {
		out = append(out, s.inexact)
	}
	return append(out, s.bookkeeping...)
}

// sortingKey lists the columns of the sorting key, in key order.
func (s *segment) sortingKey() []*column {
	out := make([]*column, len(s.keyInts))
	for i, k := range s.keyInts {
		if out[i] = k; k == nil {
			out[i] = &s.fields[s.table.Key[i]].column
		}
	}
	return out
}

// appendRowKey appends the sorting key of a row as bytes that are equal exactly for equal keys.
func (s *segment) appendRowKey(dst []byte, row int) []byte {
	for i, k := range s.keyInts {
		if k == nil {
			k = &s.fields[s.table.Key[i]].column
		}
		dst = k.vals.appendKey(dst, row)
	}
	return dst
}

func (s *segment) reset() {
	for _, c := range s.columns() {
		c.Reset()
	}
	s.rows, s.bytes = 0, 0
}

// input lists the columns for an insert.
func (s *segment) input() proto.Input {
	var in proto.Input
	for _, c := range s.columns() {
		in = append(in, proto.InputColumn{Name: c.name, Data: c})
	}
	return in
}

var (
	errNoRow   = errors.New("the record has no row. Try: look who else writes to the topic")
	errLeft    = errors.New("bytes are left over: the record was written with another schema")
	errNoPlace = errors.New("an exact text names a column whose type needs none")
)

// append adds a c, u or r record. Columns in r.env.Unchanged are taken from base, which must be given then.
// After an error the segment is unusable.
func (s *segment) append(r *row, base ref) error {
	if r.env.After == nil {
		return errNoRow
	}
	for _, c := range r.env.Unchanged {
		s.isUnchanged[c] = true
	}
	err := s.appendFields(r, base)
	for _, c := range r.env.Unchanged {
		s.isUnchanged[c] = false
	}
	if err != nil {
		return err
	}
	if err := s.appendKeyInts(r.key); err != nil {
		return err
	}
	s.finish(r, 0)
	return nil
}

func (s *segment) appendFields(r *row, base ref) error {
	in := r.env.After
	var err error
	for i, b := range s.fields {
		if s.isUnchanged[i] {
			if in, err = s.appendUnchanged(b, in, base); err != nil {
				return fieldError(b, err)
			}
			continue
		}
		text, exact := exactText(r.env.Inexact, i)
		if exact && s.exact == nil {
			return fieldError(b, errNoPlace)
		}
		if in, err = b.field(in, text, exact); err != nil {
			return fieldError(b, err)
		}
	}
	if len(in) != 0 {
		return errLeft
	}
	return nil
}

// appendUnchanged skips the field (null by format) and copies the base's value with its exact text.
func (s *segment) appendUnchanged(b *builder, in []byte, base ref) (rest []byte, err error) {
	if len(in) == 0 || in[0] != 0 || !b.union {
		return nil, errUnion
	}
	from := base.seg.builder(b.name)
	before := b.size()
	b.copyRow(&from.column, base.row)
	s.bytes += int64(b.size() - before)
	if s.exact != nil {
		if v, ok := base.seg.exact.find(base.row, b.source.Name); ok {
			s.exact.put(b.source.Name, v)
		}
	}
	return in[1:], nil
}

func (s *segment) builder(name string) *builder {
	for _, b := range s.fields {
		if b.name == name {
			return b
		}
	}
	panic("clickhouse: a base row has no column " + name)
}

func exactText(list []avro.InexactValue, column int) (text []byte, exact bool) {
	for i := range list {
		if list[i].Column == column {
			return list[i].Text, true
		}
	}
	return nil, false
}

// appendKeyInts adds the exact integers of date and timestamp key columns from the record key (rule 31).
func (s *segment) appendKeyInts(key []byte) error {
	var err error
	for i, k := range s.keyInts {
		if k == nil {
			if key, err = s.keySkips[i](key); err != nil {
				return fmt.Errorf("record key: %w", err)
			}
			continue
		}
		if _, key, err = putKeyInt(k, key); err != nil {
			return fmt.Errorf("record key: %w", err)
		}
	}
	if len(key) != 0 {
		return fmt.Errorf("record key: %w", errLeft)
	}
	return nil
}

func putKeyInt(k *column, in []byte) (v int64, rest []byte, err error) {
	if v, rest, err = avro.ReadLong(in); err != nil {
		return 0, nil, err
	}
	f := k.vals.(*fixed)
	if f.width == 4 {
		f.put32(uint32(v)) //nolint:gosec // the registered type bounds it
	} else {
		f.put64(uint64(v)) //nolint:gosec // bits
	}
	k.set()
	return v, rest, nil
}

// appendDelete adds a deleted row: its key from the record key, everything else empty.
func (s *segment) appendDelete(r *row) error {
	key := r.key
	var err error
	for i, at := range s.table.Key {
		if key, err = s.deletedKey(i, s.fields[at], key); err != nil {
			return fmt.Errorf("record key: %w", fieldError(s.fields[at], err))
		}
	}
	if len(key) != 0 {
		return fmt.Errorf("record key: %w", errLeft)
	}
	for _, b := range s.fields {
		switch {
		case b.source.Key:
		case b.source.NotNull || b.source.Type.Kind == schemas.KindArray:
			b.zero()
		default:
			b.null()
		}
	}
	s.finish(r, 1)
	return nil
}

func (s *segment) deletedKey(i int, b *builder, key []byte) (rest []byte, err error) {
	if k := s.keyInts[i]; k != nil {
		v, rest, err := putKeyInt(k, key)
		if err == nil {
			b.keyInteger(v)
		}
		return rest, err
	}
	if rest, err = b.value(key); err == nil {
		b.set()
	}
	return rest, err
}

func (s *segment) finish(r *row, deleted uint8) {
	if s.exact != nil {
		s.exact.close()
	}
	s.version.put128(r.env.Meta.Position.Halves())
	s.deleted.put8(deleted)
	s.partition.put32(uint32(r.partition)) //nolint:gosec // never negative
	s.offset.put64(uint64(r.offset))       //nolint:gosec // never negative
	s.leaf.put32(r.env.Meta.Leaf)
	s.rows++
	s.bytes += int64(len(r.env.After)+len(r.key)) + rowOverhead + int64(len(s.fields))
}

// full reports whether the block is large enough to be sent.
func (s *segment) full() bool { return s.rows >= segmentRows || s.bytes >= segmentBytes }

const (
	segmentRows  = 16384
	segmentBytes = 8 << 20
	// rowOverhead is what the bookkeeping columns and the ends of texts take per row, about.
	rowOverhead = 64
)
