package avro

import (
	"context"
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// IDs are the registry's ids of a table's three schemas.
type IDs struct{ Key, Value, Control int }

// encoder is one relation's compiled encoder. Each record is its key's frame and payload, its value's frame and envelope.
type encoder struct {
	table       string // schema.table, for errors
	oid         uint32
	width       int // columns of the relation
	topic       *cdc.Topic
	reread      cdc.Rereader
	columns     []column
	key         []keyColumn
	keySource   []bool // per column of the relation: belongs to the key
	sourceNames []byte // db, schema, table of `source`, as Avro strings

	keyFrame, valueFrame, controlFrame []byte

	// Scratch of the change being encoded.
	row            cdc.Tuple // the new row with its unchanged values filled in
	text, applied  []byte    // a column's text, before and after its policy
	oldKey, newKey []byte
	lists          lists
}

var _ cdc.TableEncoder = (*encoder)(nil)

// NewEncoder compiles the encoder of a relation: t is its table after the policies, ids are those of KeySchema(t),
// EnvelopeSchema(t) and ControlSchema(topic). reread may be nil if no update will need it; one that does is then an error.
func NewEncoder(rel *schemas.Relation, t *schemas.Table, topic *cdc.Topic, ids IDs, reread cdc.Rereader) (cdc.TableEncoder, error) {
	e := &encoder{
		table: rel.FullName(), oid: rel.OID, width: len(rel.Columns), topic: topic, reread: reread,
		keySource: make([]bool, len(rel.Columns)), keyFrame: AppendFrame(nil, ids.Key), valueFrame: AppendFrame(nil, ids.Value),
		controlFrame: AppendFrame(nil, ids.Control),
	}
	if topic.Name != t.Topic || topic.Compacted != t.Compacted || topic.Partitions < 1 {
		return nil, fmt.Errorf("compile encoder of table %s: topic %s is not its table's", e.table, topic.Name)
	}
	for _, s := range [...]string{t.Database, t.Schema, t.Name} {
		e.sourceNames = appendString(e.sourceNames, s)
	}
	if err := e.compile(rel, t); err != nil {
		return nil, fmt.Errorf("compile encoder of table %s: %w", e.table, err)
	}
	return e, nil
}

func (e *encoder) compile(rel *schemas.Relation, t *schemas.Table) error {
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Source < 0 || c.Source >= e.width {
			return fmt.Errorf("column %s is not the relation's", c.Name)
		}
		if err := checkType(&c.Type); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		e.columns = append(e.columns, compileColumn(c, rel.Columns[c.Source].Type))
	}
	if len(t.Key) == 0 {
		return errors.New("it has no key")
	}
	for at, k := range t.Key {
		e.key = append(e.key, compileKey(k, &t.Columns[k].Type))
		e.keySource[t.Columns[k].Source] = true
		if !schemas.KeyInteger(t.Columns[k].Type) {
			e.columns[k].keyAt = at
		}
		if !t.Columns[k].Key {
			return fmt.Errorf("column %s is in the key but not marked so", t.Columns[k].Name)
		}
	}
	return nil
}

func (e *encoder) Topic() *cdc.Topic { return e.topic }

func (e *encoder) Insert(c *cdc.Chunk, m *cdc.Meta, row cdc.Tuple) error {
	return e.change(c, row, change{meta: m, ordinal: m.Position.Ordinal, op: cdc.OpCreate, key: row, after: row})
}

func (e *encoder) Read(c *cdc.Chunk, m *cdc.Meta, row cdc.Tuple) error {
	return e.change(c, row, change{meta: m, ordinal: m.Position.Ordinal, op: cdc.OpRead, key: row, after: row})
}

func (e *encoder) Delete(c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old cdc.Tuple) error {
	if kind != cdc.OldKey && kind != cdc.OldFull {
		return e.failed(errors.New("a delete came without its old row. Try: look at the table's REPLICA IDENTITY"))
	}
	return e.change(c, old, deletion(m, kind, old))
}

// deletion is the `d` of an old tuple, at the first ordinal.
func deletion(m *cdc.Meta, kind cdc.OldKind, old cdc.Tuple) change {
	ch := change{meta: m, ordinal: m.Position.Ordinal, op: cdc.OpDelete, key: old}
	if kind == cdc.OldFull {
		ch.before = old
	}
	return ch
}

// change appends one change, or restores the chunk.
func (e *encoder) change(c *cdc.Chunk, tuple cdc.Tuple, ch change) error {
	if err := e.checkWidth(tuple); err != nil {
		return err
	}
	e.lists.reset()
	mark := len(c.Records)
	dst, err := e.appendChange(c.Bytes, c, ch)
	return e.finish(c, mark, dst, err)
}

// finish makes appended records part of the chunk, or drops them.
func (e *encoder) finish(c *cdc.Chunk, mark int, dst []byte, err error) error {
	if err != nil {
		c.Records = c.Records[:mark]
		return e.failed(err)
	}
	c.Bytes = dst
	return nil
}

func (e *encoder) checkWidth(t cdc.Tuple) error {
	if len(t) != e.width {
		return e.failed(fmt.Errorf("a row has %d columns, the relation %d: its definition changed unseen", len(t), e.width))
	}
	return nil
}

func (e *encoder) failed(err error) error { return fmt.Errorf("encode table %s: %w", e.table, err) }

func (e *encoder) Update(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old, row cdc.Tuple) error {
	if err := e.checkWidth(row); err != nil {
		return err
	}
	if kind != cdc.OldNone {
		if err := e.checkWidth(old); err != nil {
			return err
		}
	}
	mark := len(c.Records)
	dst, err := e.appendUpdate(ctx, c, m, kind, old, row)
	return e.finish(c, mark, dst, err)
}
