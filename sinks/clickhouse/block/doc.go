// Package block turns rows as they are in Kafka into columns in ClickHouse's native layout, and holds rows that were
// read back. It asks nobody and allocates nothing for a row once its columns have grown.
//
// It stands on ch-go, the layer beneath clickhouse-go: clickhouse-go's own DateTime64 column goes through nanoseconds,
// which end in 2262, and its Array, Map and LowCardinality columns use reflection for every row.
package block
