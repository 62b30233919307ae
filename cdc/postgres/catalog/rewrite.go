package catalog

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc/postgres"
)

// ALTER TABLE … ALTER COLUMN … TYPE the_same USING … gives rows other values, sends no event, and leaves names and
// types as they were. What it cannot leave is its trace in the catalog: in one transaction the table gets another file
// and the column another description. Each alone is harmless: VACUUM FULL, CLUSTER, TRUNCATE and SET LOGGED change the
// file; SET DEFAULT, SET STATISTICS, SET NOT NULL and GRANT on columns change the description.
//
// Wrongly taken for a rewrite, which only costs a copy: one of each kind between two readings (the first comes after
// the first copy); and VACUUM FULL of a table with a column that was added with a default, which since then was
// dropped. Not seen: what happens while no capture runs, or between its last reading and its end, for the trace is kept
// in memory only.

// trace is what a rewrite by ALTER TABLE changes both parts of.
type trace struct {
	// file is pg_class.relfilenode, columns a fingerprint of the descriptions of the columns that are sent.
	file    uint32
	columns string
}

// tracesSQL must be one statement: both parts of a trace are of one snapshot. A column with a default counts by that
// default's OID, which ALTER COLUMN TYPE always replaces; the others by their row's xmin. (VACUUM FULL writes the row
// of a column that was added with a default, since from then on each row holds the value itself.)
const tracesSQL = `
SELECT c.oid, c.relfilenode, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(
         pg_catalog.format('%s %s %s', a.attnum, d.oid, CASE WHEN d.oid IS NULL THEN a.xmin END), ',' ORDER BY a.attnum), 'UTF8')), 'hex')
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.oid = ANY($1)
GROUP BY c.oid, c.relfilenode`

// readTraces reads the traces of tables, by OID; one that is gone has none.
func readTraces(ctx context.Context, conn *pgx.Conn, tables map[uint32]*known) (map[uint32]trace, error) {
	out := make(map[uint32]trace, len(tables))
	var oid uint32
	var now trace
	return out, postgres.Each(ctx, conn, "pg_attribute", []any{&oid, &now.file, &now.columns}, func() { out[oid] = now },
		tracesSQL, slices.Collect(maps.Keys(tables)))
}

// follow moves the table's trace on, unless the table was rewritten: then it stays, and every later reading says so
// again.
func (k *known) follow(now trace) (rewritten bool) {
	if k.trace.file != now.file && k.trace.columns != now.columns {
		return true
	}
	k.trace = now
	return false
}
