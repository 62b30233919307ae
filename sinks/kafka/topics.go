package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// topicAdmin makes topics and compares those that there are with what the pipeline needs (rules 9 and 10). It never
// changes an existing topic: what does not fit is cdc.ErrRefused and names the choice.
type topicAdmin struct {
	options *Options
	adm     *kadm.Client
	log     *zap.Logger
	said    *sync.Map // what log has of topics that are used all the same, by the text
}

// leaderTimeout bounds the wait for the leaders of a topic's partitions.
const leaderTimeout = 30 * time.Second

// wanted is how a topic must be. Settings are those of a new topic; check compares those of an existing one.
type wanted struct {
	name       string
	partitions int32
	atLeast    bool // more partitions do no harm
	settings   map[string]string
	check      func(have []kadm.Config) error
	recount    string // what to do about another partition count
}

// EnsureTopic implements cdc.Sink. A new topic is ready to be written when it returns. After a refusal the sink can be
// used on.
func (s *Sink) EnsureTopic(ctx context.Context, t *cdc.Topic) (bool, error) {
	const doing = "ensure the topic"
	if err := s.usable(doing); err != nil {
		return false, err
	}
	detail, created, err := s.topics.ensure(ctx, s.topics.table(t))
	if err != nil {
		return false, s.o.blame(t.Name, s.o.explain(doing, err))
	}
	switch other := s.ids.ensured(t.Name, detail.ID); {
	case created:
		s.ledger.recreated(t.Name)
	case other:
		created, err = true, newStateReader(&s.o, s.client.Load()).replaced(ctx, s.ledger, t.Name)
	default:
		err = s.ledger.troubled[t.Name]
	}
	if err != nil {
		return false, s.o.blame(t.Name, s.o.explain(doing, err))
	}
	return created, nil
}

// replaced reads how far a topic reaches that somebody has made in the place of another.
func (r *stateReader) replaced(ctx context.Context, l *ledger, topic string) error {
	l.recreated(topic)
	delete(l.troubled, topic)
	return r.deriveOffsets(ctx, l, topic)
}

// ensureOwn makes or checks the state, progress and control topics.
func (a *topicAdmin) ensureOwn(ctx context.Context) error {
	var unfit cdc.Problems
	for _, w := range a.own() {
		_, _, err := a.ensure(ctx, w)
		switch small := (*WrongSetting)(nil); {
		case errors.As(err, &small) && small.Key == messageBytes:
			return a.tooSmall(ctx, small)
		case errors.As(err, new(*WrongSetting)), errors.As(err, new(*WrongPartitions)):
			unfit = append(unfit, err)
		case err != nil:
			return err
		}
	}
	switch len(unfit) {
	case 0:
		return nil
	case 1:
		return unfit[0]
	}
	return unfit
}

// ensure creates the topic or checks it, and waits until every partition has a leader.
func (a *topicAdmin) ensure(ctx context.Context, w wanted) (detail kadm.TopicDetail, created bool, err error) {
	_, err = a.describe(ctx, w.name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		created, err = a.create(ctx, w)
	}
	if err == nil {
		detail, err = a.awaitLeaders(ctx, w)
	}
	if err != nil {
		return detail, false, err
	}
	if err = w.mayWrite(detail); err == nil {
		err = w.count(detail)
	}
	if err == nil && !created {
		err = a.checkSettings(ctx, w, detail)
	}
	if mild(err) {
		a.warnOnce("a topic is used, and does not keep what others may still need", err)
		err = nil
	}
	return detail, created && err == nil, err
}

// warnOnce logs once in the life of the sink.
func (a *topicAdmin) warnOnce(message string, err error) {
	if _, before := a.said.LoadOrStore(err.Error(), true); !before {
		a.log.Warn(message, zap.Error(err))
	}
}

// mild reports whether what is wrong with a topic is only to be said.
func mild(err error) bool {
	var setting *WrongSetting
	return errors.As(err, &setting) && setting.Mild
}

// count refuses a topic with another partition count.
func (w *wanted) count(detail kadm.TopicDetail) error {
	n := len(detail.Partitions)
	if n == int(w.partitions) || w.atLeast && n > int(w.partitions) {
		return nil
	}
	problem := refuse("it has %d partitions, wanted %d: another count would move keys between partitions", n, w.partitions).At("topic " + w.name)
	return &WrongPartitions{w.name, n, unfit{problem.Fix("%s", w.recount)}}
}

// mayWrite refuses a topic that we may not write to, where the broker says what we may do (Kafka 2.3 on).
func (w *wanted) mayWrite(detail kadm.TopicDetail) error {
	if may := detail.AuthorizedOperations; len(may) == 0 || slices.Contains(may, kadm.OpWrite) || slices.Contains(may, kadm.OpAll) {
		return nil
	}
	return fmt.Errorf("write to topic %s: %w", w.name, kerr.TopicAuthorizationFailed)
}

func (a *topicAdmin) describe(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	details, err := a.adm.ListTopicsWithInternal(kadm.WithAuthorizedOps(ctx), topic)
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
		return refuse("create").At("topic "+w.name).Because(err).Fix("create it yourself: %s", w.command()).Fix("grant Create on topic %q", w.name)
	case isOneOf(err, kerr.PolicyViolation, kerr.InvalidConfig, kerr.InvalidPartitions, kerr.InvalidTopicException):
		return refuse("create").At("topic "+w.name).Because(fmt.Errorf("%w %s", err, said)).
			Fix("change what the brokers allow").Fix("create it yourself: %s", w.command())
	}
	return fmt.Errorf("create topic %s: %w %s", w.name, err, said)
}

