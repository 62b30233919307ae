package ledger

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// MissingRow is a row of the table `gone` (rule 17): the source's row of this key is known not to be in ClickHouse.
type MissingRow struct {
	// Table is the real name "schema.table".
	Table     string
	TopicID   uuid.UUID
	Partition int32
	// Key is the payload of the record key.
	Key string
	// Version is from where the row is missing, or up to where it was if Open is false. The highest of a key counts.
	Version cdc.Position
	Open    bool
}

// MissingRows gives the rows of a topic that are missing still.
func (l *Ledger) MissingRows(ctx context.Context, topic uuid.UUID) ([]MissingRow, error) {
	sql := "SELECT `table`, partition, key, version FROM " + l.table("gone") + " FINAL WHERE topic_id = " +
		schemas.ClickHouseLiteral(topic.String()) + " AND open = 1"
	return query(ctx, l, "missing rows", sql, func(rows driver.Rows) (MissingRow, error) {
		m := MissingRow{TopicID: topic, Open: true}
		var partition uint32
		var version big.Int
		err := rows.Scan(&m.Table, &partition, &m.Key, &version)
		m.Partition, m.Version = int32(partition), positionOf(&version)
		return m, err
	})
}

// WriteMissingRows stores rows.
func (l *Ledger) WriteMissingRows(ctx context.Context, list []MissingRow) error {
	return insert(ctx, l, "gone", list, func(m MissingRow) []any {
		open := uint8(0)
		if m.Open {
			open = 1
		}
		return []any{m.Table, m.TopicID, uint32(m.Partition), m.Key, Version(m.Version), open} //nolint:gosec // never negative
	})
}

// CloseMissingOfOtherTopics closes the missing rows of a table that came through any other topic than this one.
func (l *Ledger) CloseMissingOfOtherTopics(ctx context.Context, table string, topic uuid.UUID) error {
	gone := l.table("gone")
	err := l.conn.Exec(ctx, "INSERT INTO "+gone+" SELECT `table`, topic_id, partition, key, version + 1, 0 FROM "+gone+" FINAL WHERE `table` = "+
		schemas.ClickHouseLiteral(table)+" AND topic_id != "+schemas.ClickHouseLiteral(topic.String())+" AND open = 1")
	if err != nil {
		return fmt.Errorf("close the missing rows of the former topic of %s: %w", table, err)
	}
	return nil
}
