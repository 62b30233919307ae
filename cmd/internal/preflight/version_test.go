package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestKafkaVersions: every release from 2.8 on knows what is needed, and each older one lacks what is said.
func TestKafkaVersions(t *testing.T) {
	for release, lacks := range map[*kversion.Versions][]string{
		kversion.V4_1_0(): nil, kversion.V3_0_0(): nil, kversion.V2_8_0(): nil,
		kversion.V2_7_0():  {"Metadata only up to v9 (v10, of Kafka 2.8, is needed)"},
		kversion.V2_4_0():  {"Metadata only up to v9 (v10, of Kafka 2.8, is needed)", "InitProducerID only up to v2 (v3, of Kafka 2.5, is needed)"},
		kversion.V0_10_2(): {"Metadata only up to v2 (v10, of Kafka 2.8, is needed)", "no InitProducerID (v3, of Kafka 2.5, is needed)"},
	} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(release))
		require.NoError(t, err)
		t.Cleanup(cluster.Close)
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		versions, err := kadm.NewClient(client).ApiVersions(t.Context())
		require.NoError(t, err)
		require.Len(t, versions, 1)
		for _, broker := range versions {
			require.Equal(t, lacks, missingRequests(&broker), release.VersionGuess())
		}
	}
}
