package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
)

// owner says whose an error of Kafka is, where it is about one topic.
type owner uint8

const (
	ofCluster owner = iota // the brokers', the producer's or the login's, whatever topic it was noticed at
	ofTopic                // this topic's alone
	perhaps                // this topic's, unless all others have it too: a right, a policy of the brokers, a code that is not known
)

// owners sorts Kafka's codes. A code that another try can help (kerr.IsRetriable: leaders, coordinators, replicas,
// timeouts) is the cluster's, unless it is here.
var owners = map[*kerr.Error]owner{
	// a topic that is not there, or is another one: it was deleted. A broker that has just started says it, too
	kerr.UnknownTopicOrPartition: perhaps,
	kerr.UnknownTopicID:          perhaps,
	kerr.InconsistentTopicID:     perhaps,
	// what the topic's settings say of records: max.message.bytes, message.timestamp.*, cleanup.policy without keys
	kerr.MessageTooLarge:       ofTopic,
	kerr.RecordListTooLarge:    ofTopic,
	kerr.InvalidTimestamp:      ofTopic,
	kerr.InvalidRecord:         perhaps, // some brokers answer it when a transaction has ended
	kerr.InvalidTopicException: ofTopic,
	// rights are granted by topic or by prefix; policies speak of one topic or of all
	kerr.TopicAuthorizationFailed: perhaps,
	kerr.PolicyViolation:          perhaps,
	kerr.InvalidConfig:            perhaps,
	kerr.InvalidPartitions:        perhaps,
	kerr.InvalidReplicationFactor: perhaps, // also while a broker is away
	// the login, the cluster, its version
	kerr.ClusterAuthorizationFailed:         ofCluster,
	kerr.GroupAuthorizationFailed:           ofCluster,
	kerr.TransactionalIDAuthorizationFailed: ofCluster,
	kerr.SaslAuthenticationFailed:           ofCluster,
	kerr.UnsupportedSaslMechanism:           ofCluster,
	kerr.IllegalSaslState:                   ofCluster,
	kerr.UnsupportedVersion:                 ofCluster,
	kerr.UnsupportedForMessageFormat:        ofCluster,
	kerr.UnsupportedCompressionType:         ofCluster,
	// the producer and its transaction, which all topics share
	kerr.ProducerFenced:               ofCluster,
	kerr.InvalidProducerEpoch:         ofCluster,
	kerr.InvalidProducerIDMapping:     ofCluster,
	kerr.UnknownProducerID:            ofCluster,
	kerr.OutOfOrderSequenceNumber:     ofCluster,
	kerr.DuplicateSequenceNumber:      ofCluster,
	kerr.InvalidTxnState:              ofCluster,
	kerr.InvalidTransactionTimeout:    ofCluster,
	kerr.ConcurrentTransactions:       ofCluster,
	kerr.TransactionCoordinatorFenced: ofCluster,
	kerr.TransactionAbortable:         ofCluster,
	kerr.OperationNotAttempted:        ofCluster, // the topic stands beside one that has the trouble
}

// whose sorts an error that was noticed at a topic. Only what a broker said can be a topic's: connections and timeouts
// are the cluster's.
func whose(err error) owner {
	var (
		code       *kerr.Error
		setting    *WrongSetting
		partitions *WrongPartitions
		leader     *noLeader
	)
	switch {
	case errors.As(err, &setting), errors.As(err, &partitions):
		return ofTopic
	case errors.As(err, &leader), errors.Is(err, errLeftOpen):
		return perhaps
	}
	if !errors.As(err, &code) || errors.Is(err, kerr.OperationNotAttempted) {
		return ofCluster
	}
	if known, ok := owners[code]; ok {
		return known
	}
	if code.Retriable {
		return ofCluster
	}
	return perhaps
}

// blame says of an error that was noticed at the topic of a table that it is this table's, if it is. Our own topics are
// the pipeline's.
func (o *Options) blame(topic string, err error) error {
	if err == nil || o.isOwn(topic) || cdc.OfOneTable(err) != nil {
		return err
	}
	whose := whose(err)
	if whose == ofCluster {
		return err
	}
	return &cdc.TableTrouble{Topic: topic, Shared: whose == perhaps, Err: err}
}

// blameRecord is blame for an error of a transaction: the topic is that of the first record that was not taken.
func (o *Options) blameRecord(err error) error {
	var record *produceError
	if !errors.As(err, &record) {
		return err
	}
	return o.blame(record.topic, err)
}
