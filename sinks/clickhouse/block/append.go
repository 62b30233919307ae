package block

import (
	"fmt"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// Append adds a c, u or r record. Columns in its envelope's Unchanged are taken from base, which must be given then and
// may be a row of this block. After an error the block is as before.
func (b *Block) Append(r *Row, base Ref) error {
	err := b.appendRow(r, base)
	if err != nil {
		b.Undo()
	}
	return err
}

func (b *Block) appendRow(r *Row, base Ref) error {
	if r.Envelope.After == nil {
		return errNoRow
	}
	for _, c := range r.Envelope.Unchanged {
		b.isUnchanged[c] = true
	}
	err := b.appendImage(r, base)
	for _, c := range r.Envelope.Unchanged {
		b.isUnchanged[c] = false
	}
	if err != nil {
		return err
	}
	return b.Finish(r)
}

// appendImage appends the fields of a row whose lists are known.
func (b *Block) appendImage(r *Row, base Ref) error {
	in := r.Envelope.After
	var err error
	for i, f := range b.fields {
		if b.isUnchanged[i] {
			if in, err = b.appendUnchanged(f, in, base); err != nil {
				return fieldError(f, err)
			}
			continue
		}
		text, exact := exactText(r.Envelope.Inexact, i)
		if exact && b.exact == nil {
			return fieldError(f, errNoPlace)
		}
		if in, err = f.field(in, text, exact); err != nil {
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
func (b *Block) appendUnchanged(f *builder, in []byte, base Ref) (rest []byte, err error) {
	if len(in) == 0 || in[0] != 0 || !f.union {
		return nil, errUnion
	}
	from := base.Block.builder(f.Name)
	before := f.size()
	f.copyRow(&from.Column, base.Row)
	b.copied += int64(f.size() - before)
	if b.exact != nil {
		if v, ok := base.Block.exact.find(base.Row, f.source.Name); ok {
			b.exact.put(f.source.Name, v)
		}
	}
	return in[1:], nil
}

func (b *Block) builder(name string) *builder {
	for _, f := range b.fields {
		if f.Name == name {
			return f
		}
	}
	panic("block: a base row has no column " + name)
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
	if err := b.appendKeyInts(r.Key); err != nil {
		return err
	}
	b.finish(r, 0)
	return nil
}

// appendKeyInts adds the exact integers of date and timestamp key columns from the record key (rule 31).
func (b *Block) appendKeyInts(key []byte) error {
	var err error
	for i, k := range b.keyInts {
		if k == nil {
			key, err = b.keySkips[i](key)
		} else {
			_, key, err = putKeyInt(k, key)
		}
		if err != nil {
			return fmt.Errorf("record key: %w", err)
		}
	}
	if len(key) != 0 {
		return fmt.Errorf("record key: %w", errLeft)
	}
	return nil
}

func putKeyInt(k *Column, in []byte) (v int64, rest []byte, err error) {
	if v, rest, err = avro.ReadLong(in); err != nil {
		return 0, nil, err
	}
	f := k.vals.(*fixed)
	if f.width == 4 {
		f.put32(uint32(v)) //nolint:gosec // the registered type bounds it
	} else {
		f.put64(uint64(v)) //nolint:gosec // bits
	}
	return v, rest, nil
}

// AppendDelete adds a deleted row: its key from the record key, everything else empty. After an error the block is as
// before.
func (b *Block) AppendDelete(r *Row) error {
	if err := b.appendKey(r.Key); err != nil {
		b.Undo()
		return fmt.Errorf("record key: %w", err)
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

func (b *Block) appendKey(key []byte) error {
	var err error
	for i, at := range b.table.Key {
		if key, err = b.deletedKey(i, b.fields[at], key); err != nil {
			return fieldError(b.fields[at], err)
		}
	}
	if len(key) != 0 {
		return errLeft
	}
	return nil
}

func (b *Block) deletedKey(i int, f *builder, key []byte) (rest []byte, err error) {
	k := b.keyInts[i]
	if k == nil {
		return f.value(key)
	}
	v, rest, err := putKeyInt(k, key)
	if err == nil {
		f.keyInteger(v)
	}
	return rest, err
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
	for i := range b.keyInts {
		if k := b.keyInts[i]; k != nil {
			k.truncate(b.rows)
		}
	}
	for _, f := range b.fields {
		f.truncate(b.rows)
	}
	if b.exact != nil {
		b.exact.truncate(b.rows)
	}
	b.copied = 0
}
