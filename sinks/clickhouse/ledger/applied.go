package ledger

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"dirtbike/schemas"
)

// Applied says that the records of a partition below Next are in ClickHouse. It is keyed by the topic's id: offsets of
// a topic that was deleted say nothing about another one of its name.
type Applied struct {
	TopicID   uuid.UUID
	Topic     string
	Partition int32
	Next      int64
}

// Applied gives how far each partition of these topics is applied, also of deleted topics of these names.
func (l *Ledger) Applied(ctx context.Context, topics []string) ([]Applied, error) {
	sql := "SELECT topic_id, topic, partition, max(next) FROM " + l.table("applied") + " WHERE topic IN (" + schemas.ClickHouseLiterals(topics) +
		") GROUP BY topic_id, topic, partition"
	return query(ctx, l, "applied offsets", sql, func(rows driver.Rows) (a Applied, err error) {
		var partition uint32
		var next uint64
		err = rows.Scan(&a.TopicID, &a.Topic, &partition, &next)
		a.Partition, a.Next = int32(partition), int64(next)
		return a, err
	})
}

// WriteApplied stores how far partitions are applied. An offset below one that is stored changes nothing.
func (l *Ledger) WriteApplied(ctx context.Context, list ...Applied) error {
	return insert(ctx, l, "applied", list, func(a Applied) []any {
		return []any{a.TopicID, a.Topic, uint32(a.Partition), uint64(a.Next)} //nolint:gosec // never negative
	})
}
