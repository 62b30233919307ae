package ledger

import (
	"context"
	"math/big"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// The kinds of marks.
const (
	KindOpen = "open"
	KindEnd  = "end"
)

// Mark is the open or end record of a generation on one partition (rule 13).
type Mark struct {
	TopicID    uuid.UUID
	Topic      string
	Partition  int32
	Generation uint32
	Kind       string
	// Offset of the record.
	Offset int64
	// Version is the record's position: of an end, the generation's cut.
	Version cdc.Position
}

// Marks gives the opens and ends of a topic on all partitions, by generation.
func (l *Ledger) Marks(ctx context.Context, topic uuid.UUID) ([]Mark, error) {
	return l.marks(ctx, "topic_id = "+schemas.ClickHouseLiteral(topic.String()))
}

// Opens gives the opens of topics, also of deleted ones of these names.
func (l *Ledger) Opens(ctx context.Context, topics []string) ([]Mark, error) {
	return l.marks(ctx, "kind = '"+KindOpen+"' AND topic IN ("+schemas.ClickHouseLiterals(topics)+")")
}

func (l *Ledger) marks(ctx context.Context, condition string) ([]Mark, error) {
	sql := "SELECT topic_id, topic, partition, generation, kind, max(offset), max(version) FROM " + l.table("generations") + " WHERE " + condition +
		" GROUP BY topic_id, topic, partition, generation, kind ORDER BY generation"
	return query(ctx, l, "generations", sql, func(rows driver.Rows) (m Mark, err error) {
		var partition uint32
		var offset uint64
		var version big.Int
		err = rows.Scan(&m.TopicID, &m.Topic, &partition, &m.Generation, &m.Kind, &offset, &version)
		m.Partition, m.Offset, m.Version = int32(partition), int64(offset), positionOf(&version)
		return m, err
	})
}

// WriteMarks stores opens and ends.
func (l *Ledger) WriteMarks(ctx context.Context, list []Mark) error {
	return insert(ctx, l, "generations", list, func(m Mark) []any {
		return []any{m.TopicID, m.Topic, uint32(m.Partition), m.Generation, m.Kind, uint64(m.Offset), Version(m.Version)} //nolint:gosec // never negative
	})
}
