package consume

import (
	"errors"

	"dirtbike/cdc"
)

// The reasons for which load stops as a whole: kinds of a cdc.Problem that says where and what to do.
var (
	// ErrTopicChanged says that a topic was deleted and made again since it was loaded.
	ErrTopicChanged = errors.New("the topic is not the one that was loaded before")
	// ErrSameInstance says that another loader has joined the group under this one's name.
	ErrSameInstance = errors.New("another loader runs under this one's name")
	// ErrGap says that Kafka no longer has records that were not loaded yet.
	ErrGap = errors.New("records are missing between what is loaded and what Kafka still has")
)

// errAhead says that more was loaded than Kafka has: for a while this may be a broker that lags.
var errAhead = errors.New("more was loaded than Kafka has")

// stop is a problem after which only a new copy helps.
func stop(kind error, format string, args ...any) *cdc.Problem {
	return cdc.Failed(format, args...).Of(kind).Keeps("what is in ClickHouse is safe").Fix("%s", cdc.ResnapshotAllCommand)
}

// TopicChanged says that a topic has another id than the one that was loaded.
func TopicChanged(topic string) error {
	return stop(ErrTopicChanged, "topic %s has another id now", topic)
}

// OutOfRange says that Kafka does not have the offset from which a partition was to be read.
func OutOfRange(topic string, partition int32, offset int64) error {
	return stop(ErrGap, "topic %s, partition %d: offset %d is out of range", topic, partition, offset)
}

func gap(topic string, partition int32, have, start int64) error {
	return stop(ErrGap, "topic %s, partition %d: loaded up to offset %d, Kafka begins at %d", topic, partition, have, start)
}
