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

	err error
}

func (e *WrongSetting) Error() string { return e.err.Error() }

// Unwrap makes it cdc.ErrRefused.
func (e *WrongSetting) Unwrap() error { return e.err }

func wrongSetting(topic, key, wants string, err error) error {
	return &WrongSetting{topic, key, wants, err}
}

// WrongPartitions says that a topic has another partition count than the pipeline. It is cdc.ErrRefused.
type WrongPartitions struct {
	// Topic has this many partitions.
	Topic string
	Have  int

	err error
}

func (e *WrongPartitions) Error() string { return e.err.Error() }

// Unwrap makes it cdc.ErrRefused.
func (e *WrongPartitions) Unwrap() error { return e.err }

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

// Inspect compares the pipeline's own topics and those of tables with what a start would make or accept, at any time before Close,
// and changes nothing: a topic that is not there is only asked for with "validate only". An error says that Kafka did not answer.
func (s *Sink) Inspect(ctx context.Context, topics []*cdc.Topic) ([]Inspected, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, s.explain("inspect the topics", errClosed)
	}
	client, err := kgo.NewClient(s.o.readerOptions()...)
	if err != nil {
		return nil, s.explain("inspect the topics", refuse("correct the kafka section", "make the client: %w", err))
	}
	defer client.Close()
	looking := &Sink{o: s.o, log: zap.NewNop(), adm: kadm.NewClient(client)}
	all := looking.ownTopics()
	for _, t := range topics {
		all = append(all, looking.tableTopic(t))
	}
	found := make([]Inspected, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectors)
	for i, w := range all {
		group.Go(func() (err error) {
			found[i], err = looking.inspect(ctx, w)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, s.explain("inspect the topics", err)
	}
	return found, nil
}

// inspect looks at one topic; err is what concerns all of them.
func (s *Sink) inspect(ctx context.Context, w wanted) (found Inspected, err error) {
	found = Inspected{Topic: w.name, Exists: true}
	detail, err := s.describe(ctx, w.name)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		found.Exists = false
		found.Err, err = s.wouldCreate(ctx, w)
	case isDenied(err):
		found.Err, err = s.explain("look up topic "+w.name, err), nil
	case err == nil:
		if found.Err = w.count(detail); found.Err == nil {
			found.Err = s.checkSettings(ctx, w)
		}
	}
	return found, err
}

// wouldCreate asks the brokers whether they would create the topic.
func (s *Sink) wouldCreate(ctx context.Context, w wanted) (why, err error) {
	replication, settings, err := s.creation(ctx, w)
	if err != nil {
		return nil, err
	}
	responses, err := s.adm.ValidateCreateTopics(ctx, w.partitions, replication, settings, w.name)
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
