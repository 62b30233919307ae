package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
)

// RecordTooLarge says that a chunk holds a record that the topic would refuse. Nothing of the chunk was handed over and the
// sink can be used on: the caller may quarantine the table.
type RecordTooLarge struct {
	// Topic the record is for.
	Topic string
	// Bytes of the record's key and value, and Limit the most that fits.
	Bytes, Limit int
}

func (e *RecordTooLarge) Error() string {
	return fmt.Sprintf("kafka sink: write: a record of topic %s has %d bytes, at most %d fit; nothing of its chunk was sent. "+
		"Try: raise kafka.max_message_bytes and the topic's max.message.bytes", e.Topic, e.Bytes, e.Limit)
}

// isFenced reports whether err is the broker's way of saying that a newer producer has this transactional id.
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isDenied reports whether a right is missing.
func isDenied(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) ||
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

// explain makes an error of the client one line that says what is safe and what to do.
func (s *Sink) explain(doing string, err error) error {
	switch {
	case errors.Is(err, cdc.ErrFenced):
		return err
	case isFenced(err):
		return fmt.Errorf("kafka sink: %s: %w: a newer producer has the transactional id %q; what this one had not committed is not in Kafka. "+
			"Try: stop one of the two captures, or give this one a slot and prefix of its own (%w)", doing, cdc.ErrFenced, s.o.TransactionalID, err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("kafka sink: %s: %w. Try: grant Write and Describe on transactional id %q", doing, err, s.o.TransactionalID)
	case isDenied(err):
		return fmt.Errorf("kafka sink: %s: %w. Try: grant Read, Write, Create, Describe and DescribeConfigs on topics with prefix %q and %q",
			doing, err, s.o.Prefix+".", s.stateTopic())
	case errors.Is(err, errTimedOut):
		return fmt.Errorf("kafka sink: %s: %w (%s); Kafka drops its records. Try: look at the brokers' health, or raise kafka.transaction_timeout",
			doing, err, s.o.TransactionTimeout)
	default:
		return fmt.Errorf("kafka sink: %s: %w", doing, err)
	}
}