// command makes the topic with Kafka's own tool.
func (w *wanted) command() string {
	line := fmt.Sprintf("kafka-topics.sh --create --topic %s --partitions %d", w.name, w.partitions)
	for _, key := range slices.Sorted(maps.Keys(w.settings)) {
		line += " --config " + key + "=" + w.settings[key]
	}
	return line
}

// awaitLeaders waits until the topic can be written.
func (a *topicAdmin) awaitLeaders(ctx context.Context, w wanted) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leaderTimeout, &noLeader{unfit{cdc.Failed("no leader for a partition within %s", leaderTimeout).
		At("topic " + w.name).Fix("check the brokers' health")}})
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

// WrongSetting says that a topic's setting would make records be refused or lost. It is cdc.ErrRefused.
type WrongSetting struct {
	Topic, Key, Wants string // the topic, and the key of its setting that must have this value
	Mild              bool   // Mild says that the topic is used all the same

	unfit
}

// unfit is the problem of a topic that does not fit.
type unfit struct{ problem *cdc.Problem }

func (e unfit) Error() string { return e.problem.Error() }

// Unwrap gives the cdc.Problem.
func (e unfit) Unwrap() error { return e.problem }

// wrongSetting makes a WrongSetting whose way out is the command that changes the setting.
func wrongSetting(topic, key, wants, format string, args ...any) *WrongSetting {
	problem := refuse(format, args...).At("topic "+topic).
		Fix("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%s", topic, key, wants)
	return &WrongSetting{Topic: topic, Key: key, Wants: wants, unfit: unfit{problem}}
}

// noLeader says that a partition of a topic cannot be written.
type noLeader struct{ unfit }

// WrongPartitions says that a topic has another partition count than the pipeline. It is cdc.ErrRefused.
type WrongPartitions struct {
	Topic string // Topic has this many partitions
	Have  int

	unfit
}

// Inspected is what Inspect found of one topic.
type Inspected struct {
	Topic  string
	Exists bool  // Exists says that the topic is there; otherwise the brokers were asked whether they would create it
	Err    error // what a start would refuse, fail with or warn of (Mild); nil if the topic fits, or would be made

	id kadm.TopicID
}

// inspectors is how many topics are asked for at the same time.
const inspectors = 8

// Inspect compares the pipeline's own topics and those of tables with what a start would make or accept, at any time
// before Close, and changes nothing: a topic that is not there is only asked for with "validate only". An error says
// that Kafka did not answer.
func (s *Sink) Inspect(ctx context.Context, topics []*cdc.Topic) ([]Inspected, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, s.o.explain(inspecting, errClosed)
	}
	client, err := kgo.NewClient(s.o.readerOptions()...) // of its own, so that it may be called at any time
	if err != nil {
		return nil, s.o.explain(inspecting, badClient(err))
	}
	defer client.Close()
	return inspectAll(ctx, &s.o, kadm.NewClient(client), topics)
}

// Unfit implements cdc.Sink. It also notices that the progress topic has lost its last full record.
func (s *Sink) Unfit(ctx context.Context, topics []*cdc.Topic) (map[string]error, error) {
	client, err := kgo.NewClient(s.o.readerOptions()...)
	if err != nil {
		return nil, s.o.explain(inspecting, badClient(err))
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	s.lastFull.look(ctx, admin, s.o.progressTopic())
	found, err := inspectAll(ctx, &s.o, admin, topics)
	if err != nil {
		return nil, err
	}
	unfit, log := map[string]error{}, &topicAdmin{log: s.o.Log, said: &s.said}
	for _, t := range found {
		switch wrong := (*WrongSetting)(nil); {
		case mild(t.Err):
			log.warnOnce("a topic's settings were changed: it does not keep what others may still need", t.Err)
		case s.o.isOwn(t.Topic):
			if errors.As(t.Err, &wrong) {
				log.warnOnce("a topic of the pipeline has other settings now: the next start refuses it", t.Err)
			}
		default:
			if err := s.o.judge(t, s.ids.another(t.Topic, t.id)); err != nil {
				unfit[t.Topic] = err
			}
		}
	}
	return unfit, nil
}

// judge says what is the matter with the topic of a table; nil if it can be used on. another says that it is not the
// one that was ensured.
func (o *Options) judge(t Inspected, another bool) error {
	switch {
	case !t.Exists:
		return cdc.ErrNoTopic
	case another:
		return fmt.Errorf("%w: another one has its name", cdc.ErrNoTopic)
	case t.Err != nil && whose(t.Err) == ofTopic:
		return o.blame(t.Topic, o.explain(inspecting, t.Err))
	}
	return nil
}

const inspecting = "inspect the topics"

func inspectAll(ctx context.Context, o *Options, asking *kadm.Client, topics []*cdc.Topic) ([]Inspected, error) {
	admin := &topicAdmin{options: o, adm: asking, log: zap.NewNop(), said: new(sync.Map)}
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
		return nil, o.explain(inspecting, err)
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
		found.id = detail.ID
		if found.Err = w.count(detail); found.Err == nil {
			found.Err = a.checkSettings(ctx, w, detail)
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
