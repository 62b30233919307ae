package avro

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// policies gives each column named in it that transform, withholds those with nil, and keeps the others.
type policies map[string]schemas.Transform

func (p policies) For(rel *schemas.Relation, column int) (schemas.Transform, bool, error) {
	t, named := p[rel.Columns[column].Name]
	return t, !named || t != nil, nil
}

var toastable = []schemas.Kind{
	schemas.KindText, schemas.KindBytea, schemas.KindJSON, schemas.KindJSONB, schemas.KindArray, schemas.KindNumericText, schemas.KindOther,
}

// col makes a column; text and its like are toastable. (Numeric is too in Postgres; these tests' tables keep it
// inline.)
func col(name string, kind schemas.Kind, opts ...func(*schemas.Column)) schemas.Column {
	c := schemas.Column{Name: name, Type: schemas.Type{Kind: kind, Name: kind.String()}}
	c.Toastable = slices.Contains(toastable, kind)
	for _, o := range opts {
		o(&c)
	}
	return c
}

func decimal(p, s int) func(*schemas.Column) {
	return func(c *schemas.Column) {
		c.Type.Name, c.Type.Precision, c.Type.Scale = fmt.Sprintf("numeric(%d,%d)", p, s), p, s
	}
}

func of(elem schemas.Type) func(*schemas.Column) {
	return func(c *schemas.Column) { c.Type.Elem = &elem }
}

// relation makes public.t with the first `key` columns as its key.
func relation(identity cdc.ReplicaIdentity, key int, columns ...schemas.Column) *schemas.Relation {
	r := &schemas.Relation{OID: 4711, Schema: "public", Name: "t", Database: "clinic", Identity: identity, Columns: columns}
	for i := range columns {
		columns[i].Attnum = int16(i + 1)
		if i < key {
			columns[i].NotNull = true
			r.Key = append(r.Key, i)
		}
	}
	return r
}

// bench is an encoder with everything a test needs to read back what it wrote.
type bench struct {
	t      testing.TB
	table  *schemas.Table
	enc    rows
	reader *Reader
	key    avro.Schema
	value  avro.Schema
	chunk  cdc.Chunk
	topic  *cdc.Topic
}

// rows are Append with a change of each kind.
type rows struct{ cdc.TableEncoder }

func (e rows) Insert(c *cdc.Chunk, m *cdc.Meta, row cdc.Tuple) error {
	return e.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpCreate, New: row})
}

func (e rows) Read(c *cdc.Chunk, m *cdc.Meta, row cdc.Tuple) error {
	return e.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpRead, New: row})
}

func (e rows) Update(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old, row cdc.Tuple) error {
	return e.Append(ctx, c, m, cdc.RowChange{Op: cdc.OpUpdate, OldKind: kind, XID: m.XID, Old: old, New: row})
}

func (e rows) Delete(c *cdc.Chunk, m *cdc.Meta, kind cdc.OldKind, old cdc.Tuple) error {
	return e.Append(context.Background(), c, m, cdc.RowChange{Op: cdc.OpDelete, OldKind: kind, Old: old})
}

var testIDs = IDs{Key: 1, Value: 70_000}

func newBench(t testing.TB, rel *schemas.Relation, p policies, reread cdc.Rereader) *bench {
	t.Helper()
	b := &bench{t: t}
	var err error
	b.table, err = schemas.NewTable(rel, schemas.TopicName("clinic", rel.Schema, rel.Name), p)
	require.NoError(t, err)
	topic := &cdc.Topic{Name: b.table.Topic, Partitions: 6, Compacted: b.table.Compacted, Tombstones: b.table.Compacted}
	enc, err := NewEncoder(rel, b.table, topic, testIDs, reread)
	require.NoError(t, err)
	b.enc, b.topic = rows{enc}, topic
	b.reader, err = NewReader(b.table)
	require.NoError(t, err)
	b.value = b.parse(EnvelopeSchema(b.table))
	b.key = b.parse(KeySchema(b.table))
	return b
}

func (b *bench) parse(text string, err error) avro.Schema {
	b.t.Helper()
	require.NoError(b.t, err)
	s, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	require.NoError(b.t, err)
	return s
}

// generic decodes one framed datum with hamba's generic decoder and requires that it is all there is.
func generic(t testing.TB, s avro.Schema, id int, framed []byte) map[string]any {
	t.Helper()
	got, payload, err := SplitFrame(framed)
	require.NoError(t, err)
	require.Equal(t, id, got)
	r := avro.NewReader(nil, 0)
	r.Reset(payload)
	v := r.ReadNext(s)
	require.NoError(t, r.Error)
	r.Read(make([]byte, 1))
	require.Error(t, r.Error, "bytes are left over")
	return v.(map[string]any)
}

// field gives a field of a decoded Value record without the union around it.
func field(row any, name string) any {
	for _, record := range row.(map[string]any) { // the union's branch
		v := record.(map[string]any)[name]
		return branch(v)
	}
	return nil
}

// branch takes a decoded value out of its union; hamba wraps all but null in a map from the branch's name.
func branch(v any) any {
	if m, ok := v.(map[string]any); ok {
		for _, inner := range m {
			return inner
		}
	}
	return v
}

func (b *bench) valueAt(i int) map[string]any {
	b.t.Helper()
	require.Less(b.t, i, len(b.chunk.Records))
	return generic(b.t, b.value, testIDs.Value, b.chunk.Value(i))
}

func (b *bench) keyAt(i int) map[string]any {
	b.t.Helper()
	return generic(b.t, b.key, testIDs.Key, b.chunk.Key(i))
}

func (b *bench) envelopeAt(i int) *Envelope {
	b.t.Helper()
	_, payload, err := SplitFrame(b.chunk.Value(i))
	require.NoError(b.t, err)
	var e Envelope
	require.NoError(b.t, b.reader.Envelope(payload, &e, nil))
	return &e
}

// ops lists the records' ops, with T for a tombstone.
func (b *bench) ops() string {
	var s []byte
	for i := range b.chunk.Records {
		if b.chunk.Records[i].Tombstone {
			s = append(s, 'T')
		} else {
			s = append(s, b.valueAt(i)["op"].(string)...)
		}
	}
	return string(s)
}

func meta() *cdc.Meta {
	return &cdc.Meta{
		Position: cdc.Position{Epoch: 2, CommitLSN: 0x16_B374_D848, Ordinal: 7}, LSN: 0x16_B374_D000, XID: 4_000_000_000,
		CommitTime: 1_700_000_000_123_456, Generation: 3, Controls: 2, Leaf: 0, Now: 1_700_000_001_000_000,
	}
}

func text(s string) cdc.Datum { return cdc.Datum{Kind: cdc.DatumText, Data: []byte(s)} }
func raw(b []byte) cdc.Datum  { return cdc.Datum{Kind: cdc.DatumBinary, Data: b} }
func null() cdc.Datum         { return cdc.Datum{Kind: cdc.DatumNull} }
func unchanged() cdc.Datum    { return cdc.Datum{Kind: cdc.DatumUnchanged} }
func int4(v int32) []byte     { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
func int8(v int64) []byte     { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
func texts(s ...string) (t cdc.Tuple) {
	for _, v := range s {
		t = append(t, text(v))
	}
	return t
}

// numeric makes the binary form: weight, sign, scale and base-10000 digits.
func numeric(weight int16, sign, scale uint16, digits ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(digits)))
	b = binary.BigEndian.AppendUint16(b, uint16(weight))
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, scale)
	for _, d := range digits {
		b = binary.BigEndian.AppendUint16(b, d)
	}
	return b
}
