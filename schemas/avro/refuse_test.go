package avro

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

const secret = "s3cr3t-row-value"

// TestRefused: an error names the table and the column, never the value, and the chunk holds what it held.
func TestRefused(t *testing.T) {
	ctx := context.Background()
	numericKey := relation(cdc.IdentityFull, 1, col("id", schemas.KindNumeric, decimal(5, 2)), col("n", schemas.KindNumeric, decimal(5, 2)))
	year := col("n", schemas.KindOther)
	other := relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt4), year)
	for name, c := range map[string]struct {
		rel    *schemas.Relation
		reread cdc.Rereader
		call   func(e rows, c *cdc.Chunk) error
		want   string
	}{
		"too few columns":      {notes('d'), nil, func(e rows, c *cdc.Chunk) error { return e.Insert(c, meta(), texts("1")) }, "a row has 1 columns, the relation 3"},
		"too many columns":     {notes('d'), nil, func(e rows, c *cdc.Chunk) error { return e.Read(c, meta(), texts("1", "2", "3", "4")) }, "a row has 4 columns, the relation 3"},
		"no columns in delete": {notes('d'), nil, func(e rows, c *cdc.Chunk) error { return e.Delete(c, meta(), cdc.OldKey, nil) }, "a row has 0 columns"},
		"old row in update": {notes('f'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Update(ctx, c, meta(), cdc.OldFull, texts("1"), texts("1", "a", "x"))
		}, "a row has 1 columns"},
		"kind of an old row": {notes('f'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Update(ctx, c, meta(), 'X', texts("1", "a", "x"), texts("1", "a", "x"))
		}, "unknown kind"},
		"delete without old": {notes('n'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Delete(c, meta(), cdc.OldNone, texts("1", "a", "x"))
		}, "REPLICA IDENTITY"},
		"NULL key": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{null(), text("a"), text("x")})
		}, "key column id: NULL"},
		"unchanged key": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Update(ctx, c, meta(), cdc.OldNone, nil, cdc.Tuple{unchanged(), text("a"), text("x")})
		}, "key column id: Postgres did not send"},
		"unchanged in insert": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{text("1"), text("a"), unchanged()})
		}, "column body: Postgres did not send"},
		"unchanged in read": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Read(c, meta(), cdc.Tuple{text("1"), text("a"), unchanged()})
		}, "column body: Postgres did not send"},
		"unchanged in full": {notes('f'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Delete(c, meta(), cdc.OldFull, cdc.Tuple{text("1"), text("a"), unchanged()})
		}, "column body: Postgres did not send"},
		"unchanged, compacted": {flat('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Update(ctx, c, meta(), cdc.OldNone, nil, cdc.Tuple{text("1"), unchanged()})
		}, "there is no connection to read them again"},
		"unknown datum": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{text("1"), text("a"), {Kind: 'z'}})
		}, "column body: unknown form"},
		"malformed text": {notes('d'), nil, func(e rows, c *cdc.Chunk) error { return e.Insert(c, meta(), texts(secret, "a", "x")) }, "key column id: malformed value"},
		"malformed binary": {notes('d'), nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{raw([]byte(secret)), text("a"), text("x")})
		}, "key column id: binary value of the wrong length"},
		"NaN key":   {numericKey, nil, func(e rows, c *cdc.Chunk) error { return e.Insert(c, meta(), texts("NaN", "1")) }, "key column id: the type cannot hold the value"},
		"precision": {numericKey, nil, func(e rows, c *cdc.Chunk) error { return e.Insert(c, meta(), texts("1", "1000.00")) }, "column n: number has more digits than its declared precision"},
		"scale":     {numericKey, nil, func(e rows, c *cdc.Chunk) error { return e.Insert(c, meta(), texts("1", "1.001")) }, "column n: number has more digits after the decimal point"},
		"precision in binary": {numericKey, nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{text("1"), raw(numeric(0, 0, 0, 1000))})
		}, "column n: number has more digits than its declared precision"},
		"scale in binary": {numericKey, nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{text("1"), raw(numeric(0, 0, 3, 1, 10))})
		}, "column n: number has more digits after the decimal point"},
		"other in binary": {other, nil, func(e rows, c *cdc.Chunk) error {
			return e.Insert(c, meta(), cdc.Tuple{text("1"), raw([]byte(secret))})
		}, "column n: its type's binary form is not decoded"},
		"second half": {numericKey, nil, func(e rows, c *cdc.Chunk) error {
			return e.Update(ctx, c, meta(), cdc.OldFull, texts("1", "1"), texts("2", "1000"))
		}, "column n"},
		"no one to read again":  {notes('d'), nil, keyChange, "no connection to read them again"},
		"failed to read again":  {notes('d'), &rereader{err: errors.New("connection lost")}, keyChange, "read again what an update left out: connection lost"},
		"too few read again":    {notes('d'), &rereader{found: true}, keyChange, "0 values came, 1 were asked for"},
		"unchanged, read again": {notes('d'), &rereader{found: true, values: cdc.Tuple{unchanged()}}, keyChange, "column body: Postgres did not send its value, even when"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.rel, nil, c.reread)
			good := make(cdc.Tuple, len(c.rel.Columns))
			for i := range good {
				good[i] = text("1")
			}
			require.NoError(t, b.enc.Insert(&b.chunk, meta(), good))
			bytes, records := string(b.chunk.Bytes), len(b.chunk.Records)
			err := c.call(b.enc, &b.chunk)
			require.Contains(t, cdc.WriteRemedies(cdc.Explain(err).Try)+cdc.Explain(err).What, c.want)
			require.Contains(t, cdc.Explain(err).What, "public.t")
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, bytes, string(b.chunk.Bytes))
			require.Len(t, b.chunk.Records, records)
			require.NoError(t, b.enc.Insert(&b.chunk, meta(), good), "the encoder goes on")
			require.Equal(t, strings.Repeat("c", records+1), b.ops())
		})
	}
}

