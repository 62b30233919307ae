package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// Settings of our own topics: small segments, so that the state stays short to read and retention is exact.
const (
	ownSegmentBytes = 8 << 20
	ownSegmentTime  = time.Hour
	ownDirtyRatio   = "0.1"
)

// table is how the topic of a table must be.
func (a *topicAdmin) table(t *cdc.Topic) wanted {
	return wanted{
		name: t.Name, partitions: t.Partitions, settings: a.options.tableSettings(t),
		recount: "kafka-topics.sh --delete --topic " + t.Name + ", which then is made again and the table copied; at a first start also kafka.partitions as it has them",
		check:   func(have []kadm.Config) error { return a.checkTable(t, have) },
	}
}

func (o *Options) tableSettings(t *cdc.Topic) map[string]string {
	horizon := milliseconds(o.ReplayHorizon)
	settings := map[string]string{"compression.type": "producer", "max.message.bytes": strconv.Itoa(int(o.MaxMessageBytes))}
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

// own are the state, progress and control topics. Refused is another cleanup policy, for that reason, and smaller
// records than we may write. Partitions that somebody has added stay empty: we write to the first one, and read it.
func (a *topicAdmin) own() []wanted {
	o := a.options
	own := func(name, policy, why, key, value string) wanted {
		return wanted{
			name: name, partitions: 1, atLeast: true,
			settings: map[string]string{
				"cleanup.policy": policy, key: value, "compression.type": "producer", "max.message.bytes": strconv.Itoa(int(o.ownMessageBytes())),
				"segment.bytes": strconv.Itoa(ownSegmentBytes), "segment.ms": milliseconds(ownSegmentTime),
			},
			check: func(have []kadm.Config) error {
				if got := text(have, "cleanup.policy"); got != "" && got != policy {
					return wrongSetting(name, "cleanup.policy", policy, "its cleanup.policy is %q, it must be %q: %s", got, policy, why)
				}
				if err := checkMessageBytes(name, have, o.ownMessageBytes(), ""); err != nil {
					return err
				}
				return o.ownKeepsLess(name, have)
			},
		}
	}
	return []wanted{
		own(o.stateTopic(), "compact", "the state would be lost in time", "min.cleanable.dirty.ratio", ownDirtyRatio),
		own(o.progressTopic(), "delete", "its records have no key", "retention.ms", milliseconds(o.ReplayHorizon)),
		own(o.controlTopic(), "compact", "truncates and generations would be lost in time", "min.compaction.lag.ms", milliseconds(o.ReplayHorizon)),
	}
}

// ownKeepsLess says that one of our own topics keeps records for less than load may be away. The state topic, and the
// control topic but for compaction, keep everything: retention does not count where nothing is deleted.
func (o *Options) ownKeepsLess(topic string, have []kadm.Config) error {
	const lag = "min.compaction.lag.ms"
	switch ms, ok := number(have, lag); {
	case topic == o.progressTopic():
		return o.keepsLess(topic, have, "complete_up_to stands still until capture writes a full record again")
	case topic == o.controlTopic() && ok && ms < o.ReplayHorizon.Milliseconds():
		short := wrongSetting(topic, lag, milliseconds(o.ReplayHorizon),
			"its %s is %d, below kafka.replay_horizon=%s: load misses truncates if it is away for longer", lag, ms, o.ReplayHorizon)
		short.Mild = true
		return short
	}
	return nil
}

// checkTable refuses settings under which records would be refused or lost.
func (a *topicAdmin) checkTable(t *cdc.Topic, have []kadm.Config) error {
	if err := checkMessageBytes(t.Name, have, a.options.MaxMessageBytes, "kafka.max_message_bytes"); err != nil {
		return err
	}
	policy := text(have, "cleanup.policy")
	compacts := strings.Contains(policy, "compact")
	switch {
	case compacts && !t.Compacted:
		return wrongSetting(t.Name, "cleanup.policy", "delete",
			"its cleanup.policy is %q, but its records do not always carry whole rows, so compaction would lose values", policy)
	case compacts:
		err := a.options.checkHorizon(t, have, "min.compaction.lag.ms", "delete.retention.ms")
		if err == nil && strings.Contains(policy, "delete") { // it deletes by time and size as well
			err = a.options.keepsLess(t.Name, have, copyNeeded)
		}
		return err
	case t.Compacted && policy != "":
		a.log.Warn("the topic is not compacted although its records would allow it: a rebuild from Kafka will not find old rows",
			zap.String("topic", t.Name), zap.String("cleanup_policy", policy))
	}
	return a.options.keepsLess(t.Name, have, copyNeeded)
}

// keepsLess says that records may go before a loader that is away has read them: it notices that, and its table must
// then be copied. That is no reason to refuse the topic. then is what happens where load is away for longer, or behind
// by more.
func (o *Options) keepsLess(topic string, have []kadm.Config, then string) error {
	const days, bytes = "retention.ms", "retention.bytes"
	var short *WrongSetting
	if ms, ok := number(have, days); ok && ms >= 0 && ms < o.ReplayHorizon.Milliseconds() {
		short = wrongSetting(topic, days, milliseconds(o.ReplayHorizon),
			"its %s is %d, below kafka.replay_horizon=%s: if load is away for longer, %s", days, ms, o.ReplayHorizon, then)
	} else if most, ok := number(have, bytes); ok && most >= 0 {
		short = wrongSetting(topic, bytes, "-1", "its %s is %d: if load is behind by more, %s", bytes, most, then)
	} else {
		return nil
	}
	short.Mild = true
	return short
}

// copyNeeded is what a table needs whose records are gone before load has read them.
const copyNeeded = "it needs a new copy of the table"

const messageBytes = "max.message.bytes"

// tooSmall names all topics of the pipeline that take smaller messages than kafka.max_message_bytes, where one of our
// own does: the setting was raised, and a start refuses one topic after the other.
func (a *topicAdmin) tooSmall(ctx context.Context, own *WrongSetting) error {
	var names []string
	for _, w := range a.own() {
		names = append(names, w.name)
	}
	if details, err := a.adm.ListTopics(ctx); err == nil { // otherwise ours alone are named
		for _, name := range details.Names() {
			if strings.HasPrefix(name, a.options.Prefix+".") {
				names = append(names, name)
			}
		}
	}
	small, _, err := a.smaller(ctx, names)
	if err != nil || len(small) < 2 {
		return own
	}
	return a.raised(small).Because(own)
}

// smaller sorts out which of the topics take smaller messages than kafka.max_message_bytes; larger counts the others of
// which it is known.
func (a *topicAdmin) smaller(ctx context.Context, names []string) (small []string, larger int, err error) {
	configs, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range configs {
		switch most, known := number(c.Configs, messageBytes); {
		case c.Err != nil || !known:
		case most < int64(a.options.MaxMessageBytes):
			small = append(small, c.Name)
		default:
			larger++
		}
	}
	slices.Sort(small)
	return small, larger, nil
}

func (a *topicAdmin) raised(small []string) *cdc.Problem {
	return refuse("%d topics take messages of less than kafka.max_message_bytes=%d: %s", len(small), a.options.MaxMessageBytes, cdc.Few(small)).
		Fix("dirtbike check, which prints the command for each of them").Fix("put kafka.max_message_bytes back")
}

// checkRaised refuses a kafka.max_message_bytes that was raised: no topic of a table that was begun takes as much, so
// that each of them would wait, and be copied again. Where some do, the others wait alone. Below what our own topics
// take anyway, those do not show it.
func (a *topicAdmin) checkRaised(ctx context.Context, state *cdc.State) error {
	var names []string
	for _, t := range state.Tables {
		if t.Topic != "" && t.Phase != cdc.TableExcluded && !slices.Contains(names, t.Topic) {
			names = append(names, t.Topic)
		}
	}
	if len(names) < 2 {
		return nil
	}
	small, larger, err := a.smaller(ctx, names)
	if err != nil || larger > 0 || len(small) < 2 { // what cannot be seen is not compared
		return nil //nolint:nilerr // as in checkSettings
	}
	return a.raised(small)
}

// checkMessageBytes refuses a topic that takes smaller records than least, which setting, if it is not empty, has asked
// for.
func checkMessageBytes(topic string, have []kadm.Config, least int32, setting string) error {
	const key = messageBytes
	most, ok := number(have, key)
	if !ok || most >= int64(least) {
		return nil
	}
	wants := strconv.Itoa(int(least))
	if setting == "" {
		return wrongSetting(topic, key, wants, "its %s is %d, below the %s that a pipeline's own records may have", key, most, wants)
	}
	wrong := wrongSetting(topic, key, wants, "its %s is %d, below %s=%s", key, most, setting, wants)
	wrong.problem.Fix("dirtbike check, which prints the command for every topic").Fix("lower %s", setting)
	return wrong
}

// checkHorizon keeps deletes readable for as long as a loader may be away: no setting named by keys may be below it.
func (o *Options) checkHorizon(t *cdc.Topic, have []kadm.Config, keys ...string) error {
	for _, key := range keys {
		if ms, ok := number(have, key); ok && ms < o.ReplayHorizon.Milliseconds() {
			return wrongSetting(t.Name, key, milliseconds(o.ReplayHorizon),
				"its %s is %d, below kafka.replay_horizon=%s: a loader could miss deletes", key, ms, o.ReplayHorizon)
		}
	}
	return nil
}

// checkReplicas refuses a topic that wants more replicas in sync than it has: the brokers refuse all its records, and
// hold up the transaction, until the producer gives up.
func checkReplicas(detail kadm.TopicDetail, have []kadm.Config) error {
	const key = "min.insync.replicas"
	least, _ := number(have, key)
	for _, p := range detail.Partitions {
		if n := len(p.Replicas); n > 0 && int64(n) < least {
			return wrongSetting(detail.Topic, key, strconv.Itoa(n), "its %s is %d, and it has %d of them: the brokers refuse its records", key, least, n)
		}
	}
	return nil
}

// checkSettings compares what the broker lets us see of a topic.
func (a *topicAdmin) checkSettings(ctx context.Context, w wanted, detail kadm.TopicDetail) error {
	configs, err := a.adm.DescribeTopicConfigs(ctx, w.name)
	if err == nil {
		_, err = configs.On(w.name, func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if isDenied(err) {
		a.log.Warn("cannot see the topic's settings, going on without checking them. Try: grant DescribeConfigs", zap.String("topic", w.name))
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe the settings of topic %s: %w", w.name, err)
	}
	if err := checkReplicas(detail, configs[0].Configs); err != nil {
		return err
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
