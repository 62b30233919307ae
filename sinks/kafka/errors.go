package kafka

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
)

var (
	errNotRecovered   = errors.New("Recover has not run")
	errClosed         = errors.New("the sink is closed")
	errRecoverFirst   = errors.New("only Recover can go on")
	errTimedOut       = errors.New("the transaction was open longer than the transaction timeout")
	errUnknownOutcome = errors.New("end the transaction, its outcome is unknown")
)

// RecordTooLarge says that a chunk holds a record that the topic would refuse. Nothing of the chunk was handed over and
// the sink can be used on: the caller may quarantine the table. It is cdc.ErrRefused, since another try gives the same
// record.
type RecordTooLarge struct {
	Topic        string // Topic the record is for
	Bytes, Limit int    // Bytes of the record's key and value, and Limit the most that fits
}

func (e *RecordTooLarge) Error() string { return "kafka sink: write: " + e.problem().Error() }

// Unwrap makes it a cdc.Problem of kind cdc.ErrRefused.
func (e *RecordTooLarge) Unwrap() error { return e.problem() }

func (e *RecordTooLarge) problem() *cdc.Problem {
	return cdc.Refused("a record has %d bytes, at most %d fit", e.Bytes, e.Limit).At("topic " + e.Topic).
		Keeps("Nothing of its chunk was sent").Fix("raise kafka.max_message_bytes, and run what dirtbike check then prints for the topics")
}

// refuse makes a problem that another try cannot fix: capture stops with it, and the operator decides (cdc.ErrRefused).
func refuse(format string, args ...any) *cdc.Problem {
	return cdc.Refused(format, args...).Keeps("What is committed to Kafka is safe")
}

// badClient makes the problem of options that the client refuses.
func badClient(err error) *cdc.Problem {
	return refuse("make the client").Because(err).Fix("correct the kafka section")
}

// unreadable makes the problem of a record that this release cannot read.
func unreadable(what string, err error) *cdc.Problem {
	p := refuse("%s", what)
	if err != nil {
		p = p.Because(err)
	}
	if errors.Is(err, errOlderFormat) { // the tables' topics have records that this release does not read
		return p.Fix("run the release that wrote it").Fix("delete the pipeline's topics (dirtbike explain pipeline-topics), then %s", cdc.ResnapshotAllCommand)
	}
	return p.Fix("upgrade dirtbike to the release that wrote it").Fix(cdc.ResnapshotAllCommand)
}

// isFenced reports whether err is the broker's refusal of this producer: a newer one has its transactional id, or its
// transaction was ended (Sink.whyRefused).
func isFenced(err error) bool { return isOneOf(err, kerr.ProducerFenced, kerr.InvalidProducerEpoch) }

// isOneOf reports whether err is, or holds, one of Kafka's codes.
func isOneOf(err error, codes ...*kerr.Error) bool {
	return slices.ContainsFunc(codes, func(code *kerr.Error) bool { return errors.Is(err, code) })
}

// isDenied reports whether a right is missing.
func isDenied(err error) bool {
	return isOneOf(err, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed)
}

// wayOut says what the operator has to do about an error of Kafka that another try cannot fix. It is empty for every
// other one: the network, leaders, coordinators, timeouts, and codes that may be temporary too (INVALID_RECORD, which
// some brokers answer when a transaction has ended, or INVALID_REPLICATION_FACTOR, while a broker is away).
func (o *Options) wayOut(err error) string {
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Sprintf("grant Write and Describe on transactional id %q", o.TransactionalID)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "grant IdempotentWrite on the cluster, and Create where topics are missing"
	case isDenied(err):
		return fmt.Sprintf("grant Read, Write, Create, Describe and DescribeConfigs on topics with prefix %q and on %q, %q and %q",
			o.Prefix+".", o.stateTopic(), o.progressTopic(), o.controlTopic())
	case isOneOf(err, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState):
		return "check mechanism, user and password under kafka.sasl, and the brokers' listener"
	case isOneOf(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return fmt.Sprintf("set the topic's max.message.bytes to at least kafka.max_message_bytes=%d, or lower that setting: "+
			"a larger row then quarantines its table only", o.MaxMessageBytes)
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

// explain makes an error of the client a problem with a way out where there is one. It is cdc.ErrFenced,
// cdc.ErrRefused, or worth another try.
func (o *Options) explain(doing string, err error) error {
	switch {
	case errors.Is(err, cdc.ErrFenced):
		return err
	case isFenced(err):
		err = cdc.Failed("a newer producer has the transactional id %q", o.TransactionalID).Of(cdc.ErrFenced).Because(err).
			Keeps("What this one had not committed is not in Kafka").Fix("stop one of the two captures").Fix("give this one a slot and prefix of its own")
	case errors.Is(err, cdc.ErrRefused):
	case o.wayOut(err) != "":
		err = refuse("Kafka refuses").Because(err).Fix("%s", o.wayOut(err))
	case errors.Is(err, errTimedOut):
		err = cdc.Failed("Kafka drops the records of a transaction that is open for more than %s", o.TransactionTimeout).Because(err).
			Fix("check the brokers' health").Fix("raise kafka.transaction_timeout")
	}
	return fmt.Errorf("kafka sink: %s: %w", doing, err)
}