// keyChange is one that leaves the body out.
func keyChange(e rows, c *cdc.Chunk) error {
	return e.Update(context.Background(), c, meta(), cdc.OldKey, cdc.Tuple{text("4"), null(), null()}, cdc.Tuple{text("5"), text("b"), unchanged()})
}

// TestNotCompiled: what does not fit together is refused before a row comes.
func TestNotCompiled(t *testing.T) {
	rel := notes('d')
	table, err := schemas.NewTable(rel, "clinic.public.t", policies{})
	require.NoError(t, err)
	good := cdc.Topic{Name: table.Topic, Partitions: 6}
	for name, change := range map[string]func(table *schemas.Table, topic *cdc.Topic){
		"another topic":     func(_ *schemas.Table, topic *cdc.Topic) { topic.Name = "clinic.public.u" },
		"compacted":         func(_ *schemas.Table, topic *cdc.Topic) { topic.Compacted = true },
		"no partitions":     func(_ *schemas.Table, topic *cdc.Topic) { topic.Partitions = 0 },
		"no key":            func(table *schemas.Table, _ *cdc.Topic) { table.Key = nil },
		"key without mark":  func(table *schemas.Table, _ *cdc.Topic) { table.Columns[0].Key = false },
		"foreign column":    func(table *schemas.Table, _ *cdc.Topic) { table.Columns[0].Source = 3 },
		"type without kind": func(table *schemas.Table, _ *cdc.Topic) { table.Columns[0].Type.Kind = schemas.KindInvalid },
	} {
		t.Run(name, func(t *testing.T) {
			tab, topic := *table, good
			tab.Columns = append([]schemas.TableColumn(nil), table.Columns...)
			change(&tab, &topic)
			_, err := NewEncoder(rel, &tab, &topic, testIDs, nil)
			require.Contains(t, cdc.Explain(err).What, "public.t")
		})
	}
}
