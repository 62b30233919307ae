package ledger

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// HighWater gives the highest epoch and generations that ClickHouse has of the pipeline with this prefix; none where a
// loader has never run.
func (l *Ledger) HighWater(ctx context.Context, prefix string) (cdc.HighWater, error) {
	var past cdc.HighWater
	tableOf := func(topic string) string {
		schema, table, _ := schemas.SplitTopic(topic, prefix)
		return schema + "." + table
	}
	for _, q := range []struct {
		sql string
		// table names the table of the first column's value; nil if the row is no table's.
		table func(string) string
	}{
		{"SELECT '', max(epoch), toUInt32(0) FROM " + l.table("complete"), nil},
		{"SELECT topic, toUInt32(bitShiftRight(max(version), 96)), max(generation) FROM " + l.table("generations") + " GROUP BY topic", tableOf},
		{"SELECT `table`, toUInt32(0), max(generation) FROM " + l.table("shown") + " GROUP BY `table`", func(table string) string { return table }},
		{"SELECT `table`, toUInt32(0), max(generation) FROM " + l.table("quarantine") + " GROUP BY `table`", func(table string) string { return table }},
	} {
		_, err := queryIfThere(ctx, l, "what ClickHouse knows of the pipeline", q.sql, func(rows driver.Rows) (none struct{}, err error) {
			var name string
			var epoch, generation uint32
			err = rows.Scan(&name, &epoch, &generation)
			if past.Epoch = max(past.Epoch, epoch); q.table != nil {
				past.Observe(q.table(name), generation)
			}
			return none, err
		})
		if errcode.Of(err) != 0 {
			return past, fmt.Errorf("read what ClickHouse knows of the pipeline: %w", errcode.Explain(err))
		}
		if err != nil {
			return past, err
		}
	}
	return past, nil
}
