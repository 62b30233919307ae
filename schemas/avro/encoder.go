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

// encoder is one relation's compiled encoder. Each record is its key's frame and payload, its value's frame and
// envelope.
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
// EnvelopeSchema(t) and ControlSchema(topic). reread may be nil if no update will need it; one that does is then an
// error.
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
	return e.append(context.Background(), c, m, &cdc.RowChange{Op: cdc.OpCreate, New: row})
}

func (e *encoder) Read(c *cdc.Chunk, m *cdc.Meta, row cdc.Tuple) error {
	return e.append(context.Background(), c, m, &cdc.RowChange{Op: cdc.OpRead, New: row})
}

func (e *encoder) Update(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old, row cdc.Tuple) error {
	return e.append(ctx, c, m, &cdc.RowChange{Op: cdc.OpUpdate, XID: m.XID, OldKind: kind, Old: old, New: row})
}

func (e *encoder) Delete(c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old cdc.Tuple) error {
	return e.append(context.Background(), c, m, &cdc.RowChange{Op: cdc.OpDelete, OldKind: kind, Old: old})
}

// append makes the change's records part of the chunk, or leaves it as it was.
func (e *encoder) append(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, ch *cdc.RowChange) error {
	mark := len(c.Records)
	out := output{dst: c.Bytes, chunk: c, meta: m}
	if err := e.encode(ctx, &out, ch); err != nil {
		c.Records = c.Records[:mark]
		return e.failed(err)
	}
	c.Bytes = out.dst
	return nil
}

// encode decides which records a change becomes, and puts them out.
func (e *encoder) encode(ctx context.Context, out *output, ch *cdc.RowChange) error {
	e.lists.reset()
	switch ch.Op {
	case cdc.OpCreate, cdc.OpRead:
		if err := e.checkWidth(ch.New); err != nil {
			return err
		}
		return e.put(out, &record{op: ch.Op, key: ch.New, after: ch.New})
	case cdc.OpDelete:
		if ch.OldKind != cdc.OldKey && ch.OldKind != cdc.OldFull {
			return cdc.Failed("a delete came without its old row").Fix("check the table's REPLICA IDENTITY")
		}
		if err := e.checkWidth(ch.Old); err != nil {
			return err
		}
		return e.put(out, deletion(ch))
	case cdc.OpUpdate:
		return e.update(ctx, out, ch)
	case cdc.OpTruncate, cdc.OpMarker:
	}
	return fmt.Errorf("op %q is not a row's", byte(ch.Op))
}

func (e *encoder) checkWidth(t cdc.Tuple) error {
	if len(t) != e.width {
		return fmt.Errorf("a row has %d columns, the relation %d: its definition changed unseen", len(t), e.width)
	}
	return nil
}

func (e *encoder) failed(err error) error { return fmt.Errorf("encode table %s: %w", e.table, err) }
