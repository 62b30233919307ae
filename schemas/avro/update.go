package avro

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"dirtbike/cdc"
)

// update decides what an UPDATE becomes. Of the two ordinals that it takes, `u` and `c` have the second.
func (e *encoder) update(ctx context.Context, dst []byte, ch *cdc.RowChange) ([]byte, error) {
	row, err := e.fill(ch)
	if err != nil {
		return nil, err
	}
	changed, err := e.keyChanged(ch, row)
	if err != nil {
		return nil, err
	}
	if changed {
		return e.keyChange(ctx, dst, ch, row)
	}
	if len(e.lists.unchanged) > 0 && e.topic.Compacted { // the replica identity was FULL when the generation began
		if err := e.readAgain(ctx, ch.XID, row); err != nil {
			return nil, err
		}
	}
	r := record{op: cdc.OpUpdate, second: true, key: row, after: row, fold: true}
	if ch.OldKind == cdc.OldFull {
		r.before = ch.Old
	}
	return e.appendImage(dst, &r)
}

// keyChange appends the two halves. The lists of the create are made after the delete is written, for they are one
// scratch.
func (e *encoder) keyChange(ctx context.Context, dst []byte, ch *cdc.RowChange, row cdc.Tuple) ([]byte, error) {
	missing := e.lists.unchanged
	e.lists.unchanged = nil
	dst, err := e.appendImage(dst, deletion(ch))
	e.lists.reset()
	e.lists.unchanged = missing
	if err == nil && len(missing) > 0 {
		err = e.readAgain(ctx, ch.XID, row)
	}
	if err != nil {
		return nil, err
	}
	return e.appendImage(dst, &record{op: cdc.OpCreate, second: true, key: row, after: row, fold: true})
}

// deletion is the `d` of an old tuple, at the first ordinal. Unless Postgres sent all of the row, its before-image has
// the key and nulls, because common readers of this envelope take a delete without one for a mistake.
func deletion(ch *cdc.RowChange) *record {
	return &record{op: cdc.OpDelete, key: ch.Old, before: ch.Old, keyOnly: ch.OldKind == cdc.OldKey}
}

// fill resolves unchanged values of the new row from the old one as far as that has them, and lists the carried columns
// that stay unresolved. The row it returns is valid until the next change.
func (e *encoder) fill(ch *cdc.RowChange) (cdc.Tuple, error) {
	if !anyUnchanged(ch.New) {
		return ch.New, nil
	}
	e.row = append(e.row[:0], ch.New...)
	for i := range e.row {
		if e.row[i].Kind == cdc.DatumUnchanged && (ch.OldKind == cdc.OldFull || ch.OldKind == cdc.OldKey && e.keySource[i]) {
			e.row[i] = ch.Old[i]
		}
	}
	for i := range e.columns {
		col := &e.columns[i]
		if e.row[col.source].Kind != cdc.DatumUnchanged {
			continue
		}
		if e.keySource[col.source] {
			return nil, fmt.Errorf("key column %s: Postgres did not send its value", col.name)
		}
		e.lists.unchanged = append(e.lists.unchanged, i)
	}
	return e.row, nil
}

func anyUnchanged(t cdc.Tuple) bool {
	for i := range t {
		if t[i].Kind == cdc.DatumUnchanged {
			return true
		}
	}
	return false
}

// keyChanged compares the encoded keys, unless all values are the same bytes in the same form.
func (e *encoder) keyChanged(ch *cdc.RowChange, row cdc.Tuple) (changed bool, err error) {
	switch ch.OldKind {
	case cdc.OldNone:
		return false, nil
	case cdc.OldKey, cdc.OldFull:
	default:
		return false, fmt.Errorf("unknown kind %q of an old row", byte(ch.OldKind))
	}
	if e.sameKeyData(ch.Old, row) {
		return false, nil
	}
	if e.oldKey, err = e.appendKey(e.oldKey[:0], ch.Old); err != nil {
		return false, err
	}
	if e.newKey, err = e.appendKey(e.newKey[:0], row); err != nil {
		return false, err
	}
	return !bytes.Equal(e.oldKey, e.newKey), nil
}

func (e *encoder) sameKeyData(old, row cdc.Tuple) bool {
	for i := range e.key {
		source := e.columns[e.key[i].column].source
		if old[source].Kind != row[source].Kind || !bytes.Equal(old[source].Data, row[source].Data) {
			return false
		}
	}
	return true
}

// readAgain asks for the unchanged columns of a row whose key changed, or whose topic may be compacted (rule 17), and
// fills them in.
func (e *encoder) readAgain(ctx context.Context, xid uint32, row cdc.Tuple) error {
	if e.reread == nil {
		return errors.New("an update left out values, and there is no connection to read them again")
	}
	sources := make([]int, len(e.lists.unchanged)) // rare: the row has values out of line
	for i, at := range e.lists.unchanged {
		sources[i] = e.columns[at].source
	}
	values, found, err := e.reread.Reread(ctx, e.oid, xid, row, sources)
	if err != nil {
		return fmt.Errorf("read again what an update left out: %w", err)
	}
	if !found {
		e.lists.gone = true
		return nil
	}
	if len(values) != len(sources) {
		return fmt.Errorf("read again what an update left out: %d values came, %d were asked for", len(values), len(sources))
	}
	for i, source := range sources {
		if values[i].Kind == cdc.DatumUnchanged {
			return fmt.Errorf("column %s: %w, even when it was read again", e.columns[e.lists.unchanged[i]].name, errUnchanged)
		}
		row[source] = values[i]
	}
	e.lists.reread, e.lists.unchanged = append(e.lists.reread[:0], e.lists.unchanged...), e.lists.unchanged[:0]
	return nil
}
