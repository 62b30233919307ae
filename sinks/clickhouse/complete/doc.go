// Package complete decides up to which commit ClickHouse may be called complete: it folds the progress topic and the
// loaders' applied offsets into the points that complete_up_to shows (rules 8 and 24). It asks Kafka and ClickHouse
// through an interface only.
package complete
