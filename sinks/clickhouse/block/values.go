package block

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// values is a run of non-null values of one type in ClickHouse's native layout. It grows row by row, and one row can be
// copied from another run of the same type.
type values interface {
	rows() int
	size() int
	zero()
	// truncate removes all rows after the first n, and what was appended for a row that did not end.
	truncate(n int)
	copyRow(from values, row int)
	appendKey(dst []byte, row int) []byte
	encode(b *proto.Buffer)
	write(w *proto.Writer)
	decode(r *proto.Reader, rows int) error
}

// fixed holds values of a fixed width, little-endian as ClickHouse stores them.
type fixed struct {
	width int
	data  []byte
}

func (f *fixed) rows() int      { return len(f.data) / f.width }
func (f *fixed) size() int      { return len(f.data) }
func (f *fixed) truncate(n int) { f.data = f.data[:n*f.width] }

func (f *fixed) zero() {
	for range f.width {
		f.data = append(f.data, 0)
	}
}

func (f *fixed) row(i int) []byte { return f.data[i*f.width : (i+1)*f.width] }

func (f *fixed) copyRow(from values, row int) { f.data = append(f.data, from.(*fixed).row(row)...) }

func (f *fixed) appendKey(dst []byte, row int) []byte { return append(dst, f.row(row)...) }
func (f *fixed) encode(b *proto.Buffer)               { b.PutRaw(f.data) }
func (f *fixed) write(w *proto.Writer)                { w.ChainWrite(f.data) }

func (f *fixed) decode(r *proto.Reader, rows int) error {
	n := len(f.data)
	f.data = append(f.data, make([]byte, rows*f.width)...)
	return r.ReadFull(f.data[n:])
}

func (f *fixed) put8(v uint8)   { f.data = append(f.data, v) }
func (f *fixed) put16(v uint16) { f.data = binary.LittleEndian.AppendUint16(f.data, v) }
func (f *fixed) put32(v uint32) { f.data = binary.LittleEndian.AppendUint32(f.data, v) }
func (f *fixed) put64(v uint64) { f.data = binary.LittleEndian.AppendUint64(f.data, v) }

func (f *fixed) put128(high, low uint64) {
	f.put64(low)
	f.put64(high)
}

func (f *fixed) uint64(i int) uint64 { return binary.LittleEndian.Uint64(f.row(i)) }
func (f *fixed) uint32(i int) uint32 { return binary.LittleEndian.Uint32(f.row(i)) }

// text holds strings: each is its length as a varint, then its bytes.
type text struct {
	data []byte
	ends []uint32 // after each row, in data; a block is far smaller than 4 GB
}

func (t *text) rows() int { return len(t.ends) }
func (t *text) size() int { return len(t.data) + 4*len(t.ends) }
func (t *text) zero()     { t.put(nil) }

func (t *text) truncate(n int) {
	t.ends = t.ends[:n]
	t.data = t.data[:t.start(n)]
}

// start is where row i begins in data.
func (t *text) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return t.ends[i-1]
}

func (t *text) put(v []byte) {
	t.data = binary.AppendUvarint(t.data, uint64(len(v)))
	t.data = append(t.data, v...)
	t.ends = append(t.ends, uint32(len(t.data))) //nolint:gosec // bounded by the block's size
}

// framed gives row i with its length in front, row without.
func (t *text) framed(i int) []byte { return t.data[t.start(i):t.ends[i]] }

func (t *text) row(i int) []byte {
	b := t.framed(i)
	_, n := binary.Uvarint(b)
	return b[n:]
}

func (t *text) copyRow(from values, row int) {
	t.data = append(t.data, from.(*text).framed(row)...)
	t.ends = append(t.ends, uint32(len(t.data))) //nolint:gosec // bounded by the block's size
}

func (t *text) appendKey(dst []byte, row int) []byte { return append(dst, t.framed(row)...) }
func (t *text) encode(b *proto.Buffer)               { b.PutRaw(t.data) }
func (t *text) write(w *proto.Writer)                { w.ChainWrite(t.data) }

func (t *text) decode(r *proto.Reader, rows int) error {
	for range rows {
		n, err := r.StrLen()
		if err != nil {
			return err
		}
		t.data = binary.AppendUvarint(t.data, uint64(n)) //nolint:gosec // StrLen is not negative
		at := len(t.data)
		t.data = append(t.data, make([]byte, n)...)
		if err := r.ReadFull(t.data[at:]); err != nil {
			return err
		}
		t.ends = append(t.ends, uint32(len(t.data))) //nolint:gosec // bounded by the query's limit
	}
	return nil
}

