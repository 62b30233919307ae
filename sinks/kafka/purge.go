package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
)

// policyTime bounds how long a broker may take to apply a changed clean-up policy, and putting the former one back.
const policyTime = 15 * time.Second

// DeleteBefore deletes a topic's records below an offset in each partition. Kafka does that only for topics from which
// it also deletes by time or size, so a compacted one becomes such a topic meanwhile, without a limit of either: no
// other goes, also if this process dies in between. A refusal is cdc.ErrRefused: nothing, or only some partitions'
// records, are deleted, and it may be called again.
func DeleteBefore(ctx context.Context, admin *kadm.Client, topic string, below map[int32]int64) error {
	offsets := kadm.Offsets{}
	for p, at := range below {
		offsets.AddOffset(topic, p, at, -1)
	}
	remove := func() error {
		answers, err := admin.DeleteRecords(ctx, offsets)
		if err == nil {
			err = answers.Error()
		}
		return err
	}
	err := remove()
	if errors.Is(err, kerr.PolicyViolation) {
		err = whileDeletable(ctx, admin, topic, remove)
	}
	switch {
	case errors.Is(err, kerr.PolicyViolation):
		return refuse("Kafka deletes no records of topic %s on request", topic).Because(err).
			Keeps("compaction removes former values of a key once kafka.replay_horizon is over").Fix("wait for it")
	case isOneOf(err, kerr.TopicAuthorizationFailed):
		return refuse("the login may not delete records of topic %s", topic).Fix("grant it Delete on the topic")
	case err != nil && !errors.Is(err, cdc.ErrRefused):
		return fmt.Errorf("delete records of topic %s: %w", topic, err)
	}
	return err
}

// deletable are the settings of a compacted topic whose records may be deleted, and of which nothing goes by itself.
var deletable = [][2]string{{"cleanup.policy", "compact,delete"}, {"retention.ms", "-1"}, {"retention.bytes", "-1"}}

// whileDeletable runs remove while the compacted topic has those settings.
func whileDeletable(ctx context.Context, admin *kadm.Client, topic string, remove func() error) (err error) {
	former, err := formerSettings(ctx, admin, topic)
	if err != nil {
		return err
	}
	var set []kadm.AlterConfig
	for _, s := range deletable {
		set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: s[0], Value: &s[1]})
	}
	if err := alter(ctx, admin, topic, set); err != nil {
		return mayNotAlter(topic, "Nothing was deleted", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), policyTime)
		defer cancel()
		if back := alter(ctx, admin, topic, former); back != nil && err == nil {
			err = mayNotAlter(topic, "The records are deleted, and no others go", back)
		}
	}()
	deadline := time.Now().Add(policyTime)
	for wait := retryFirst; ; {
		err = remove()
		if !errors.Is(err, kerr.PolicyViolation) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, &wait); err != nil { // the broker does not know the new policy yet
			return err
		}
	}
}

// formerSettings puts back what the topic has of its own of those settings.
func formerSettings(ctx context.Context, admin *kadm.Client, topic string) (back []kadm.AlterConfig, err error) {
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	if err == nil {
		_, err = configs.On(topic, func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if err != nil {
		return nil, fmt.Errorf("describe the settings of topic %s: %w", topic, err)
	}
	for _, s := range deletable {
		change := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: s[0]}
		for _, have := range configs[0].Configs {
			if have.Key == s[0] && have.Source == kmsg.ConfigSourceDynamicTopicConfig {
				change.Op, change.Value = kadm.SetConfig, have.Value
			}
		}
		back = append(back, change)
	}
	return back, nil
}

func alter(ctx context.Context, admin *kadm.Client, topic string, changes []kadm.AlterConfig) error {
	answers, err := admin.AlterTopicConfigs(ctx, changes, topic)
	if err == nil {
		_, err = answers.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	return err
}

// mayNotAlter says what a person with the right may do by hand.
func mayNotAlter(topic, safe string, err error) error {
	var list []string
	for _, s := range deletable {
		list = append(list, s[0]+"=["+s[1]+"]")
	}
	return refuse("the settings of the compacted topic %s cannot be changed, and Kafka deletes records of such a topic only while its cleanup.policy has delete, too", topic).
		Because(err).Keeps("%s", safe).Fix("grant it AlterConfigs on the topic").
		Fix("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s, then purge again; afterwards put the former settings back",
			topic, strings.Join(list, ","))
}
