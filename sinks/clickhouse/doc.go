// Package clickhouse is the load leg: a Kafka consumer group that keeps ClickHouse tables equal to the topics.
//
// Rows become columns in ClickHouse's native layout without a map, a reflection or an allocation per row; inserts are
// idempotent by key and version, applied offsets follow them (rule 21). cdc/EXACTNESS.md, "Formats", names every
// object.
//
// Rows travel over ch-go, the layer beneath clickhouse-go, and everything else over clickhouse-go: clickhouse-go's own
// DateTime64 column goes through UnixNano, which wraps after 2262, and its Array, Map and LowCardinality reflect per
// row.
package clickhouse
