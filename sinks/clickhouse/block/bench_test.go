package block

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// claimColumns is a row of 9 columns and about 100 bytes.
func claimColumns() []schemas.Column {
	return []schemas.Column{
		notNull("id", schemas.KindInt8), notNull("patient_id", schemas.KindInt8), notNull("clinic_id", schemas.KindInt4),
		notNull("service_date", schemas.KindDate), notNull("plan", schemas.KindText), notNull("status", schemas.KindEnum),
		{Name: "paid", Type: decimal(12, 2), NotNull: true}, {Name: "denied", Type: decimal(12, 2)}, column("updated", schemas.KindTimestampTZ),
	}
}

func claims(tb testing.TB) *source {
	s := newSource(tb, cdc.IdentityDefault, []int{0}, claimColumns()...)
	for i := range 1000 {
		s.insert(fmt.Sprint(i), fmt.Sprint(i%5000), fmt.Sprint(i%40), "2024-03-05", "ppo", "paid", fmt.Sprintf("%d.25", i%900), "12.50", "2024-03-06 10:11:12.5+00")
	}
	return s
}

// wide is a row of 59 columns.
func wide(tb testing.TB) *source {
	columns, values := []schemas.Column{notNull("id", schemas.KindInt8)}, []string{""}
	for i := range 29 {
		columns = append(columns, column(fmt.Sprintf("t%d", i), schemas.KindText), schemas.Column{Name: fmt.Sprintf("d%d", i), Type: decimal(12, 2)})
		values = append(values, "some words", "123.45")
	}
	s := newSource(tb, cdc.IdentityDefault, []int{0}, columns...)
	for i := range 1000 {
		values[0] = fmt.Sprint(i)
		s.insert(values...)
	}
	return s
}

// BenchmarkColumns turns encoded records into columns: the row path without Kafka and ClickHouse, in the one pass in
// which load does it.
func BenchmarkColumns(b *testing.B) {
	for name, s := range map[string]*source{"claims": claims(b), "wide": wide(b)} {
		b.Run(name, func(b *testing.B) {
			bl := New(s.table)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if bl.Full() {
					bl.Reset()
				}
				s.addInOnePass(bl, i%len(s.rows))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// TestNoAllocations: the row path allocates nothing once a block has grown.
func TestNoAllocations(t *testing.T) {
	s := claims(t)
	b := New(s.table)
	for i := range MaxRows {
		s.addInOnePass(b, i%len(s.rows))
	}
	for _, add := range []func(*Block, int){s.add, s.addInOnePass} {
		i := 0
		b.Reset()
		require.Zero(t, testing.AllocsPerRun(MaxRows/2, func() {
			add(b, i%len(s.rows))
			i++
		}))
	}
}

// source encodes rows as capture does.
type source struct {
	tb     testing.TB
	table  *schemas.Table
	enc    cdc.TableEncoder
	reader *avro.Reader
	chunk  cdc.Chunk
	rows   []Row
	env    avro.Envelope
}

type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }

func newSource(tb testing.TB, identity cdc.ReplicaIdentity, key []int, columns ...schemas.Column) *source {
	rel := &schemas.Relation{OID: 1, Schema: "public", Name: "t", Database: "test", Identity: identity, Columns: columns, Key: key}
	s := &source{tb: tb}
	var err error
	s.table, err = schemas.NewTable(rel, "p.public.t", keepAll{})
	require.NoError(tb, err)
	s.enc, err = avro.NewEncoder(rel, s.table, &cdc.Topic{Name: s.table.Topic, Partitions: 1, Compacted: s.table.Compacted, Tombstones: true}, avro.IDs{Key: 1, Value: 2}, nil)
	require.NoError(tb, err)
	s.reader, err = avro.NewReader(s.table)
	require.NoError(tb, err)
	return s
}

// insert adds a row of Postgres' texts; "\N" is NULL.
func (s *source) insert(values ...string) {
	var t cdc.Tuple
	for _, v := range values {
		d := cdc.Datum{Kind: cdc.DatumText, Data: []byte(v)}
		if v == `\N` {
			d = cdc.Datum{Kind: cdc.DatumNull}
		}
		t = append(t, d)
	}
	at := cdc.Position{Epoch: 1, CommitLSN: 5, Ordinal: uint32(len(s.rows) + 1)}
	require.NoError(s.tb, s.enc.Append(s.tb.Context(), &s.chunk, &cdc.Meta{Position: at}, cdc.RowChange{Op: cdc.OpCreate, New: t}))
	s.rows = append(s.rows, Row{})
}

// row reads record i; what it gives is valid until the next call.
func (s *source) row(i int) *Row {
	if err := s.reader.Envelope(s.chunk.Value(i)[5:], &s.env, nil); err != nil {
		s.tb.Fatal(err)
	}
	s.rows[i] = Row{Envelope: &s.env, Key: s.chunk.Key(i)[5:], Offset: int64(i)}
	return &s.rows[i]
}

func (s *source) add(b *Block, i int) {
	if err := b.Append(s.row(i), Ref{}); err != nil {
		s.tb.Fatal(err)
	}
}

// addInOnePass appends the fields while it reads the envelope.
func (s *source) addInOnePass(b *Block, i int) {
	if err := s.reader.Envelope(s.chunk.Value(i)[5:], &s.env, b); err != nil {
		s.tb.Fatal(err)
	}
	s.rows[i] = Row{Envelope: &s.env, Key: s.chunk.Key(i)[5:], Offset: int64(i)}
	if err := b.Finish(&s.rows[i]); err != nil {
		s.tb.Fatal(err)
	}
}

func column(name string, kind schemas.Kind) schemas.Column {
	return schemas.Column{Name: name, Type: schemas.Type{Kind: kind, Name: kind.String()}}
}

func notNull(name string, kind schemas.Kind) schemas.Column {
	c := column(name, kind)
	c.NotNull = true
	return c
}

func decimal(p, s int) schemas.Type {
	return schemas.Type{Kind: schemas.KindNumeric, Name: "numeric", Precision: p, Scale: s}
}
