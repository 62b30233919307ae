package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dirtbike/schemas"
)

// EngineSettings are the settings of ClickHouse's Kafka engine that decide its speed.
type EngineSettings struct {
	Consumers           int
	ThreadPerConsumer   int // 0 or 1
	MaxBlock, PollBatch int // rows
	Flush               time.Duration
}

// String gives them as ClickHouse names them.
func (s EngineSettings) String() string {
	return fmt.Sprintf("kafka_num_consumers = %d, kafka_thread_per_consumer = %d, kafka_max_block_size = %d, kafka_poll_max_batch_size = %d, kafka_flush_interval_ms = %d",
		s.Consumers, s.ThreadPerConsumer, s.MaxBlock, s.PollBatch, s.Flush.Milliseconds())
}

// engineSettings are tried before the comparison. consumers is the highest useful number: one for each partition, up to
// the number of cores.
func engineSettings(consumers int) []EngineSettings {
	const second = time.Second
	return []EngineSettings{
		{consumers, 1, 65_536, 65_536, second / 2},
		{consumers, 1, 131_072, 131_072, second},
		{consumers, 1, 524_288, 65_536, 2 * second},
		{consumers, 0, 131_072, 65_536, second},
		{1, 0, 131_072, 65_536, second},
	}
}

// storageColumn is a column of the product's storage table.
type storageColumn struct{ Name, Type string }

// readColumns reads the columns of the product's storage table: the reference's target gets the same.
func (l *loading) readColumns(ctx context.Context) (out []storageColumn, err error) {
	database, storage := l.storage()
	err = l.ch.Select(ctx, &out, "SELECT name AS Name, type AS Type FROM system.columns WHERE database = ? AND table = ? ORDER BY position", database, storage)
	if err == nil && len(out) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s.%s: %w", database, storage, err)
	}
	return out, nil
}

// bookkeeping gives the bookkeeping columns of the storage table as expressions over the Kafka engine's columns.
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
		target = append(target, quoted(c.Name)+" "+c.Type)
		from, own := bookkeeping[c.Name]
		if !own {
			from = quoted("after.Value." + c.Name)
			queue = append(queue, from+" "+c.Type)
		}
		taken = append(taken, from+" AS "+quoted(c.Name))
	}
	queue = append(queue, "`source.epoch` UInt32", "`source.commit_lsn` UInt64", "`source.ordinal` UInt32", "`source.leaf` UInt32",
		"op LowCardinality(String)", "inexact Map(String, String)")
	db := quoted(database)
	return []string{
		"CREATE DATABASE " + db,
		fmt.Sprintf("CREATE TABLE %s.target (%s) ENGINE = ReplacingMergeTree(%s, %s) ORDER BY %s",
			db, strings.Join(target, ", "), schemas.ColVersion, schemas.ColDeleted, quoted(l.table.columns[0].name)),
		fmt.Sprintf(`CREATE TABLE %s.queue (%s) ENGINE = Kafka SETTINGS kafka_broker_list = '%s', kafka_topic_list = '%s', kafka_group_name = '%s',
			kafka_format = 'AvroConfluent', format_avro_schema_registry_url = '%s', %s`, db, strings.Join(queue, ", "), strings.Join(l.stack.Kafka.Brokers(), ","),
			schemas.TopicName(l.name, "public", l.table.name), database, l.stack.Registry.URL(), s),
	}, fmt.Sprintf("CREATE MATERIALIZED VIEW %[1]s.take TO %[1]s.target AS SELECT %[2]s FROM %[1]s.queue WHERE op IN ('c', 'r', 'u', 'd')", db, strings.Join(taken, ", "))
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
