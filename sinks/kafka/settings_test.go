package kafka

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"dirtbike/cdc"
)

// TestOwnTopicsThatKeepLess: what is below kafka.replay_horizon is said once, with the way out, and nothing is refused.
func TestOwnTopicsThatKeepLess(t *testing.T) {
	seeds, topic := fakeCluster(t).ListenAddrs(), claims("clinic", 2)
	core, lines := observer.New(zap.WarnLevel)
	o := options(seeds, "clinic")
	o.Log = zap.New(core)
	s := started(t, o, topic)
	for n, c := range []struct{ topic, key, value, wants string }{
		{s.o.progressTopic(), "retention.ms", "1000", milliseconds(s.o.ReplayHorizon)},
		{s.o.progressTopic(), "retention.bytes", "1000", "-1"},
		{s.o.controlTopic(), "min.compaction.lag.ms", "0", milliseconds(s.o.ReplayHorizon)},
		{s.o.controlTopic(), "retention.ms", "1000", ""}, // nothing is deleted there
		{s.o.stateTopic(), "retention.bytes", "1000", ""},
	} {
		lines.TakeAll()
		alter := func(value string) {
			t.Helper()
			answers, err := adminOf(t, seeds).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: c.key, Value: &value}}, c.topic)
			require.NoError(t, err)
			require.NoError(t, answers[0].Err)
		}
		alter(c.value)
		for range 2 {
			unfit, err := s.Unfit(t.Context(), []*cdc.Topic{topic})
			require.NoError(t, err)
			require.Empty(t, unfit)
			_, err = s.Recover(t.Context())
			require.NoError(t, err)
		}
		found, err := s.Inspect(t.Context(), nil)
		require.NoError(t, err)
		at := slices.IndexFunc(found, func(i Inspected) bool { return i.Topic == c.topic })
		if c.wants == "" {
			require.Zero(t, lines.Len(), n)
			require.NoError(t, found[at].Err)
			continue
		}
		require.Equal(t, 1, lines.Len(), n)
		require.True(t, mild(found[at].Err))
		requireSetting(t, found[at].Err, c.topic, c.key)
		alter(c.wants)
		found, err = s.Inspect(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, found[at].Err)
	}
}
