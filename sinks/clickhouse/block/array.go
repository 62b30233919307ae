package block

import (
	"bytes"
	"strconv"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// nullText is the text in `_inexact` of an array that is NULL (rule 31).
var nullText = []byte("NULL")

// array builds Array(Nullable(T)). ClickHouse has no Nullable(Array): NULL and what Avro cannot hold become [],
// distinguished in `_inexact`, which also has the whole text of an array of which an element was saturated.
type array struct {
	nested
	elem             *builder
	name             []byte
	saturated, exact *texts // saturated takes the exact texts of elements outside the element type's bounds
	scratch          []byte
}

func (b *builder) compileArray(elem schemas.Type, name []byte, exact *texts) {
	a := &array{name: name, exact: exact, saturated: newTexts()}
	a.elem = &builder{union: true, source: &schemas.TableColumn{Name: string(name), Type: elem}}
	a.elem.wire, a.elem.nullable = wireType(elem), true
	a.elem.absent = func([]byte, bool) { a.elem.null() }
	a.elem.compile(elem, nil, a.saturated)
	a.items = []run{&a.elem.Column}
	b.vals, b.value = &a.nested, a.value
	b.absent = func(text []byte, is bool) {
		if !is {
			text = nullText
		}
		exact.put(name, text)
		a.close()
	}
}

func (a *array) value(in []byte) (rest []byte, err error) {
	first := a.elem.Rows()
	a.saturated.truncate(0)
	var marks []int // only arrays with such elements allocate
	for {
		var n int64
		if n, in, err = avro.ReadLong(in); err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		if n < 0 { // the block's size in bytes follows
			if _, in, err = avro.ReadLong(in); err != nil {
				return nil, err
			}
			n = -n
		}
		for range n {
			if in, err = a.elem.field(in, nil, false); err != nil {
				return nil, err
			}
			if a.saturated.vals.rows() > len(marks) {
				marks = append(marks, a.elem.Rows()-1)
			}
		}
	}
	a.close()
	if len(marks) > 0 {
		a.exact.put(a.name, a.text(first, marks))
	}
	return in, nil
}

// text writes the array's elements from first on as Postgres does; marks are those whose exact text saturated has.
func (a *array) text(first int, marks []int) []byte {
	temporal := temporalOf(a.elem.source.Type.Kind) // other kinds have no bounds
	a.scratch = append(a.scratch[:0], '{')
	for i := first; i < a.elem.Rows(); i++ {
		if i > first {
			a.scratch = append(a.scratch, ',')
		}
		switch {
		case a.elem.isNull(i):
			a.scratch = append(a.scratch, nullText...)
		case len(marks) > 0 && marks[0] == i:
			a.quote(a.saturated.vals.row(a.saturated.vals.rows() - len(marks)))
			marks = marks[1:]
		default:
			a.quote(temporal.text(nil, a.number(i)))
		}
	}
	a.scratch = append(a.scratch, '}')
	return a.scratch
}

// quote quotes as Postgres' array output does; no temporal text holds a quote or a backslash.
func (a *array) quote(v []byte) {
	if bytes.IndexByte(v, ' ') < 0 {
		a.scratch = append(a.scratch, v...)
		return
	}
	a.scratch = strconv.AppendQuote(a.scratch, string(v))
}

// number is an element within bounds.
func (a *array) number(i int) int64 {
	f := a.elem.vals.(*fixed)
	if f.width == 4 {
		return int64(int32(f.uint32(i))) //nolint:gosec // bits
	}
	return int64(f.uint64(i)) //nolint:gosec // bits
}
