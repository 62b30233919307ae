package avro

import (
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Envelope is one record's value, taken apart. Its slices alias the payload it was read from, and are reused by the
// next read into the same Envelope.
type Envelope struct {
	// Before and After are the Avro bytes of the Value record, nil if null: one field per column of the table, in
	// order, each a plain T or a union [null, T] as Nullable says. Before of a delete may have the key alone, and
	// nulls.
	Before, After []byte
	// Meta as it was written. Position is the record's own: for `u` and the second half of a key change the second of
	// the two that an UPDATE takes.
	Meta     cdc.Meta
	Snapshot bool // the row was read by a snapshot, not from the stream
	Op       cdc.Op
	// Unchanged and Reread are indices into the table's columns.
	Unchanged, Reread []int
	Gone              bool // the row was gone when `unchanged` columns were re-read; the record must be skipped
	// Inexact lists the columns of After (of Before, if After is nil) that are null because Avro cannot hold their
	// value; BeforeInexact those of Before when both are there.
	Inexact, BeforeInexact []InexactValue
}

// InexactValue is the exact Postgres text of a column that Avro cannot hold.
type InexactValue struct {
	Column int // an index into the table's columns
	Text   []byte
}

// Reader reads the envelopes of one writer table. It is not safe for concurrent use.
type Reader struct {
	skip   []func(b []byte) ([]byte, error)
	fields map[string]int
}

// NewReader compiles a reader for records that were written with EnvelopeSchema(t).
func NewReader(t *schemas.Table) (*Reader, error) {
	r := &Reader{fields: make(map[string]int, len(t.Columns))}
	for i := range t.Columns {
		c := &t.Columns[i]
		if err := checkType(&c.Type); err != nil {
			return nil, fmt.Errorf("read table %s, column %s: %w", t.FullName(), c.Name, err)
		}
		r.skip = append(r.skip, Skipper(c.Type, Nullable(c)))
		r.fields[c.Field] = i
	}
	return r, nil
}

// Nullable reports whether the column's field is a union [null, T]: all are but key columns of exact types.
func Nullable(c *schemas.TableColumn) bool { return !c.Key || c.Inexact() }

// Fields takes the fields of a row image while they are read, so that their bytes are walked once.
type Fields interface {
	// AppendFields takes the Value record that b begins with, and returns the rest.
	AppendFields(b []byte) (rest []byte, err error)
}

// Envelope reads a payload (without the Confluent header) into e. It allocates nothing once e's slices have grown.
// The payload must be exactly one envelope. On an error e's content is undefined.
//
// after, if it is not nil, takes the fields of the row after. What the record is, and which columns are unchanged or
// inexact, comes after it: after must be able to take them back.
func (r *Reader) Envelope(payload []byte, e *Envelope, after Fields) error {
	b := payload
	var err error
	if e.Before, b, err = r.row(b, nil); err != nil {
		return fmt.Errorf("read envelope, before: %w", err)
	}
	if e.After, b, err = r.row(b, after); err != nil {
		return fmt.Errorf("read envelope, after: %w", err)
	}
	if b, err = readSource(b, e); err != nil {
		return fmt.Errorf("read envelope, source: %w", err)
	}
	if b, err = r.tail(b, e); err != nil {
		return fmt.Errorf("read envelope: %w", err)
	}
	if len(b) != 0 {
		return errors.New("read envelope: bytes are left over: the record was written with another schema")
	}
	return nil
}

// row cuts one nullable Value record off the front, and passes its fields on unless fields is nil.
func (r *Reader) row(b []byte, fields Fields) (row, rest []byte, err error) {
	null, b, err := readUnion(b)
	if err != nil || null {
		return nil, b, err
	}
	if fields == nil {
		rest, err = r.skipFields(b)
	} else {
		rest, err = fields.AppendFields(b)
	}
	if err != nil {
		return nil, nil, err
	}
	n := len(b) - len(rest)
	return b[:n:n], rest, nil
}

func (r *Reader) skipFields(b []byte) (rest []byte, err error) {
	rest = b
	for _, skip := range r.skip {
		if rest, err = skip(rest); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func readSource(b []byte, e *Envelope) (rest []byte, err error) {
	var longs [9]int64
	for i := range longs {
		if i == 6 { // snapshot is between ts_us and generation
			if e.Snapshot, b, err = ReadBool(b); err != nil {
				return nil, err
			}
		}
		if longs[i], b, err = ReadLong(b); err != nil {
			return nil, err
		}
	}
	m := &e.Meta
	m.Position.Epoch, m.LSN = uint32(longs[0]), cdc.LSN(longs[1])                    //nolint:gosec // written as bit patterns
	m.Position.CommitLSN, m.Position.Ordinal = cdc.LSN(longs[2]), uint32(longs[3])   //nolint:gosec // written as bit patterns
	m.XID, m.CommitTime, m.Generation = uint32(longs[4]), longs[5], uint32(longs[6]) //nolint:gosec // written as bit patterns
	m.Controls, m.Leaf = uint32(longs[7]), uint32(longs[8])                          //nolint:gosec // written as bit patterns
	for range 3 {                                                                    // db, schema, table: the schema's properties say them too
		if b, err = skipBytes(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// tail reads everything after `source`.
func (r *Reader) tail(b []byte, e *Envelope) (rest []byte, err error) {
	op, b, err := ReadBytes(b)
	if err != nil {
		return nil, err
	}
	if e.Op, err = parseOp(op); err != nil {
		return nil, err
	}
	if e.Meta.Now, b, err = ReadLong(b); err != nil {
		return nil, err
	}
	if e.Unchanged, b, err = r.columns(b, e.Unchanged[:0]); err != nil {
		return nil, err
	}
	if e.Reread, b, err = r.columns(b, e.Reread[:0]); err != nil {
		return nil, err
	}
	if e.Gone, b, err = ReadBool(b); err != nil {
		return nil, err
	}
	return r.inexact(b, e)
}

func parseOp(b []byte) (cdc.Op, error) {
	if len(b) == 1 {
		switch op := cdc.Op(b[0]); op {
		case cdc.OpCreate, cdc.OpUpdate, cdc.OpDelete, cdc.OpRead:
			return op, nil
		}
	}
	return 0, cdc.Failed("unknown op: written by a newer release?").Fix("upgrade this one")
}

// columns reads an array of field names as indices.
func (r *Reader) columns(b []byte, into []int) (columns []int, rest []byte, err error) {
	rest, err = readItems(b, func(b []byte) ([]byte, error) {
		name, b, err := ReadBytes(b)
		if err != nil {
			return nil, err
		}
		at, ok := r.fields[string(name)]
		if !ok {
			return nil, errors.New("a list names a field that the schema does not have")
		}
		into = append(into, at)
		return b, nil
	})
	return into, rest, err
}

// inexact reads the map of exact texts.
func (r *Reader) inexact(b []byte, e *Envelope) (rest []byte, err error) {
	e.Inexact, e.BeforeInexact = e.Inexact[:0], e.BeforeInexact[:0]
	return readItems(b, func(b []byte) ([]byte, error) {
		name, b, err := ReadBytes(b)
		if err != nil {
			return nil, err
		}
		text, b, err := ReadBytes(b)
		if err != nil {
			return nil, err
		}
		return b, r.addInexact(e, name, text)
	})
}

func (r *Reader) addInexact(e *Envelope, name, text []byte) error {
	list := &e.Inexact
	if len(name) > len(beforePrefix) && string(name[:len(beforePrefix)]) == beforePrefix {
		list, name = &e.BeforeInexact, name[len(beforePrefix):]
	}
	at, ok := r.fields[string(name)]
	if !ok {
		return errors.New("`inexact` names a field that the schema does not have")
	}
	*list = append(*list, InexactValue{Column: at, Text: text})
	return nil
}

// beforePrefix marks an entry of `inexact` that belongs to the before-image of a record with both images; no field name
// holds a dot.
const beforePrefix = "before."
