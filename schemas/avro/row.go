package avro

import (
	"encoding/binary"
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// column is a carried column, compiled.
type column struct {
	name, field string
	source      int // index into the relation's columns
	nullable    bool
	keyAt       int // index into the key if the key's bytes are the value's, otherwise -1
	wire        schemas.Type
	transform   schemas.Transform
	form        form
}

// keyColumn is a column of the key, compiled. start and end are where its bytes are in the record being encoded.
type keyColumn struct {
	column     int // index into the encoder's columns
	form       form
	start, end int
}

func compileColumn(c *schemas.TableColumn, wire schemas.Type) column {
	typ := c.Type
	if c.Transform == nil {
		typ.OID, typ.Base = wire.OID, wire.Base
	}
	return column{
		name: c.Name, field: c.Field, source: c.Source, nullable: Nullable(c), keyAt: -1, wire: wire, transform: c.Transform, form: formOf(&typ),
	}
}

// The reasons for which a datum cannot be written.
var (
	errNull      = errors.New("NULL in a column that cannot be")
	errUnchanged = errors.New("Postgres did not send its value")
	errDatum     = errors.New("unknown form of a value")
)

// appendValue appends a non-null value in its form, after the column's policy.
func (e *encoder) appendValue(dst []byte, c *column, d *cdc.Datum, f *form) ([]byte, error) {
	switch {
	case d.Kind == cdc.DatumNull:
		return dst, errNull
	case d.Kind == cdc.DatumUnchanged:
		return dst, errUnchanged
	case d.Kind == cdc.DatumTooLarge:
		return dst, cdc.TooLarge("its value of %d bytes is larger than any record may be, and was not read", binary.BigEndian.Uint32(d.Data))
	case d.Kind != cdc.DatumText && d.Kind != cdc.DatumBinary:
		return dst, errDatum
	case c.transform != nil:
		if err := e.apply(c, d); err != nil {
			return dst, err
		}
		return f.text(dst, e.applied)
	case d.Kind == cdc.DatumText:
		return f.text(dst, d.Data)
	}
	return f.fromBinary(dst, d.Data)
}

// apply puts the value after its policy into e.applied, as text.
func (e *encoder) apply(c *column, d *cdc.Datum) (err error) {
	text := d.Data
	if d.Kind == cdc.DatumBinary {
		if e.text, err = pgtext.AppendText(e.text[:0], c.wire, d.Data); err != nil {
			return err
		}
		text = e.text
	}
	e.applied, err = c.transform.Apply(e.applied[:0], text, e.at)
	return err
}

// appendKey appends the key payload and notes where each column's bytes are.
func (e *encoder) appendKey(dst []byte, tuple cdc.Tuple) ([]byte, error) {
	var err error
	for i := range e.key {
		k := &e.key[i]
		c := &e.columns[k.column]
		k.start = len(dst)
		if dst, err = e.appendValue(dst, c, &tuple[c.source], &k.form); err != nil {
			return dst, fmt.Errorf("key column %s: %w", c.name, err)
		}
		k.end = len(dst)
	}
	return dst, nil
}

// rowOf says how a row is written.
type rowOf struct {
	tuple  cdc.Tuple
	fold   bool // unchanged values are null (they are listed)
	beside bool // it is the before-image of a record with both images
	// keyOnly says that columns outside the key are null: their values are not known.
	keyOnly bool
}

// appendRow appends a Value record. The columns of the key are copied from the record's key, which appendKey wrote just
// before.
func (e *encoder) appendRow(dst []byte, r rowOf) ([]byte, error) {
	var err error
	for i := range e.columns {
		c := &e.columns[i]
		if c.keyAt >= 0 {
			k := &e.key[c.keyAt]
			if c.nullable {
				dst = append(dst, branchValue)
			}
			dst = append(dst, dst[k.start:k.end]...)
			continue
		}
		d := &r.tuple[c.source]
		if d.Kind == cdc.DatumNull || d.Kind == cdc.DatumUnchanged && r.fold || r.keyOnly && !e.keySource[c.source] {
			dst = append(dst, branchNull)
			continue
		}
		mark := len(dst)
		if dst, err = e.appendValue(append(dst, branchValue), c, d, &c.form); err == nil {
			continue
		}
		if err != errInexact { //nolint:errorlint // a sentinel of this package, never wrapped
			return dst, fmt.Errorf("column %s: %w", c.name, err)
		}
		dst = append(dst[:mark], branchNull)
		if err = e.noteInexact(i, d, r.beside); err != nil {
			return dst, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return dst, nil
}

// noteInexact keeps the exact text of a value, after its policy.
func (e *encoder) noteInexact(at int, d *cdc.Datum, before bool) (err error) {
	l, c := &e.lists, &e.columns[at]
	start := len(l.texts)
	switch {
	case c.transform != nil:
		l.texts = append(l.texts, e.applied...)
	case d.Kind == cdc.DatumText:
		l.texts = append(l.texts, d.Data...)
	default:
		l.texts, err = pgtext.AppendText(l.texts, c.wire, d.Data)
	}
	l.inexact = append(l.inexact, inexactEntry{column: at, before: before, start: start, end: len(l.texts)})
	return err
}
