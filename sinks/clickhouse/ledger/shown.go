package ledger

import (
	"context"
	"strconv"

	"dirtbike/schemas"
)

// Shown says which generation a table's view shows.
type Shown struct {
	// Table is the real name "schema.table".
	Table      string
	Topic      string
	Generation uint32
}

// WriteShown stores that a view shows a generation.
func (l *Ledger) WriteShown(ctx context.Context, s Shown) error {
	return insert(ctx, l, "shown", []Shown{s}, func(s Shown) []any { return []any{s.Table, s.Topic, s.Generation} })
}

// ReplacedSelect is the query, in parentheses, by which a view finds out that a newer generation than its own is shown:
// it fails then.
func (l *Ledger) ReplacedSelect(topic string, generation uint32) string {
	return "(SELECT throwIf(count() > 0, 'this view is being replaced: ask again') FROM " + l.table("shown") + " WHERE topic = " +
		schemas.ClickHouseLiteral(topic) + " AND generation > " + strconv.FormatUint(uint64(generation), 10) + ")"
}
