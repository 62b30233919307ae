package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// topicAdmin makes topics and compares those that there are with what the pipeline needs (rules 9 and 10). It never
// changes an existing topic: what does not fit is cdc.ErrRefused and names the choice.
type topicAdmin struct {
	options *Options
	adm     *kadm.Client
	log     *zap.Logger
}

// leaderTimeout bounds the wait for the leaders of a topic's partitions.
const leaderTimeout = 30 * time.Second

// wanted is how a topic must be. Settings are those of a new topic; check compares those of an existing one.
type wanted struct {
	name       string
	partitions int32
	settings   map[string]string
	check      func(have []kadm.Config) error
	recount    string // what to do about another partition count, besides starting again
}

// EnsureTopic implements cdc.Sink. A new topic is ready to be written when it returns. After a refusal the sink can be
// used on.
func (s *Sink) EnsureTopic(ctx context.Context, t *cdc.Topic) (created bool, err error) {
	const doing = "ensure the topic"
	if err := s.usable(doing); err != nil {
		return false, err
	}
	created, err = s.topics.ensure(ctx, s.topics.table(t))
	if err != nil {
		return false, s.o.explain(doing, err)
	}
	if created {
		s.ledger.recreated(t.Name)
	}
	return created, nil
}

// ensureOwn makes or checks the state and progress topics.
func (a *topicAdmin) ensureOwn(ctx context.Context) error {
	for _, w := range a.own() {
		if _, err := a.ensure(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// ensure creates the topic or checks it, and waits until every partition has a leader.
func (a *topicAdmin) ensure(ctx context.Context, w wanted) (created bool, err error) {
	_, err = a.describe(ctx, w.name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		created, err = a.create(ctx, w)
	}
	if err != nil {
		return false, err
	}
	detail, err := a.awaitLeaders(ctx, w)
	if err != nil {
		return false, err
	}
	if err := w.count(detail); err != nil {
		return false, err
	}
	if created {
		return true, nil
	}
	return false, a.checkSettings(ctx, w)
}

// count refuses a topic with another partition count.
func (w *wanted) count(detail kadm.TopicDetail) error {
	n := len(detail.Partitions)
	if n == int(w.partitions) {
		return nil
	}
	problem := refuse("it has %d partitions, wanted %d: another count would move keys between partitions", n, w.partitions).At("topic " + w.name)
	return &WrongPartitions{w.name, n, problem.Fix("%s", w.recount).Fix(cdc.ResnapshotAllCommand)}
}

func (a *topicAdmin) describe(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	details, err := a.adm.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("look up topic %s: %w", topic, err)
	}
	detail, ok := details[topic]
	if !ok {
		return detail, kerr.UnknownTopicOrPartition
	}
	return detail, detail.Err
}

// create reports false if the topic was created by another client meanwhile.
func (a *topicAdmin) create(ctx context.Context, w wanted) (bool, error) {
	replication, settings, err := a.creation(ctx, w)
	if err != nil {
		return false, err
	}
	resp, err := a.adm.CreateTopic(ctx, w.partitions, replication, settings, w.name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return false, nil
	}
	if err != nil {
		return false, createError(w, err, resp.ErrMessage)
	}
	a.log.Info("created a topic", zap.String("topic", w.name), zap.Int32("partitions", w.partitions), zap.Int16("replication", replication))
	return true, nil
}

// creation is what the topic is created with.
func (a *topicAdmin) creation(ctx context.Context, w wanted) (replication int16, settings map[string]*string, err error) {
	if replication = a.options.Replication; replication == 0 {
		brokers, err := a.adm.ListBrokers(ctx)
		if err != nil {
			return 0, nil, fmt.Errorf("list the brokers: %w", err)
		}
		replication = int16(min(3, max(1, len(brokers)))) // at most 3
	}
	settings = make(map[string]*string, len(w.settings)+1)
	for k, v := range w.settings {
		settings[k] = kadm.StringPtr(v)
	}
	if replication >= 3 { // what is reported to Postgres must outlive one broker
		settings["min.insync.replicas"] = kadm.StringPtr("2")
	}
	return replication, settings, nil
}

// createError says why the brokers would not create the topic; said is their own message.
func createError(w wanted, err error, said string) error {
	switch {
	case isDenied(err):
		return refuse("create").At("topic "+w.name).Because(err).
			Fix("create it yourself with %d partitions", w.partitions).Fix("grant Create on topic %q", w.name)
	case isOneOf(err, kerr.PolicyViolation, kerr.InvalidConfig, kerr.InvalidPartitions, kerr.InvalidTopicException):
		return refuse("create").At("topic "+w.name).Because(fmt.Errorf("%w %s", err, said)).
			Fix("change what the brokers allow").Fix("create it yourself with %d partitions", w.partitions)
	}
	return fmt.Errorf("create topic %s: %w %s", w.name, err, said)
}

// awaitLeaders waits until the topic can be written.
func (a *topicAdmin) awaitLeaders(ctx context.Context, w wanted) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leaderTimeout, cdc.Failed("no leader for a partition within %s", leaderTimeout).
		At("topic "+w.name).Fix("check the brokers' health"))
	defer cancel()
	for wait := retryFirst; ; {
		detail, err := a.describe(ctx, w.name)
		if err == nil && led(detail) {
			return detail, nil
		}
		if err != nil && !kerr.IsRetriable(err) {
			return detail, err
		}
		if err := pause(ctx, &wait); err != nil {
			return detail, err
		}
	}
}

func led(t kadm.TopicDetail) bool {
	for _, p := range t.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return len(t.Partitions) > 0
}
