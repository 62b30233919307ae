package kafka

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
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// wanted is how a topic must be. Settings are those of a new topic; check looks at an existing one.
type wanted struct {
	name       string
	partitions int32
	settings   map[string]string
	check      func(have []kadm.Config) error
	recount    string // the way out of another partition count, before starting anew
}

// Settings of our own topics: small segments, so that the state stays short to read and retention is exact.
const (
	ownSegmentBytes = 8 << 20
	ownSegmentTime  = time.Hour
	ownDirtyRatio   = "0.1"
	leaderTimeout   = 30 * time.Second
)

// EnsureTopic implements cdc.Sink (rules 9 and 10). A new topic is ready to be written when it returns. It never changes an
// existing topic: what does not fit is cdc.ErrRefused and names the choice; the sink can be used on.
func (s *Sink) EnsureTopic(ctx context.Context, t *cdc.Topic) (created bool, err error) {
	if err := s.usable("ensure topic " + t.Name); err != nil {
		return false, err
	}
	created, err = s.ensure(ctx, s.tableTopic(t))
	if err != nil {
		return false, s.explain("ensure topic "+t.Name, err)
	}
	if created {
		s.ledger.recreated(t.Name)
	}
	return created, nil
}

// tableTopic is how the topic of a table must be.
func (s *Sink) tableTopic(t *cdc.Topic) wanted {
	return wanted{
		name: t.Name, partitions: t.Partitions, settings: s.tableSettings(t), recount: "at a first start set kafka.partitions to its count; later ",
		check: func(have []kadm.Config) error { return s.checkTable(t, have) },
	}
}

func (s *Sink) tableSettings(t *cdc.Topic) map[string]string {
	horizon := milliseconds(s.o.ReplayHorizon)
	settings := map[string]string{"compression.type": "producer", "max.message.bytes": strconv.Itoa(int(s.o.MaxMessageBytes))}
	if t.Compacted {
		settings["cleanup.policy"] = "compact"
		settings["min.compaction.lag.ms"] = horizon
		settings["delete.retention.ms"] = horizon
	} else {
		settings["cleanup.policy"] = "delete"
		settings["retention.ms"] = horizon
	}
	return settings
}

// checkTable refuses settings under which records would be refused or lost.
func (s *Sink) checkTable(t *cdc.Topic, have []kadm.Config) error {
	if err := checkMessageBytes(t.Name, have, s.o.MaxMessageBytes, "kafka.max_message_bytes"); err != nil {
		return err
	}
	policy := text(have, "cleanup.policy")
	compacts := strings.Contains(policy, "compact")
	switch {
	case compacts && !t.Compacted:
		return wrongSetting(t.Name, "cleanup.policy", "delete", refuse(alter(t.Name, "cleanup.policy=delete"),
			"its cleanup.policy is %q, but its records do not always carry whole rows, so compaction would lose values", policy))
	case compacts:
		return s.checkHorizon(t, have, "min.compaction.lag.ms", "delete.retention.ms")
	case t.Compacted && policy != "":
		s.log.Warn("the topic is not compacted although its records would allow it: a rebuild from Kafka will not find old rows", zap.String("topic", t.Name), zap.String("cleanup_policy", policy))
	}
	if ms, ok := number(have, "retention.ms"); ok && ms >= 0 && ms < s.o.ReplayHorizon.Milliseconds() {
		s.log.Warn("the topic keeps records for less than kafka.replay_horizon: a loader that is away for longer must rebuild", zap.String("topic", t.Name), zap.Int64("retention_ms", ms))
	}
	return nil
}

// checkMessageBytes refuses a topic that takes smaller records than least, which setting, if it is not empty, has asked for.
func checkMessageBytes(topic string, have []kadm.Config, least int32, setting string) error {
	const key = "max.message.bytes"
	if most, ok := number(have, key); ok && most < int64(least) {
		wants := strconv.Itoa(int(least))
		try, what := alter(topic, key+"="+wants), "the "+wants+" that a pipeline's own records may have"
		if setting != "" {
			try, what = try+"; or lower "+setting, setting+"="+wants
		}
		return wrongSetting(topic, key, wants, refuse(try, "its max.message.bytes is %d, below %s", most, what))
	}
	return nil
}

// checkHorizon keeps deletes readable for as long as a loader may be away: no setting named by keys may be below it.
func (s *Sink) checkHorizon(t *cdc.Topic, have []kadm.Config, keys ...string) error {
	for _, key := range keys {
		if ms, ok := number(have, key); ok && ms < s.o.ReplayHorizon.Milliseconds() {
			wants := milliseconds(s.o.ReplayHorizon)
			return wrongSetting(t.Name, key, wants, refuse(alter(t.Name, key+"="+wants),
				"its %s is %d, below kafka.replay_horizon=%s: a loader could miss deletes", key, ms, s.o.ReplayHorizon))
		}
	}
	return nil
}

// alter is the command that changes a topic's setting.
func alter(topic, setting string) string {
	return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s", topic, setting)
}

// ensureOwnTopics makes or checks the state and progress topics.
func (s *Sink) ensureOwnTopics(ctx context.Context) error {
	for _, w := range s.ownTopics() {
		if _, err := s.ensure(ctx, w); err != nil {
			return fmt.Errorf("ensure topic %s: %w", w.name, err)
		}
	}
	return nil
}

