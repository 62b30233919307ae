package ledger

import (
	"context"
	"math/big"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Cut hides the rows of a generation whose version is not above it (rule 11).
type Cut struct {
	Topic      string
	Generation uint32
	// Leaf is the OID of the partition that was truncated; 0 is the whole table.
	Leaf    uint32
	Version cdc.Position
}

// Cuts gives the highest cut of each leaf of a generation.
func (l *Ledger) Cuts(ctx context.Context, topic string, generation uint32) (map[uint32]cdc.Position, error) {
	sql := "SELECT leaf, max(version) FROM " + l.table("cuts") + cutsOf(topic, generation) + " GROUP BY leaf"
	list, err := query(ctx, l, "cuts", sql, func(rows driver.Rows) (c Cut, err error) {
		var version big.Int
		err = rows.Scan(&c.Leaf, &version)
		c.Version = positionOf(&version)
		return c, err
	})
	cuts := make(map[uint32]cdc.Position, len(list))
	for _, c := range list {
		cuts[c.Leaf] = c.Version
	}
	return cuts, err
}

// CutsSelect is the query, in parentheses, by which a view reads the cuts of its generation: columns leaf and version.
// Its constant row makes aggregates never empty: with aggregate_functions_null_for_empty in a reader's session they
// would be NULL and hide every row.
func (l *Ledger) CutsSelect(topic string, generation uint32) string {
	return "(SELECT toUInt32(0) AS leaf, toUInt128(0) AS version UNION ALL SELECT leaf, version FROM " + l.table("cuts") + cutsOf(topic, generation) + ")"
}

func cutsOf(topic string, generation uint32) string {
	return " WHERE topic = " + schemas.ClickHouseLiteral(topic) + " AND generation = " + strconv.FormatUint(uint64(generation), 10)
}

// WriteCuts stores cuts.
func (l *Ledger) WriteCuts(ctx context.Context, list []Cut) error {
	return insert(ctx, l, "cuts", list, func(c Cut) []any { return []any{c.Topic, c.Generation, c.Leaf, Version(c.Version)} })
}
