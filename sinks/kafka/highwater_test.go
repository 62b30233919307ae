package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/schemas"
)

// TestHighWaterOutlivesTheState: where the state topic is lost, damaged or does not fit, a sink that is about to
// replace it goes on, and the progress topic still says the highest epoch and generations. Any other sink refuses.
func TestHighWaterOutlivesTheState(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, client *kgo.Client, o *Options)
		try    string // what a sink that is not to replace it says; "" if it takes it for a first start
	}{
		{"lost", func(t *testing.T, client *kgo.Client, o *Options) {
			_, err := kadm.NewClient(client).DeleteTopic(t.Context(), schemas.StateTopic(o.Prefix))
			require.NoError(t, err)
		}, ""},
		{"damaged", func(t *testing.T, client *kgo.Client, o *Options) {
			require.NoError(t, forge(t, client, true, &kgo.Record{Topic: schemas.StateTopic(o.Prefix), Key: []byte("source"), Value: []byte("{")}))
		}, "upgrade dirtbike"},
		{"other partitions", func(_ *testing.T, _ *kgo.Client, o *Options) { o.Partitions = 5 }, "set it back to 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			seeds := fakeCluster(t).ListenAddrs()
			o := options(seeds, "clinic")
			s := started(t, o, claims("clinic", 2))
			source, table := sinktest.Source(cdc.PhaseStreaming), sinktest.Table("claims", "clinic.public.claims")
			source.Epoch, table.Generation = 3, 7
			point := sinktest.PointAt(9)
			point.Position.Epoch = 3
			_, err := s.Commit(t.Context(), point, source, table)
			require.NoError(t, err)
			client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
			require.NoError(t, err)
			defer client.Close()
			test.change(t, client, &o)

			state, err := newSink(t, o).Recover(t.Context())
			if test.try == "" {
				require.NoError(t, err)
				require.Equal(t, cdc.PhaseNone, state.Source.Phase)
			} else {
				requireRefused(t, err, test.try)
			}
			o.Anew = true
			replacing := newSink(t, o)
			_, err = replacing.Peek(t.Context())
			require.NoError(t, err)
			state, err = replacing.Recover(t.Context())
			require.NoError(t, err)
			require.Equal(t, cdc.HighWater{Epoch: 3, Generations: map[string]uint32{"public.claims": 7}}, state.HighWater)
		})
	}
}
