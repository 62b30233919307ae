package main

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestTopicOfOneTable: a topic that does not fit, made beforehand by somebody or changed later, and one that is deleted
// while a leg runs or does not, cost their table only. What is printed heals the first, and the second heals by itself.
func TestTopicOfOneTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, blastSchema)
	topic := r.name + ".public.others"
	created, err := r.kafkaAdmin().CreateTopic(t.Context(), 2, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("16777216")}, topic)
	require.NoError(t, err)
	require.NoError(t, created.Err)
	l := r.start("run")
	r.reaches("public.others", "quarantined", "it has 2 partitions, wanted 3")
	r.reaches("public.others", "quarantined", "kafka-topics.sh --delete --topic "+topic)
	equal := func(table string) {
		t.Helper()
		var out, errs string
		require.Eventually(t, func() bool {
			var code int
			code, out, errs = r.verb("verify", table)
			return code == exitGood
		}, 60*time.Second, 300*time.Millisecond, "%s%s\n%s", &out, &errs, l.output())
		require.True(t, l.running(), l.output())
	}
	equal("public.things")
	require.Contains(t, failedCheck(r.checks(exitNo), "kafka-topics").Command, "kafka-topics.sh --bootstrap-server "+r.stack.Kafka.Brokers()[0]+" --delete --topic "+topic)
	remove := func() {
		deleted, err := r.kafkaAdmin().DeleteTopic(t.Context(), topic)
		require.NoError(t, err)
		require.NoError(t, deleted.Err)
	}
	remove()
	l = r.again(l)
	equal("public.others")

	remove()
	r.exec(`INSERT INTO others VALUES (2, 'after', 'the topic was deleted')`)
	r.goesOn(l)
	equal("public.others")

	for n, change := range []struct {
		what, way string
		harm      func() error
		mend      func()
	}{
		{"it has 4 partitions, wanted 3", "kafka-topics.sh --delete --topic " + topic, func() error {
			added, err := r.kafkaAdmin().CreatePartitions(t.Context(), 1, topic)
			return cmp.Or(err, added.Error())
		}, remove},
		{"its cleanup.policy is", "--add-config cleanup.policy=delete", func() error { return r.alterTopic(topic, "cleanup.policy", "compact") }, func() {
			require.NoError(t, r.alterTopic(topic, "cleanup.policy", "delete"))
		}},
		{"its min.insync.replicas is", "--add-config min.insync.replicas=1", func() error { return r.alterTopic(topic, "min.insync.replicas", "3") }, func() {
			require.NoError(t, r.alterTopic(topic, "min.insync.replicas", "1"))
		}},
		{"it has 2 partitions, wanted 3", "kafka-topics.sh --delete --topic " + topic, func() error {
			remove()
			created, err := r.kafkaAdmin().CreateTopic(t.Context(), 2, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("16777216")}, topic)
			return cmp.Or(err, created.Err)
		}, remove},
	} {
		require.NoError(t, change.harm(), change.what)
		r.exec(`INSERT INTO others VALUES ($1, 'after', 'the topic was changed')`, 10+n)
		if n < 3 { // the last one ends the session by itself
			r.cut(l) // or wait for a minute
		}
		r.reaches("public.others", "quarantined", change.what)
		r.reaches("public.others", "quarantined", change.way)
		r.goesOn(l)
		change.mend()
		l = r.again(l) // or wait for another
		equal("public.others")
	}

	remove()
	created, err = r.kafkaAdmin().CreateTopic(t.Context(), 3, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("16777216")}, topic)
	require.NoError(t, cmp.Or(err, created.Err))
	r.exec(`INSERT INTO others VALUES (19, 'after', 'another topic has its name')`)
	r.goesOn(l)
	equal("public.others")

	l.stop()
	remove()
	r.exec(`INSERT INTO others VALUES (20, 'after', 'both were down')`)
	capture, load := r.start("capture"), r.start("load")
	l = capture
	equal("public.things")
	equal("public.others")
	load.stop()
	remove()
	r.exec(`INSERT INTO others VALUES (21, 'after', 'load was down')`)
	require.Eventually(t, func() bool {
		topics, err := r.kafkaAdmin().ListTopics(t.Context(), topic)
		return err == nil && topics[topic].Err == nil
	}, 30*time.Second, 100*time.Millisecond)
	load = r.start("load")
	equal("public.things")
	equal("public.others")
	capture.stop()
	load.stop()
}

// alterTopic changes a setting of a topic.
func (r *rig) alterTopic(topic, key, value string) error {
	answers, err := r.kafkaAdmin().AlterTopicConfigs(r.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err == nil {
		_, err = answers.On(topic, func(a *kadm.AlterConfigsResponse) error { return a.Err })
	}
	return err
}
