package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestTopicOfOneTable: a topic that does not fit, made beforehand by somebody, and one that is deleted while capture
// runs cost their table only. What is printed heals the first, and the second heals by itself.
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
	l.stop()
}
