package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// WrongSetting says that a topic's setting would make records be refused or lost. It is cdc.ErrRefused.
type WrongSetting struct {
	// Topic, and the Key of its setting that must have the value Wants.
	Topic, Key, Wants string

	problem *cdc.Problem
}

func (e *WrongSetting) Error() string { return e.problem.Error() }

// Unwrap gives the cdc.Problem.
func (e *WrongSetting) Unwrap() error { return e.problem }

// wrongSetting makes a WrongSetting whose way out is the command that changes the setting.
func wrongSetting(topic, key, wants, format string, args ...any) *WrongSetting {
	problem := refuse(format, args...).At("topic "+topic).
		Fix("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%s", topic, key, wants)
	return &WrongSetting{topic, key, wants, problem}
}

// WrongPartitions says that a topic has another partition count than the pipeline. It is cdc.ErrRefused.
type WrongPartitions struct {
	// Topic has this many partitions.
	Topic string
	Have  int

	problem *cdc.Problem
}

func (e *WrongPartitions) Error() string { return e.problem.Error() }

// Unwrap gives the cdc.Problem.
func (e *WrongPartitions) Unwrap() error { return e.problem }

// Inspected is what Inspect found of one topic.
type Inspected struct {
	Topic string
	// Exists says that the topic is there; otherwise the brokers were asked whether they would create it.
	Exists bool
	// Err is what a start would refuse, or fail with; nil if the topic fits, or would be made.
	Err error
}

// inspectors is how many topics are asked for at the same time.
const inspectors = 8

// Inspect compares the pipeline's own topics and those of tables with what a start would make or accept, at any time
// before Close, and changes nothing: a topic that is not there is only asked for with "validate only". An error says
// that Kafka did not answer.
func (s *Sink) Inspect(ctx context.Context, topics []*cdc.Topic) ([]Inspected, error) {
	const doing = "inspect the topics"
	if errors.Is(s.broken, errClosed) {
		return nil, s.o.explain(doing, errClosed)
	}
	client, err := kgo.NewClient(s.o.readerOptions()...)
	if err != nil {
		return nil, s.o.explain(doing, badClient(err))
	}
	defer client.Close()
	admin := &topicAdmin{options: &s.o, adm: kadm.NewClient(client), log: zap.NewNop()}
	all := admin.own()
	for _, t := range topics {
		all = append(all, admin.table(t))
	}
	found := make([]Inspected, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectors)
	for i, w := range all {
		group.Go(func() (err error) {
			found[i], err = admin.inspect(ctx, w)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, s.o.explain(doing, err)
	}
	return found, nil
}

// inspect compares one topic; err is what concerns all of them.
func (a *topicAdmin) inspect(ctx context.Context, w wanted) (found Inspected, err error) {
	found = Inspected{Topic: w.name, Exists: true}
	detail, err := a.describe(ctx, w.name)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		found.Exists = false
		found.Err, err = a.wouldCreate(ctx, w)
	case isDenied(err):
		found.Err, err = a.options.explain("look up topic "+w.name, err), nil
	case err == nil:
		if found.Err = w.count(detail); found.Err == nil {
			found.Err = a.checkSettings(ctx, w)
		}
	}
	return found, err
}

// wouldCreate asks the brokers whether they would create the topic.
func (a *topicAdmin) wouldCreate(ctx context.Context, w wanted) (why, err error) {
	replication, settings, err := a.creation(ctx, w)
	if err != nil {
		return nil, err
	}
	responses, err := a.adm.ValidateCreateTopics(ctx, w.partitions, replication, settings, w.name)
	if err != nil {
		return nil, err
	}
	switch response := responses[w.name]; {
	case response.Err == nil, errors.Is(response.Err, kerr.TopicAlreadyExists):
		return nil, nil
	default:
		return createError(w, response.Err, response.ErrMessage), nil
	}
}
