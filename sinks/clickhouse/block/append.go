package block

import (
	"errors"
	"fmt"
	"slices"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

var (
	errNoRow   = errors.New("the record has no row. Try: find out who else writes to the topic")
	errLeft    = errors.New("bytes are left over: the record was written with another schema")
	errNoPlace = errors.New("an exact text names a column whose type needs none")
)

// fieldError says which column could not be read, never its value.
func fieldError(f *builder, err error) error {
	return fmt.Errorf("column %s (%s): %w", f.source.Name, f.source.Type.Kind, err)
}

// Append adds a c, u or r record. Columns in its envelope's Unchanged are taken from base, which is required then and
// may be a row of this block. After an error the block is as before.
func (b *Block) Append(r *Row, base Ref) error {
	err := b.appendImage(r, base)
	if err == nil {
		err = b.Finish(r)
	}
	if err != nil {
		b.Undo()
	}
	return err
}

// appendImage appends the fields of a row whose lists are known.
func (b *Block) appendImage(r *Row, base Ref) error {
	in := r.Envelope.After
	if in == nil {
		return errNoRow
	}
	var err error
	for i, f := range b.fields {
		text, exact := exactText(r.Envelope.Inexact, i)
		switch {
		case slices.Contains(r.Envelope.Unchanged, i):
			in, err = b.appendUnchanged(i, in, base)
		case exact && b.exact == nil:
			err = errNoPlace
		default:
			in, err = f.field(in, text, exact)
		}
		if err != nil {
			return fieldError(f, err)
		}
	}
	if len(in) != 0 {
		return errLeft
	}
	return nil
}

// AppendFields opens a row with the fields that in begins with, and returns the rest; Finish or Undo must follow. It is
// for a record whose lists of unchanged and inexact columns are not known yet: if they turn out not to be empty, Undo
// and Append it.
func (b *Block) AppendFields(in []byte) (rest []byte, err error) {
	for _, f := range b.fields {
		if in, err = f.field(in, nil, false); err != nil {
			return nil, fieldError(f, err)
		}
	}
	return in, nil
}

// appendUnchanged skips the field (null by format) and copies the base's value with its exact text.
func (b *Block) appendUnchanged(i int, in []byte, base Ref) (rest []byte, err error) {
	f := b.fields[i]
	if len(in) == 0 || in[0] != 0 || !f.union {
		return nil, errUnion
	}
	before := f.size()
	f.copyRow(&base.Block.fields[i].Column, base.Row)
	b.copied += int64(f.size() - before)
	if b.exact != nil {
		if v, ok := base.Block.exact.find(base.Row, f.source.Name); ok {
			b.exact.put([]byte(f.source.Name), v)
		}
	}
	return in[1:], nil
}

func exactText(list []avro.InexactValue, column int) (text []byte, exact bool) {
	for i := range list {
		if list[i].Column == column {
			return list[i].Text, true
		}
	}
	return nil, false
}

// Finish adds the open row of a c, u or r record. After an error Undo must follow.
func (b *Block) Finish(r *Row) error {
	if err := b.appendKey(r.Key, false); err != nil {
		return err
	}
	b.finish(r, 0)
	return nil
}

// AppendDelete adds a deleted row: its key from the record key, everything else empty. After an error the block is as
// before.
func (b *Block) AppendDelete(r *Row) error {
	if err := b.appendKey(r.Key, true); err != nil {
		b.Undo()
		return err
	}
	for _, f := range b.fields {
		switch {
		case f.source.Key:
		case f.source.NotNull || f.source.Type.Kind == schemas.KindArray:
			f.vals.zero()
		default:
			f.null()
		}
	}
	b.finish(r, 1)
	return nil
}

// appendKey adds what the record key has: the exact integers of date and timestamp columns (rule 31) and, of a deleted
// row, the key columns themselves.
func (b *Block) appendKey(key []byte, deleted bool) (err error) {
	for i, k := range b.keyInts {
		f := b.fields[b.table.Key[i]]
		switch {
		case k != nil:
			var v int64
			if v, key, err = avro.ReadLong(key); err == nil {
				k.vals.(*fixed).put(v)
			}
			if err == nil && deleted {
				f.keyInteger(v)
			}
		case deleted:
			key, err = f.value(key)
		default:
			key, err = b.keySkips[i](key)
		}
		if err != nil {
			return fmt.Errorf("record key: %w", fieldError(f, err))
		}
	}
	if len(key) != 0 {
		return fmt.Errorf("record key: %w", errLeft)
	}
	return nil
}

func (b *Block) finish(r *Row, deleted uint8) {
	if b.exact != nil {
		b.exact.close()
	}
	b.version.put128(r.Envelope.Meta.Position.Halves())
	b.deleted.put8(deleted)
	b.partition.put32(uint32(r.Partition)) //nolint:gosec // never negative
	b.offset.put64(uint64(r.Offset))       //nolint:gosec // never negative
	b.leaf.put32(r.Envelope.Meta.Leaf)
	b.rows++
	b.bytes += b.copied + int64(len(r.Envelope.After)+len(r.Key)) + rowOverhead + int64(len(b.fields))
	b.copied = 0
}

// Undo takes back the open row, however far it came.
func (b *Block) Undo() {
	for _, c := range b.columns {
		c.truncate(b.rows)
	}
	b.copied = 0
}