// list holds arrays of nullable elements: the running end of each row, then the elements.
type list struct {
	ends []byte // uint64 each
	elem *Column
}

func (l *list) rows() int { return len(l.ends) / 8 }
func (l *list) size() int { return len(l.ends) + l.elem.size() }
func (l *list) zero()     { l.close() }

func (l *list) truncate(n int) {
	l.ends = l.ends[:8*n]
	l.elem.truncate(lastEnd(l.ends))
}

// lastEnd is the number of items in all rows.
func lastEnd(ends []byte) int {
	if len(ends) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(ends[len(ends)-8:])) //nolint:gosec // a count
}

// close ends a row: all elements appended since the last close belong to it.
func (l *list) close() {
	l.ends = binary.LittleEndian.AppendUint64(l.ends, uint64(l.elem.Rows())) //nolint:gosec // a count
}

func (l *list) span(i int) (from, to int) { return lastEnd(l.ends[:8*i]), lastEnd(l.ends[:8*i+8]) }

func (l *list) copyRow(from values, row int) {
	src := from.(*list)
	start, end := src.span(row)
	for i := start; i < end; i++ {
		l.elem.copyRow(src.elem, i)
	}
	l.close()
}

func (l *list) appendKey([]byte, int) []byte { panic("block: an array is no key column") }

func (l *list) encode(b *proto.Buffer) {
	b.PutRaw(l.ends)
	l.elem.EncodeColumn(b)
}

func (l *list) write(w *proto.Writer) {
	w.ChainWrite(l.ends)
	l.elem.WriteColumn(w)
}

func (l *list) decode(r *proto.Reader, rows int) error {
	n := len(l.ends)
	l.ends = append(l.ends, make([]byte, 8*rows)...)
	if err := r.ReadFull(l.ends[n:]); err != nil {
		return err
	}
	if rows == 0 {
		return nil
	}
	return l.elem.DecodeColumn(r, lastEnd(l.ends))
}

// texts holds `_inexact`: maps from column name to exact text.
type texts struct {
	ends       []byte // uint64 each
	keys, vals text
}

func (m *texts) rows() int { return len(m.ends) / 8 }
func (m *texts) size() int { return len(m.ends) + m.keys.size() + m.vals.size() }
func (m *texts) zero()     { m.close() }

func (m *texts) truncate(n int) {
	m.ends = m.ends[:8*n]
	entries := lastEnd(m.ends)
	m.keys.truncate(entries)
	m.vals.truncate(entries)
}

// put adds an entry to the row that the next close ends.
func (m *texts) put(name string, value []byte) {
	m.keys.data = binary.AppendUvarint(m.keys.data, uint64(len(name)))
	m.keys.data = append(m.keys.data, name...)
	m.keys.ends = append(m.keys.ends, uint32(len(m.keys.data))) //nolint:gosec // bounded by the block's size
	m.vals.put(value)
}

func (m *texts) close() {
	m.ends = binary.LittleEndian.AppendUint64(m.ends, uint64(m.keys.rows())) //nolint:gosec // a count
}

// find gives the text that a row holds for a column.
func (m *texts) find(row int, name string) ([]byte, bool) {
	for i := lastEnd(m.ends[:8*row]); i < lastEnd(m.ends[:8*row+8]); i++ {
		if string(m.keys.row(i)) == name {
			return m.vals.row(i), true
		}
	}
	return nil, false
}

func (m *texts) copyRow(values, int)          { panic("block: _inexact is copied by column") }
func (m *texts) appendKey([]byte, int) []byte { panic("block: _inexact is no key column") }

func (m *texts) encode(b *proto.Buffer) {
	b.PutRaw(m.ends)
	m.keys.encode(b)
	m.vals.encode(b)
}

func (m *texts) write(w *proto.Writer) {
	w.ChainWrite(m.ends)
	m.keys.write(w)
	m.vals.write(w)
}

func (m *texts) decode(r *proto.Reader, rows int) error {
	n := len(m.ends)
	m.ends = append(m.ends, make([]byte, 8*rows)...)
	if err := r.ReadFull(m.ends[n:]); err != nil || rows == 0 {
		return err
	}
	total := lastEnd(m.ends)
	if err := m.keys.decode(r, total); err != nil {
		return err
	}
	return m.vals.decode(r, total)
}
