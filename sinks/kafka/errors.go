package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
)

// RecordTooLarge says that a chunk holds a record that the topic would refuse. Nothing of the chunk was handed over and the
// sink can be used on: the caller may quarantine the table. It is cdc.ErrRefused, since another try gives the same record.
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

// Unwrap makes it cdc.ErrRefused.
func (e *RecordTooLarge) Unwrap() error { return cdc.ErrRefused }

// refuse makes the error of what another try cannot mend: capture stops with it, and somebody decides (cdc.ErrRefused). try is
// the way out.
func refuse(try, format string, args ...any) error {
	return fmt.Errorf("%w: %w; what is committed to Kafka is safe. Try: %s", cdc.ErrRefused, fmt.Errorf(format, args...), try)
}

// isFenced reports whether err is the broker's refusal of this producer: a newer one has its transactional id, or its transaction was
// ended (Sink.refused).
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isOneOf reports whether err is, or holds, one of Kafka's codes.
func isOneOf(err error, codes ...*kerr.Error) bool {
	return slices.ContainsFunc(codes, func(code *kerr.Error) bool { return errors.Is(err, code) })
}

// isDenied reports whether a right is missing.
func isDenied(err error) bool {
	return isOneOf(err, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed)
}

// wayOut says what somebody has to do about an error of Kafka that another try cannot mend. It is empty for every other one:
// the network, leaders, coordinators, timeouts, and codes that may mean something passing too (INVALID_RECORD, which some brokers
// answer when a transaction has ended, or INVALID_REPLICATION_FACTOR, while a broker is away).
func (s *Sink) wayOut(err error) string {
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Sprintf("grant Write and Describe on transactional id %q", s.o.TransactionalID)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "grant IdempotentWrite on the cluster, and Create where topics are missing"
	case isDenied(err):
		return fmt.Sprintf("grant Read, Write, Create, Describe and DescribeConfigs on topics with prefix %q and on %q and %q",
			s.o.Prefix+".", s.stateTopic(), s.progressTopic())
	case isOneOf(err, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState):
		return "check mechanism, user and password under kafka.sasl, and the brokers' listener"
	case isOneOf(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return fmt.Sprintf("set the topic's max.message.bytes to at least kafka.max_message_bytes=%d, or lower that setting: "+
			"a larger row then quarantines its table only", s.o.MaxMessageBytes)
	case errors.Is(err, kerr.UnsupportedCompressionType):
		return "choose another kafka.compression, one that the brokers know"
	case isOneOf(err, kerr.UnsupportedVersion, kerr.UnsupportedForMessageFormat):
		return "upgrade the brokers: dirtbike explain kafka-version"
	default:
		return cdc.TLSWayOut(err, TLS)
	}
}

// TLS names the keys of the config that decide whether a handshake with a broker succeeds.
var TLS = cdc.TLSKeys{Address: "kafka.brokers", CA: "kafka.tls.ca", Cert: "kafka.tls.cert", Use: "kafka.tls"}

// explain makes an error of the client one line that says what is safe and what to do. It is cdc.ErrFenced, cdc.ErrRefused, or
// worth another try.
func (s *Sink) explain(doing string, err error) error {
	switch {
	case errors.Is(err, cdc.ErrFenced):
		return err
	case isFenced(err):
		return fmt.Errorf("kafka sink: %s: %w: a newer producer has the transactional id %q (%w); what this one had not committed is not in Kafka. "+
			"Try: stop one of the two captures, or give this one a slot and prefix of its own", doing, cdc.ErrFenced, s.o.TransactionalID, err)
	case errors.Is(err, cdc.ErrRefused):
		return fmt.Errorf("kafka sink: %s: %w", doing, err)
	case s.wayOut(err) != "":
		return fmt.Errorf("kafka sink: %s: %w", doing, refuse(s.wayOut(err), "%w", err))
	case errors.Is(err, errTimedOut):
		return fmt.Errorf("kafka sink: %s: %w (%s); Kafka drops its records. Try: look at the brokers' health, or raise kafka.transaction_timeout",
			doing, err, s.o.TransactionTimeout)
	default:
		return fmt.Errorf("kafka sink: %s: %w", doing, err)
	}
}
