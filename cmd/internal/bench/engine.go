package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dirtbike/schemas"
)

// EngineSettings are those of ClickHouse's Kafka engine that decide its speed.
type EngineSettings struct {
	Consumers           int
	ThreadPerConsumer   bool
	MaxBlock, PollBatch int // rows
	Flush               time.Duration
}

// String gives them as ClickHouse names them.
func (s EngineSettings) String() string {
	perConsumer := 0
	if s.ThreadPerConsumer {
		perConsumer = 1
	}
	return fmt.Sprintf("kafka_num_consumers = %d, kafka_thread_per_consumer = %d, kafka_max_block_size = %d, kafka_poll_max_batch_size = %d, kafka_flush_interval_ms = %d",
		s.Consumers, perConsumer, s.MaxBlock, s.PollBatch, s.Flush.Milliseconds())
}

// engineSettings are tried before the comparison. consumers is the most that are of use: one for each partition, up to
// the cores.
func engineSettings(consumers int) []EngineSettings {
	const second = time.Second
	return []EngineSettings{
		{consumers, true, 65_536, 65_536, second / 2},
		{consumers, true, 131_072, 131_072, second},
		{consumers, true, 524_288, 65_536, 2 * second},
		{consumers, false, 131_072, 65_536, second},
		{1, false, 131_072, 65_536, second},
	}
}

// storageColumn is a column of the product's storage table.
type storageColumn struct{ name, kind string }

// readColumns reads what the product has made of the topic: the reference's target gets the same.
func (l *loading) readColumns(ctx context.Context) ([]storageColumn, error) {
	database, storage := l.storage()
	rows, err := l.ch.Query(ctx, "SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position", database, storage)
	if err != nil {
		return nil, fmt.Errorf("read the storage's columns: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err is checked below
	var out []storageColumn
	for rows.Next() {
		var c storageColumn
		if err := rows.Scan(&c.name, &c.kind); err != nil {
			return nil, fmt.Errorf("read the storage's columns: %w", err)
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the storage's columns: %w", err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("table %s.%s has no columns", database, storage)
	}
	return out, nil
}

// bookkeeping says what the storage's own columns are made of, in the Kafka engine's terms.
var bookkeeping = map[string]string{
	schemas.ColVersion:   "bitShiftLeft(toUInt128(`source.epoch`), 96) + bitShiftLeft(toUInt128(`source.commit_lsn`), 32) + `source.ordinal`",
	schemas.ColDeleted:   "op = 'd'",
	schemas.ColPartition: "_partition",
	schemas.ColOffset:    "_offset",
	schemas.ColLeaf:      "`source.leaf`",
	schemas.ColInexact:   "inexact",
}

// statements make the reference: target is a table like the product's, without its fsync; queue reads the topic's
// envelopes, of which ClickHouse names a field of a union's branch by its path; the view, with which consuming begins,
// takes `after` apart.
func (l *loading) statements(database string, s EngineSettings) (before []string, view string) {
	var target, queue, taken []string
	for _, c := range l.columns {
		target = append(target, quoted(c.name)+" "+c.kind)
		from, own := bookkeeping[c.name]
		if !own {
			from = quoted("after.Value." + c.name)
			queue = append(queue, from+" "+c.kind)
		}
		taken = append(taken, from+" AS "+quoted(c.name))
	}
	queue = append(queue, "`source.epoch` UInt32", "`source.commit_lsn` UInt64", "`source.ordinal` UInt32", "`source.leaf` UInt32", "op LowCardinality(String)", "inexact Map(String, String)")
	db := quoted(database)
	engine := fmt.Sprintf("ENGINE = Kafka SETTINGS kafka_broker_list = '%s', kafka_topic_list = '%s', kafka_group_name = '%s', kafka_format = 'AvroConfluent', format_avro_schema_registry_url = '%s', %s",
		strings.Join(l.brokers, ","), schemas.TopicName(l.name, "public", l.table.name), database, l.registry, s)
	return []string{
			"CREATE DATABASE " + db,
			"CREATE TABLE " + db + ".target (" + strings.Join(target, ", ") + ") ENGINE = ReplacingMergeTree(" + schemas.ColVersion + ", " + schemas.ColDeleted + ") ORDER BY " + quoted(l.table.columns[0].name),
			"CREATE TABLE " + db + ".queue (" + strings.Join(queue, ", ") + ") " + engine,
		},
		"CREATE MATERIALIZED VIEW " + db + ".take TO " + db + ".target AS SELECT " + strings.Join(taken, ", ") + " FROM " + db + ".queue WHERE op IN ('c', 'r', 'u', 'd')"
}

// engine is one pass of ClickHouse's Kafka engine over the topic, with a group of its own.
func (l *loading) engine(ctx context.Context, s EngineSettings) (took time.Duration, err error) {
	l.passes++
	database := fmt.Sprintf("%s_engine_%d", l.table.name, l.passes)
	before, view := l.statements(database, s)
	defer func() { err = errors.Join(err, l.drop(ctx, database)) }()
	if err := l.exec(ctx, before...); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := l.exec(ctx, view); err != nil {
		return 0, err
	}
	target := quoted(database) + ".target"
	err = l.untilVisible(ctx, uint64(l.rows), database, "target", "SELECT count() FROM "+target, func() error { return nil }) //nolint:gosec // a count
	took = time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, l.same(ctx, target+" FINAL")
}
