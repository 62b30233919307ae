package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/sinks/kafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is what Kafka says of itself.
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
	tables := r.captured(ctx)
	r.judgeTopics(ctx, p, topicsOf(tables))
	r.lookAtTopicRights(ctx, p, k, tables)
	r.lookAtTransactionRights(ctx, p, k)
	r.lookAtGroupRights(ctx, p, k)
}

// topicsOf gives the tables' topics.
func topicsOf(tables []*cdc.Table) []*cdc.Topic {
	out := make([]*cdc.Topic, len(tables))
	for i, t := range tables {
		out[i] = t.Topic
	}
	return out
}

// connectKafka asks who the brokers are.
func (r *run) connectKafka(ctx context.Context) (*cluster, error) {
	options, err := pipeline.KafkaClient(r.config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	options = append(options, kgo.DialTimeout(connectTime/2), kgo.RequestRetries(1), kgo.RetryTimeout(connectTime))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("%w: kafka: %w", cdc.ErrRefused, err)
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

// kafkaError says why no broker lets us in.
func (r *run) kafkaError(err error) error {
	const login = "set mechanism, user and password under kafka.sasl"
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return cdc.Refused("the brokers refuse the login").Because(err).Fix("%s", login)
	case r.config.Kafka.SASL != nil && strings.Contains(err.Error(), "EOF"):
		return cdc.Refused("the connection ends while logging in, as it does with a wrong password").Because(err).Fix("%s", login)
	}
	return cdc.Failed("no broker answers").Because(err).
		Fix("see that Kafka runs and kafka.brokers is right; a listener with TLS needs kafka.tls, one with a login kafka.sasl")
}

func (r *run) judgeReplication(p *part, k *cluster) {
	wants, have := r.config.Kafka.Replication, len(k.brokers)
	switch {
	case wants > have:
		p.fail("kafka-replication", "kafka.replication", setting("kafka", "replication", strconv.Itoa(have)), "%d copies of each topic are asked for, and there are %s", wants, count(have, "broker"))
	case have < 3:
		p.ok("kafka-replication", "kafka.replication", "%s: what Kafka has is as safe as that", count(have, "broker"))
	default:
		p.ok("kafka-replication", "kafka.replication", "new topics have %d copies", max(wants, min(3, have)))
	}
}

// judgeSettings compares the brokers' limits with the config's.
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
		command := r.grant("--cluster", []string{"DescribeConfigs"})
		if !errors.Is(err, kerr.ClusterAuthorizationFailed) {
			command = ""
		}
		p.warn("kafka-cluster-rights", r.principal(), command, "the brokers' settings cannot be seen, so that the limits of transactions and messages are not compared: %v", err)
		return
	}
	p.ok("kafka-cluster-rights", r.principal(), "DescribeConfigs on the cluster")
	c := r.config.Kafka
	most, known := brokerNumber(configs, timeout)
	switch limit := time.Duration(most) * time.Millisecond; {
	case known && c.TransactionTimeout > limit:
		p.fail("kafka-transaction-timeout", timeout, setting("kafka", "transaction_timeout", durationText(limit)), "%s, less than kafka.transaction_timeout (%s): the brokers would refuse every transaction", limit, c.TransactionTimeout)
	case known:
		p.ok("kafka-transaction-timeout", timeout, "%s, and kafka.transaction_timeout is %s", limit, c.TransactionTimeout)
	}
	r.judgeRequests(p, configs, request)
}

// requestOverhead is what a produce request holds beside its records, at most.
const requestOverhead = 64 << 10

// judgeRequests: a request that is larger than the brokers take ends the connection, without a word.
func (r *run) judgeRequests(p *part, configs kadm.ResourceConfigs, key string) {
	limit, known := brokerNumber(configs, key)
	wants := int64(r.config.Kafka.MaxMessageBytes)
	switch {
	case known && limit < wants+requestOverhead:
		p.fail("kafka-message-size", key, setting("kafka", "max_message_bytes", strconv.FormatInt(max(limit-requestOverhead, 64<<10), 10)),
			"%d bytes, less than kafka.max_message_bytes (%d): the brokers would cut the connection at a large row", limit, wants)
	case known:
		p.ok("kafka-message-size", key, "%d bytes, and kafka.max_message_bytes is %d", limit, wants)
	}
}

// durationText writes a duration as the config reads it, without zero parts.
func durationText(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
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

// judgeTopics asks the sink which topics fit, or would be made.
func (r *run) judgeTopics(ctx context.Context, p *part, topics []*cdc.Topic) {
	found, err := r.trial.Sink.Inspect(ctx, topics)
	if err != nil {
		p.error("kafka-topics", r.config.Kafka.Prefix+".*", err)
		return
	}
	there, bad, unseen, small := 0, 0, 0, 0
	for _, t := range found {
		switch {
		case t.Err != nil && isDenied(t.Err):
			unseen++
		case t.Exists:
			there++
		}
		if t.Err == nil || isDenied(t.Err) || errors.Is(t.Err, kerr.InvalidReplicationFactor) { // rights and copies have checks of their own
			continue
		}
		bad++
		problem := cdc.Explain(t.Err)
		why, try := strings.TrimPrefix(problem.What, "topic "+t.Topic+": "), strings.TrimPrefix(cdc.WriteRemedies(problem.Try), "Try: ")
		var value *kafka.WrongSetting
		var partitions *kafka.WrongPartitions
		slug := "kafka-topics"
		switch {
		case errors.As(t.Err, &value):
			try = topicSetting(r.config, value.Topic, value.Key, value.Wants)
			if value.Key == "max.message.bytes" {
				slug = "kafka-message-size"
				small++
			}
		case errors.As(t.Err, &partitions):
			try = setting("kafka", "partitions", strconv.Itoa(partitions.Have))
			if strings.HasPrefix(t.Topic, "_") {
				try = kafkaTool(r.config, "kafka-topics.sh") + " --delete --topic " + shell(t.Topic)
			}
		}
		p.fail(slug, t.Topic, try, "%s", why)
	}
	if small == 0 && unseen < len(found) {
		p.ok("kafka-message-size", r.config.Kafka.Prefix+".*", "no topic takes less than kafka.max_message_bytes")
	}
	if bad == 0 && unseen < len(found) {
		unknown := ""
		if why := r.unlisted(); why != "" {
			unknown = "; those of the tables are not known, since " + why
		}
		p.ok("kafka-topics", r.config.Kafka.Prefix+".*", "%d are there and fit, %d would be made%s", there, len(found)-there-unseen, unknown)
	}
}

func isDenied(err error) bool {
	return slices.ContainsFunc([]*kerr.Error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed},
		func(code *kerr.Error) bool { return errors.Is(err, code) })
}
