package avro

import (
	"context"
	"errors"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// IDs are the registry's ids of a table's two schemas.
type IDs struct{ Key, Value int }

// encoder is one relation's compiled encoder. Each record is its key's frame and payload, its value's frame and
// envelope.
//
// A record consists of its image and its seal. The image is what depends on the row alone: the key, before and after,
// and the lists, all with the policies applied. The seal is what is known once the transaction has committed: source,
// op and the time of encoding, which the envelope has between the rows and the lists.
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

	keyFrame, valueFrame []byte
	schema, name         string // of the table
	valueID              int

	// Scratch of the change being encoded.
	at             int64     // its time
	row            cdc.Tuple // the new row with its unchanged values filled in
	text, applied  []byte    // a column's text, before and after its policy
	images         []byte    // of Append
	oldKey, newKey []byte
	lists          lists
}

var _ cdc.TableEncoder = (*encoder)(nil)

// NewEncoder compiles the encoder of a relation: t is its table after the policies, ids are those of KeySchema(t)
// and EnvelopeSchema(t). reread may be nil if no update will need it; one that does is then an
// error.
func NewEncoder(rel *schemas.Relation, t *schemas.Table, topic *cdc.Topic, ids IDs, reread cdc.Rereader) (cdc.TableEncoder, error) {
	e := &encoder{
		table: rel.FullName(), oid: rel.OID, width: len(rel.Columns), topic: topic, reread: reread,
		keySource: make([]bool, len(rel.Columns)), keyFrame: AppendFrame(nil, ids.Key), valueFrame: AppendFrame(nil, ids.Value),
		schema: t.Schema, name: t.Name, valueID: ids.Value,
	}
	if topic.Name != t.Topic || topic.Compacted != t.Compacted || topic.Compacted && !topic.Tombstones || topic.Partitions < 1 {
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
		typ := t.Columns[k].Type
		e.key = append(e.key, keyColumn{column: k, form: keyForm(&typ)})
		e.keySource[t.Columns[k].Source] = true
		if !schemas.KeyInteger(typ) {
			e.columns[k].keyAt = at
		}
		if !t.Columns[k].Key {
			return fmt.Errorf("column %s is in the key but not marked so", t.Columns[k].Name)
		}
	}
	return nil
}

func (e *encoder) Append(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, ch cdc.RowChange) (err error) {
	ch.At = m.CommitTime
	if e.images, err = e.Image(ctx, e.images[:0], ch); err != nil {
		return err
	}
	err = e.Seal(c, m, e.images)
	if cap(e.images) > keepImages {
		e.images = nil
	}
	return err
}

// keepImages is how many bytes of scratch stay after a large row.
const keepImages = 1 << 20

func (e *encoder) Image(ctx context.Context, dst []byte, ch cdc.RowChange) ([]byte, error) {
	out, err := e.encode(ctx, dst, &ch)
	if err != nil {
		return dst, e.failed(err)
	}
	return out, nil
}

// encode decides which records a change becomes, and appends their images.
func (e *encoder) encode(ctx context.Context, dst []byte, ch *cdc.RowChange) ([]byte, error) {
	e.lists.reset()
	e.at = ch.At
	if ch.Op != cdc.OpDelete && len(ch.New) != e.width {
		return nil, e.wrongWidth(ch.New)
	}
	if ch.OldKind != cdc.OldNone && len(ch.Old) != e.width {
		return nil, e.wrongWidth(ch.Old)
	}
	switch ch.Op {
	case cdc.OpCreate, cdc.OpRead:
		return e.appendImage(dst, &record{op: ch.Op, key: ch.New, after: ch.New})
	case cdc.OpDelete:
		if ch.OldKind != cdc.OldKey && ch.OldKind != cdc.OldFull {
			return nil, cdc.Failed("a delete came without its old row").Fix("check the table's REPLICA IDENTITY")
		}
		return e.appendImage(dst, deletion(ch))
	case cdc.OpUpdate:
		return e.update(ctx, dst, ch)
	}
	return nil, fmt.Errorf("op %q is not a row's", byte(ch.Op))
}

func (e *encoder) wrongWidth(t cdc.Tuple) error {
	return fmt.Errorf("a row has %d columns, the relation %d: its definition changed unseen", len(t), e.width)
}

func (e *encoder) failed(err error) error { return fmt.Errorf("encode table %s: %w", e.table, err) }
