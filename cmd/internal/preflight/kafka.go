package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/schemas"
	"dirtbike/sinks/kafka"
)

// cluster holds the connection to Kafka and its brokers.
type cluster struct {
	client  *kgo.Client
	admin   *kadm.Client
	brokers kadm.BrokerDetails
}

// checkKafka checks brokers, topics and rights.
func (r *run) checkKafka(ctx context.Context, p *part) {
	k, err := r.connectKafka(ctx)
	if err != nil {
		p.connectError(r.where(partKafka), err)
		return
	}
	defer k.client.Close()
	p.ok("kafka-connect", r.where(partKafka), "%s answers", count(len(k.brokers), "broker"))
	r.judgeVersion(ctx, p, k)
	r.judgeReplication(p, k)
	r.judgeSettings(ctx, p, k)
	state, err := r.trial.Sink.Peek(ctx)
	if err != nil || state == nil { // the pipeline's part says why
		state = &cdc.State{}
	}
	var topics []*cdc.Topic
	for _, t := range r.captured(ctx) {
		topics = append(topics, capture.TopicOf(t, state.Tables[t.FullName()]))
	}
	r.judgeTopics(ctx, p, topics, state.Source.Phase == cdc.PhaseNone)
	r.checkTopicRights(ctx, p, k, topics)
	r.checkTransactionRights(ctx, p, k)
	r.checkGroupRights(ctx, p, k)
}

// connectKafka asks who the brokers are.
func (r *run) connectKafka(ctx context.Context) (*cluster, error) {
	client, err := pipeline.NewKafka(r.config, kgo.DialTimeout(connectTime/2), kgo.RequestRetries(1), kgo.RetryTimeout(connectTime))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	k := &cluster{client: client, admin: kadm.NewClient(client)}
	connecting, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if k.brokers, err = k.admin.ListBrokers(connecting); err != nil {
		client.Close()
		return nil, r.kafkaError(err)
	}
	return k, nil
}

// kafkaError says why no broker accepts us.
func (r *run) kafkaError(err error) error {
	if refused := pipeline.KafkaError(err); errors.Is(refused, cdc.ErrRefused) {
		return refused
	}
	if r.config.Kafka.SASL != nil && strings.Contains(err.Error(), "EOF") {
		return cdc.Refused("the connection ends while logging in, as it does with a wrong password").Because(err).
			Fix("set mechanism, user and password under kafka.sasl")
	}
	return cdc.Failed("no broker answers").Because(err).
		Fix("see that Kafka runs and kafka.brokers is right; a listener with TLS needs kafka.tls, one with a login kafka.sasl")
}

func (r *run) judgeReplication(p *part, k *cluster) {
	wants, have := r.config.Kafka.Replication, len(k.brokers)
	q := question{slug: "kafka-replication", subject: "kafka.replication", good: fmt.Sprintf("new topics have %d copies", max(wants, min(3, have))),
		command: setting("kafka", "replication", strconv.Itoa(have)),
		bad:     when(wants > have, "%d copies of each topic are asked for, and there are %s", wants, count(have, "broker"))}
	if have < 3 {
		q.good = count(have, "broker") + ": Kafka keeps at most so many copies of each record"
	}
	p.judge(q)
}

// requestOverhead is what a produce request holds in addition to its records, at most.
const requestOverhead = 64 << 10

// judgeSettings compares the brokers' limits with the config's: a request that is too large ends the connection.
func (r *run) judgeSettings(ctx context.Context, p *part, k *cluster) {
	const timeout, request = "transaction.max.timeout.ms", "socket.request.max.bytes"
	if len(k.brokers) == 0 {
		return
	}
	node := k.brokers[0].NodeID
	configs, err := k.admin.DescribeBrokerConfigs(ctx, node)
	if err == nil {
		_, err = configs.On(strconv.Itoa(int(node)), func(c *kadm.ResourceConfig) error { return c.Err })
	}
	if err != nil {
		command := ""
		if errors.Is(err, kerr.ClusterAuthorizationFailed) {
			command = r.grant("--cluster", []string{"DescribeConfigs"})
		}
		p.warn("kafka-cluster-rights", r.principal(), command, "the brokers' settings cannot be seen, so that the limits of transactions and messages are not compared: %v", err)
		return
	}
	p.ok("kafka-cluster-rights", r.principal(), "DescribeConfigs on the cluster")
	c := r.config.Kafka
	if most, known := brokerNumber(configs, timeout); known {
		limit := time.Duration(most) * time.Millisecond
		p.judge(question{slug: "kafka-transaction-timeout", subject: timeout, good: fmt.Sprintf("%s, and kafka.transaction_timeout is %s", limit, c.TransactionTimeout),
			bad: when(c.TransactionTimeout > limit, "%s, less than kafka.transaction_timeout (%s): the brokers would refuse every transaction",
				limit, c.TransactionTimeout), command: setting("kafka", "transaction_timeout", limit.String())})
	}
	if limit, known := brokerNumber(configs, request); known {
		wants := int64(c.MaxMessageBytes)
		p.judge(question{slug: "kafka-message-size", subject: request, good: fmt.Sprintf("%d bytes, and kafka.max_message_bytes is %d", limit, wants),
			bad: when(limit < wants+requestOverhead, "%d bytes, less than kafka.max_message_bytes (%d): the brokers would cut the connection at a large row",
				limit, wants), command: setting("kafka", "max_message_bytes", strconv.FormatInt(max(limit-requestOverhead, 64<<10), 10))})
	}
}

