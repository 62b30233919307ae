package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
)

// ReadPast gives the highest epoch and generations that ClickHouse has of the pipeline with this prefix. Nothing where load never ran.
func ReadPast(ctx context.Context, conn driver.Conn, database, prefix string) (cdc.HighWater, error) {
	l := &Loader{o: Options{Database: database}, conn: conn}
	var past cdc.HighWater
	for _, q := range []struct {
		sql string
		// table is the name of the first column's value.
		table func(string) string
	}{
		{"SELECT '', max(epoch), toUInt32(0) FROM " + l.raw("complete"), nil},
		{"SELECT topic, toUInt32(bitShiftRight(max(version), 96)), max(generation) FROM " + l.raw("generations") + " GROUP BY topic", func(topic string) string {
			schema, rel, _ := splitTopic(topic, prefix)
			return schema + "." + rel
		}},
		{"SELECT `table`, toUInt32(0), max(generation) FROM " + l.raw("shown") + " GROUP BY `table`", func(table string) string { return table }},
		{"SELECT `table`, toUInt32(0), max(generation) FROM " + l.raw("quarantine") + " GROUP BY `table`", func(table string) string { return table }},
	} {
		err := readPast(ctx, conn, q.sql, func(name string, epoch, generation uint32) {
			if past.Epoch = max(past.Epoch, epoch); q.table != nil {
				past.Observe(q.table(name), generation)
			}
		})
		switch errorCode(err) {
		case codeUnknownTable, codeUnknownDatabase:
			continue
		}
		if err != nil {
			return past, fmt.Errorf("read what ClickHouse knows of the pipeline: %w", withoutMessage(err))
		}
	}
	return past, nil
}

func readPast(ctx context.Context, conn driver.Conn, sql string, row func(name string, epoch, generation uint32)) error {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	for rows.Next() {
		var name string
		var epoch, generation uint32
		if err := rows.Scan(&name, &epoch, &generation); err != nil {
			return err
		}
		row(name, epoch, generation)
	}
	return rows.Err()
}

// withoutMessage is an error without ClickHouse's own message.
func withoutMessage(err error) error {
	if errorCode(err) == 0 {
		return err
	}
	return fmt.Errorf("%s", withoutValues(err))
}
