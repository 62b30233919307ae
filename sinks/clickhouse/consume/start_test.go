package consume

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// at is one partition's offset.
func at(offset int64) kadm.ListedOffsets {
	return kadm.ListedOffsets{"p.public.a": {0: {Topic: "p.public.a", Offset: offset}}}
}

// TestStart: where a partition starts, and whether it has to seek, by what is applied and what Kafka has.
func TestStart(t *testing.T) {
	here, former := uuid.New(), uuid.New()
	applied := func(id uuid.UUID, next int64) []ledger.Applied {
		return []ledger.Applied{{TopicID: id, Topic: "p.public.a", Next: next}}
	}
	for name, c := range map[string]struct {
		known         Known
		next, applied int64
		why           error // of seeking; nil is none
		above         uint32
		renewed       bool
	}{
		"nothing was loaded":         {Known{First: at(0), Ends: at(9)}, 0, 0, nil, 0, false},
		"it goes on":                 {Known{First: at(0), Ends: at(9), AtHorizon: at(0), Applied: applied(here, 5)}, 5, 5, nil, 0, false},
		"all is loaded":              {Known{First: at(9), Ends: at(9), AtHorizon: at(9), Applied: applied(here, 9)}, 9, 9, nil, 0, false},
		"the first records are gone": {Known{First: at(3), Ends: at(9), Stable: at(9)}, 3, -1, ErrGap, 0, false},
		"records between are gone": {Known{
			First: at(7), Ends: at(9), Stable: at(9), Applied: applied(here, 5),
			Opens: []ledger.Mark{
				{TopicID: here, Topic: "p.public.a", Generation: 2, Offset: 1}, {TopicID: here, Topic: "p.public.a", Generation: 3, Offset: 6},
				{TopicID: former, Topic: "p.public.a", Generation: 9}, {TopicID: here, Topic: "p.public.a", Generation: 8, Partition: 1},
			},
		}, 7, 5, ErrGap, 2, false},
		"another topic of the name": {Known{
			First: at(0), Ends: at(9), Stable: at(9), Applied: applied(former, 500),
			Opens: []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 4, Partition: 2}, {TopicID: here, Topic: "p.public.a", Generation: 7}},
		}, 0, -1, ErrTopicChanged, 4, true},
		"older than the horizon": {Known{First: at(0), Ends: at(9), Stable: at(9), AtHorizon: at(6), Applied: applied(here, 5)}, 5, 5, ErrGap, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.known.Start(&apply.Topic{Name: "p.public.a", ID: here}, 0)
			require.NoError(t, err)
			require.Equal(t, c.next, p.Next)
			require.Equal(t, c.applied, p.Applied)
			if c.why == nil {
				require.Nil(t, p.Seek)
				return
			}
			require.NotNil(t, p.Seek)
			require.ErrorIs(t, p.Seek.Why, c.why)
			require.Equal(t, c.above, p.Seek.Above)
			require.Equal(t, c.renewed, p.Seek.Renewed)
			require.Equal(t, int64(9), p.Seek.Until)
			require.Len(t, cdc.Explain(p.Seek.Why).Try, 1)
		})
	}
}

// TestHorizonOfTheProgressTopic: it is not compacted, so its age says nothing.
func TestHorizonOfTheProgressTopic(t *testing.T) {
	id := uuid.New()
	k := Known{First: at(0), Ends: at(9), AtHorizon: at(6), Applied: []ledger.Applied{{TopicID: id, Topic: "p.public.a", Next: 5}}}
	p, err := k.Start(&apply.Topic{Name: "p.public.a", ID: id, Progress: true}, 0)
	require.NoError(t, err)
	require.Nil(t, p.Seek)
}

// TestAheadOfKafka: a Kafka that was restored from an older copy ends before what was loaded; a broker that lags does,
// too, for a while.
func TestAheadOfKafka(t *testing.T) {
	k := Known{Applied: []ledger.Applied{{Topic: "p.public.a", Next: 9}}, First: at(0), Ends: at(8)}
	_, err := k.Start(&apply.Topic{Name: "p.public.a"}, 0)
	require.ErrorIs(t, err, errAhead)
	require.Equal(t, []cdc.Remedy{{Command: "kafka-topics.sh --delete --topic p.public.a, which a capture that runs makes again and copies the table"}}, cdc.Explain(err).Try, "of one table")
	_, err = k.Start(&apply.Topic{Name: "p.public.a", Progress: true}, 0)
	require.ErrorIs(t, err, errAhead)
	require.NotErrorIs(t, Final(err, time.Now()), ErrGap)
	final := Final(err, time.Now().Add(-unknownPatience))
	require.ErrorIs(t, final, ErrGap)
	require.Equal(t, []cdc.Remedy{{Command: "delete the pipeline's topics (dirtbike explain pipeline-topics), then " + cdc.ResnapshotAllCommand}}, cdc.Explain(final).Try)
	require.ErrorIs(t, Final(kerr.UnknownTopicOrPartition, time.Now().Add(-unknownPatience)), ErrTopicChanged)
}

// TestTopic: another id or a foreign name is that topic's trouble alone.
func TestTopic(t *testing.T) {
	topics := map[string]*apply.Topic{}
	id := kadm.TopicID(uuid.New())
	k := Known{Topics: kadm.TopicDetails{
		"p.public.a": {ID: id, Partitions: kadm.PartitionDetails{0: {}, 1: {}}}, "p.x": {}, "p.public.b": {Err: kerr.UnknownTopicOrPartition},
	}}
	made, err := k.Topic(topics, "p.public.a", "p")
	require.NoError(t, err)
	require.Equal(t, int32(2), made.Partitions)
	again, err := k.Topic(topics, "p.public.a", "p")
	require.NoError(t, err)
	require.Same(t, made, again)
	_, err = k.Topic(topics, "p.x", "p")
	require.Equal(t, []cdc.Remedy{{Command: "another kafka.prefix, or delete the topic"}}, cdc.Explain(err).Try)
	require.NotErrorIs(t, err, ErrTopicChanged)
	_, err = k.Topic(topics, "p.public.b", "p")
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
	k.Topics["p.public.a"] = kadm.TopicDetail{ID: kadm.TopicID(uuid.New())}
	_, err = k.Topic(topics, "p.public.a", "p")
	require.ErrorIs(t, err, ErrRenewed)
	require.NotErrorIs(t, err, ErrTopicChanged)
}

// TestWatchWaitsForBrokers: a progress topic that is missing is lost only after a while, and is forgotten once it is
// back.
func TestWatchWaitsForBrokers(t *testing.T) {
	w := Watch{asked: time.Now()}
	require.False(t, w.lost(kerr.UnknownTopicOrPartition))
	w.asked = w.asked.Add(missingPatience)
	require.True(t, w.lost(kerr.UnknownTopicOrPartition))
	require.False(t, w.lost(nil))
	require.False(t, w.lost(kerr.UnknownTopicOrPartition))
}
