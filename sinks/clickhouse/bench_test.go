package clickhouse

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// claim is a row of 9 columns and about 100 bytes.
func claim(i int) []string {
	return []string{fmt.Sprint(i), fmt.Sprint(i % 5000), fmt.Sprint(i % 40), "2024-03-05", "ppo", "paid", fmt.Sprintf("%d.25", i%900), "12.50", "2024-03-06 10:11:12.5+00"}
}

func claimColumns() []schemas.Column {
	return []schemas.Column{
		plainColumn("id", schemas.KindInt8, true), plainColumn("patient_id", schemas.KindInt8, true), plainColumn("clinic_id", schemas.KindInt4, true),
		plainColumn("service_date", schemas.KindDate, true), plainColumn("plan", schemas.KindText, true), plainColumn("status", schemas.KindEnum, true),
		{Name: "paid", Type: decimalType(12, 2), NotNull: true}, {Name: "denied", Type: decimalType(12, 2)}, plainColumn("updated", schemas.KindTimestampTZ, false),
	}
}

// BenchmarkColumns turns encoded records into columns: the row path without Kafka and ClickHouse.
func BenchmarkColumns(b *testing.B) {
	add, seg, recs := columnBench(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if seg.full() {
			seg.reset()
		}
		add(seg, recs[i%len(recs)])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func columnBench(tb testing.TB) (add func(*segment, *kgo.Record), seg *segment, recs []*kgo.Record) {
	rel := &schemas.Relation{OID: 1, Schema: "public", Name: "claims", Database: "test", Identity: schemas.IdentityDefault, Columns: claimColumns(), Key: []int{0}}
	tab, err := schemas.NewTable(rel, "p.public.claims", keepAll{})
	require.NoError(tb, err)
	enc, err := avro.NewEncoder(rel, tab, &cdc.Topic{Name: tab.Topic, Partitions: 1, Compacted: tab.Compacted}, avro.IDs{Key: 1, Value: 2, Control: 3}, nil)
	require.NoError(tb, err)
	var chunk cdc.Chunk
	for i := range 1000 {
		require.NoError(tb, enc.Insert(&chunk, &cdc.Meta{Position: cdc.Position{Epoch: 1, CommitLSN: 5, Ordinal: uint32(i + 1)}}, tuple(claim(i)...)))
	}
	for i := range chunk.Records {
		recs = append(recs, &kgo.Record{Key: chunk.Key(i), Value: chunk.Value(i), Offset: int64(i)})
	}
	reader, err := avro.NewReader(tab)
	require.NoError(tb, err)
	env := &avro.Envelope{}
	r := row{env: env}
	return func(seg *segment, rec *kgo.Record) {
		if err := reader.Envelope(rec.Value[5:], env); err != nil {
			tb.Fatal(err)
		}
		r.key, r.offset = rec.Key[5:], rec.Offset
		if err := seg.append(&r, ref{}); err != nil {
			tb.Fatal(err)
		}
	}, newSegment(tab), recs
}

// TestNoAllocations: the row path allocates nothing once a segment has grown.
func TestNoAllocations(t *testing.T) {
	add, seg, recs := columnBench(t)
	for i := range segmentRows {
		add(seg, recs[i%len(recs)])
	}
	i := 0
	seg.reset()
	require.Zero(t, testing.AllocsPerRun(segmentRows/2, func() {
		add(seg, recs[i%len(recs)])
		i++
	}))
}

// BenchmarkLoad loads a backlog of claims from Kafka into ClickHouse, end to end; b.N counts backlogs of 200,000 rows.
func BenchmarkLoad(b *testing.B) {
	const rows = 200_000
	for range b.N {
		b.StopTimer()
		w := newWorld(b)
		tab := w.table("claims", 6, schemas.IdentityDefault, []int{0}, claimColumns()...).live()
		for i := 0; i < rows; {
			x := w.begin()
			for ; i < rows && len(x.chunk.Records) < 20_000; i++ {
				x.insert(tab, claim(i)...)
			}
			x.commit()
		}
		b.StartTimer()
		l := w.load(func(o *Options) { o.Log = nil })
		w.wait()
		b.StopTimer()
		l.stop(b)
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLatency is the time from a commit to its row being queryable, with one row per transaction.
func BenchmarkLatency(b *testing.B) {
	w := newWorld(b)
	tab := w.table("claims", 6, schemas.IdentityDefault, []int{0}, claimColumns()...).live()
	w.load(func(o *Options) { o.Log = nil })
	w.wait()
	b.ResetTimer()
	for i := range b.N {
		w.begin().insert(tab, claim(i)...).commit()
		for {
			n, err := w.tryQuery("SELECT 1 FROM DB.claims WHERE id = " + fmt.Sprint(i))
			require.NoError(b, err)
			if len(n) == 1 {
				break
			}
		}
	}
}