func brokerNumber(configs kadm.ResourceConfigs, key string) (int64, bool) {
	for _, c := range configs[0].Configs {
		if c.Key == key {
			n, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// judgeTopics asks the sink which topics fit, or would be created; first says that nothing is stored yet.
func (r *run) judgeTopics(ctx context.Context, p *part, topics []*cdc.Topic, first bool) {
	all := r.config.Kafka.Prefix + ".*"
	found, err := r.trial.Sink.Inspect(ctx, topics)
	if err != nil {
		p.error("kafka-topics", all, err)
		return
	}
	there, bad, unseen, small := 0, 0, 0, 0
	for _, t := range found {
		switch {
		case isDenied(t.Err): // rights have checks of their own
			unseen++
			continue
		case t.Exists:
			there++
		}
		if t.Err == nil || errors.Is(t.Err, kerr.InvalidReplicationFactor) { // copies have a check of their own
			continue
		}
		if value := (*kafka.WrongSetting)(nil); !errors.As(t.Err, &value) || !value.Mild {
			bad++
		}
		q := r.unfitTopic(t, first && sameCount(found))
		if p.judge(q); q.slug == "kafka-message-size" {
			small++
		}
	}
	if unseen == len(found) {
		return
	}
	if small == 0 {
		p.ok("kafka-message-size", all, "no topic takes less than kafka.max_message_bytes")
	}
	if bad == 0 {
		why := r.unlisted()
		p.ok("kafka-topics", all, "%d are there and fit, %d would be made%s", there, len(found)-there-unseen, when(why != "", "; those of the tables are not known, since %s", why))
	}
}

// sameCount reports whether the topics of all tables are there, with one partition count that is not the config's: then
// it is the config that does not fit.
func sameCount(found []kafka.Inspected) bool {
	have := 0
	for _, t := range found {
		var partitions *kafka.WrongPartitions
		switch {
		case strings.HasPrefix(t.Topic, schemas.OwnPrefix):
		case !errors.As(t.Err, &partitions), have != 0 && have != partitions.Have:
			return false
		default:
			have = partitions.Have
		}
	}
	return have != 0
}

// unfitTopic says what is wrong with a topic; recount says that the config may take over the topics' partition count.
func (r *run) unfitTopic(t kafka.Inspected, recount bool) question {
	problem := cdc.Explain(t.Err)
	q := question{slug: "kafka-topics", subject: t.Topic, bad: strings.TrimPrefix(problem.What, "topic "+t.Topic+": "),
		command: strings.TrimPrefix(cdc.WriteRemedies(problem.Try), "Try: ")}
	var value *kafka.WrongSetting
	var partitions *kafka.WrongPartitions
	switch {
	case errors.As(t.Err, &value):
		q.command = fmt.Sprintf("%s --alter --entity-type topics --entity-name %s --add-config %s",
			kafkaTool(r.config, "kafka-configs.sh"), console.Shell(value.Topic), console.Shell(value.Key+"="+value.Wants))
		if value.Mild {
			q.level = LevelWarning
		}
		if value.Key == "max.message.bytes" {
			q.slug = "kafka-message-size"
		}
	case errors.As(t.Err, &partitions) && !recount: // it is made again, and its table copied
		q.command = kafkaTool(r.config, "kafka-topics.sh") + " --delete --topic " + console.Shell(t.Topic)
	case partitions != nil:
		q.command = setting("kafka", "partitions", strconv.Itoa(partitions.Have))
	}
	return q
}

func isDenied(err error) bool {
	codes := []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed}
	return slices.ContainsFunc(codes, func(code *kerr.Error) bool { return errors.Is(err, code) })
}

// requests are what a broker must know: topics have ids since Metadata v10, and load remembers its place by them; with
// InitProducerID v3 a capture goes on under its id.
var requests = []struct {
	key   kmsg.Key
	least int16
	since string // the release of Apache Kafka
}{{kmsg.Metadata, 10, "2.8"}, {kmsg.InitProducerID, 3, "2.5"}}

// judgeVersion asks each broker.
func (r *run) judgeVersion(ctx context.Context, p *part, k *cluster) {
	versions, err := k.admin.ApiVersions(ctx)
	if err != nil {
		p.error("kafka-version", r.where(partKafka), fmt.Errorf("ask the brokers for their versions: %w", err))
		return
	}
	good := 0
	for _, broker := range versions.Sorted() {
		subject := fmt.Sprintf("broker %d", broker.NodeID)
		lacks := missingRequests(&broker)
		switch {
		case broker.Err != nil:
			p.warn("kafka-version", subject, "", "it does not say what it knows: %v", broker.Err)
		case len(lacks) > 0:
			p.fail("kafka-version", subject, "", "it knows %s; dirtbike needs 2.8 or newer. Upgrade the brokers", strings.Join(lacks, " and "))
		default:
			good++
		}
	}
	if good > 0 && !p.any(func(c Check) bool { return c.Slug == "kafka-version" && !c.OK }) {
		p.ok("kafka-version", "brokers", "they know what dirtbike needs of Kafka 2.8")
	}
}

// missingRequests says which requests the broker does not know, or only in too old a version.
func missingRequests(broker *kadm.BrokerApiVersions) (lacks []string) {
	for _, r := range requests {
		switch has, known := broker.KeyMaxVersion(r.key.Int16()); {
		case !known:
			lacks = append(lacks, fmt.Sprintf("no %s (v%d, of Kafka %s, is needed)", r.key.Name(), r.least, r.since))
		case has < r.least:
			lacks = append(lacks, fmt.Sprintf("%s only up to v%d (v%d, of Kafka %s, is needed)", r.key.Name(), has, r.least, r.since))
		}
	}
	return lacks
}
