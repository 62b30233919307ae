package clickhouse

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
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

// BenchmarkLoad loads a backlog of claims from Kafka into ClickHouse, end to end; b.N counts backlogs of 200,000 rows.
func BenchmarkLoad(b *testing.B) {
	const rows = 200_000
	for range b.N {
		b.StopTimer()
		w := newWorld(b)
		tab := w.table("claims", 6, cdc.IdentityDefault, []int{0}, claimColumns()...).live()
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
	tab := w.table("claims", 6, cdc.IdentityDefault, []int{0}, claimColumns()...).live()
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