// ownTopics are the state and progress topics.
func (s *Sink) ownTopics() []wanted {
	common := map[string]string{
		"compression.type":  "producer",
		"max.message.bytes": strconv.Itoa(int(s.o.ownMessageBytes())),
		"segment.bytes":     strconv.Itoa(ownSegmentBytes),
		"segment.ms":        milliseconds(ownSegmentTime),
	}
	state := wanted{name: s.stateTopic(), partitions: 1, settings: with(common, "cleanup.policy", "compact", "min.cleanable.dirty.ratio", ownDirtyRatio)}
	state.check = func(have []kadm.Config) error {
		if err := checkPolicy(state.name, have, "compact", "the state would be lost in time"); err != nil {
			return err
		}
		return checkMessageBytes(state.name, have, s.o.ownMessageBytes(), "")
	}
	progress := wanted{name: s.progressTopic(), partitions: 1, settings: with(common, "cleanup.policy", "delete", "retention.ms", milliseconds(s.o.ReplayHorizon))}
	progress.check = func(have []kadm.Config) error {
		if err := checkPolicy(progress.name, have, "delete", "its records have no key"); err != nil {
			return err
		}
		return checkMessageBytes(progress.name, have, s.o.ownMessageBytes(), "")
	}
	state.recount, progress.recount = "delete it if it is empty; if it is not, ", "delete it if it is empty; if it is not, "
	return []wanted{state, progress}
}

func checkPolicy(topic string, have []kadm.Config, policy, why string) error {
	if got := text(have, "cleanup.policy"); got != "" && got != policy {
		return wrongSetting(topic, "cleanup.policy", policy, refuse(alter(topic, "cleanup.policy="+policy), "its cleanup.policy is %q, it must be %q: %s", got, policy, why))
	}
	return nil
}

// ensure creates the topic or checks it, and waits until every partition has a leader.
func (s *Sink) ensure(ctx context.Context, w wanted) (created bool, err error) {
	_, err = s.describe(ctx, w.name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		created, err = s.create(ctx, w)
	}
	if err != nil {
		return false, err
	}
	detail, err := s.awaitLeaders(ctx, w)
	if err != nil {
		return false, err
	}
	if err := w.count(detail); err != nil {
		return false, err
	}
	if created {
		return true, nil
	}
	return false, s.checkSettings(ctx, w)
}

// count refuses a topic with another partition count.
func (w *wanted) count(detail kadm.TopicDetail) error {
	n := len(detail.Partitions)
	if n == int(w.partitions) {
		return nil
	}
	return &WrongPartitions{Topic: w.name, Have: n, err: refuse(w.recount+cdc.ResnapshotAllCommand,
		"it has %d partitions, wanted %d: another count would move keys between partitions", n, w.partitions)}
}

func (s *Sink) describe(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	details, err := s.adm.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("look up: %w", err)
	}
	detail, ok := details[topic]
	if !ok {
		return detail, kerr.UnknownTopicOrPartition
	}
	return detail, detail.Err
}

// create reports false if somebody else was faster.
func (s *Sink) create(ctx context.Context, w wanted) (bool, error) {
	replication, settings, err := s.creation(ctx, w)
	if err != nil {
		return false, err
	}
	resp, err := s.adm.CreateTopic(ctx, w.partitions, replication, settings, w.name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return false, nil
	}
	if err != nil {
		return false, createError(w, err, resp.ErrMessage)
	}
	s.log.Info("created a topic", zap.String("topic", w.name), zap.Int32("partitions", w.partitions), zap.Int16("replication", replication))
	return true, nil
}

// creation is what the topic is created with.
func (s *Sink) creation(ctx context.Context, w wanted) (replication int16, settings map[string]*string, err error) {
	if replication = s.o.Replication; replication == 0 {
		brokers, err := s.adm.ListBrokers(ctx)
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
		return refuse(fmt.Sprintf("create it yourself with %d partitions, or grant Create on topic %q", w.partitions, w.name), "create: %w", err)
	case isOneOf(err, kerr.PolicyViolation, kerr.InvalidConfig, kerr.InvalidPartitions, kerr.InvalidTopicException):
		return refuse(fmt.Sprintf("change what the brokers allow, or create it yourself with %d partitions", w.partitions), "create: %w %s", err, said)
	}
	return fmt.Errorf("create: %w %s", err, said)
}

// awaitLeaders waits until the topic can be written.
func (s *Sink) awaitLeaders(ctx context.Context, w wanted) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leaderTimeout, fmt.Errorf("no leader for a partition within %s. Try: look at the brokers' health", leaderTimeout))
	defer cancel()
	for wait := retryFirst; ; {
		detail, err := s.describe(ctx, w.name)
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

// checkSettings compares what the broker lets us see.
func (s *Sink) checkSettings(ctx context.Context, w wanted) error {
	configs, err := s.adm.DescribeTopicConfigs(ctx, w.name)
	if err == nil {
		_, err = configs.On(w.name, func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if isDenied(err) {
		s.log.Warn("cannot see the topic's settings, going on without checking them. Try: grant DescribeConfigs", zap.String("topic", w.name))
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe its settings: %w", err)
	}
	return w.check(configs[0].Configs)
}

// text is the value of a setting, empty if the broker did not say.
func text(have []kadm.Config, key string) string {
	i := slices.IndexFunc(have, func(c kadm.Config) bool { return c.Key == key })
	if i < 0 {
		return ""
	}
	return have[i].MaybeValue()
}

// number is the value of a numeric setting, if the broker said it.
func number(have []kadm.Config, key string) (int64, bool) {
	n, err := strconv.ParseInt(text(have, key), 10, 64)
	return n, err == nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// with is a copy of the settings with pairs of key and value added.
func with(settings map[string]string, pairs ...string) map[string]string {
	all := make(map[string]string, len(settings)+len(pairs)/2)
	for k, v := range settings {
		all[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}
