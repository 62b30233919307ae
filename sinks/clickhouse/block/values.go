package block

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// run is a run of values in ClickHouse's native layout. It grows by copies of single rows of another run of its type.
type run interface {
	rows() int
	size() int
	// truncate removes all rows after the first n, and what was appended for a row that did not end.
	truncate(n int)
	copyRow(from run, row int)
	// parts gives put the bytes in the order in which they travel.
	parts(put func([]byte))
	decode(r *proto.Reader, rows int) error
}

// values is a run of non-null values of one type.
type values interface {
	run
	zero()
	appendKey(dst []byte, row int) []byte
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

func (f *fixed) copyRow(from run, row int)            { f.data = append(f.data, from.(*fixed).row(row)...) }
func (f *fixed) appendKey(dst []byte, row int) []byte { return append(dst, f.row(row)...) }
func (f *fixed) parts(put func([]byte))               { put(f.data) }

func (f *fixed) decode(r *proto.Reader, rows int) error {
	n := len(f.data)
	f.data = append(f.data, make([]byte, rows*f.width)...)
	return r.ReadFull(f.data[n:])
}

func (f *fixed) put8(v uint8)   { f.data = append(f.data, v) }
func (f *fixed) put16(v uint16) { f.data = binary.LittleEndian.AppendUint16(f.data, v) }
func (f *fixed) put32(v uint32) { f.data = binary.LittleEndian.AppendUint32(f.data, v) }
func (f *fixed) put64(v uint64) { f.data = binary.LittleEndian.AppendUint64(f.data, v) }

// put appends a signed number of any width up to 8 bytes.
func (f *fixed) put(v int64) {
	switch f.width {
	case 2:
		f.put16(uint16(v)) //nolint:gosec // the registered type bounds it
	case 4:
		f.put32(uint32(v)) //nolint:gosec // the registered type bounds it
	case 8:
		f.put64(uint64(v)) //nolint:gosec // bits
	}
}

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

func (t *text) copyRow(from run, row int) {
	t.data = append(t.data, from.(*text).framed(row)...)
	t.ends = append(t.ends, uint32(len(t.data))) //nolint:gosec // bounded by the block's size
}

func (t *text) appendKey(dst []byte, row int) []byte { return append(dst, t.framed(row)...) }
func (t *text) parts(put func([]byte))               { put(t.data) }

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

// nested holds any number of items per row: the running end of each row, then the runs of the items' parts.
type nested struct {
	ends  []byte // uint64 each
	items []run  // the elements of arrays, or the keys and values of maps
}

func (l *nested) rows() int { return len(l.ends) / 8 }
func (l *nested) zero()     { l.close() }

func (l *nested) size() int {
	n := len(l.ends)
	for _, item := range l.items {
		n += item.size()
	}
	return n
}

// start is the first item of row i.
func (l *nested) start(i int) int {
	if i == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(l.ends[8*i-8:])) //nolint:gosec // a count
}

func (l *nested) truncate(n int) {
	l.ends = l.ends[:8*n]
	for _, item := range l.items {
		item.truncate(l.start(n))
	}
}

// close ends a row: all items appended since the last close belong to it.
func (l *nested) close() {
	l.ends = binary.LittleEndian.AppendUint64(l.ends, uint64(l.items[0].rows())) //nolint:gosec // a count
}

func (l *nested) copyRow(from run, row int) {
	src := from.(*nested)
	for n, item := range l.items {
		for i := src.start(row); i < src.start(row+1); i++ {
			item.copyRow(src.items[n], i)
		}
	}
	l.close()
}

func (l *nested) appendKey([]byte, int) []byte {
	panic("block: neither an array nor _inexact is a key column")
}

func (l *nested) parts(put func([]byte)) {
	put(l.ends)
	for _, item := range l.items {
		item.parts(put)
	}
}

func (l *nested) decode(r *proto.Reader, rows int) error {
	n := len(l.ends)
	l.ends = append(l.ends, make([]byte, 8*rows)...)
	err := r.ReadFull(l.ends[n:])
	for _, item := range l.items {
		if err == nil && rows > 0 {
			err = item.decode(r, l.start(l.rows()))
		}
	}
	return err
}

// texts holds `_inexact`: maps from column name to exact text.
type texts struct {
	nested
	keys, vals text
}

func newTexts() *texts {
	m := &texts{}
	m.items = []run{&m.keys, &m.vals}
	return m
}

// put adds an entry to the row that the next close ends.
func (m *texts) put(name, value []byte) {
	m.keys.put(name)
	m.vals.put(value)
}

// find gives the text that a row holds for a column.
func (m *texts) find(row int, name string) ([]byte, bool) {
	for i := m.start(row); i < m.start(row+1); i++ {
		if string(m.keys.row(i)) == name {
			return m.vals.row(i), true
		}
	}
	return nil, false
}
