package kafka

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
	"dirtbike/docker/embedded"
)

// TestApacheKafka needs Java 17 and Maven; -short leaves it out.
func TestApacheKafka(t *testing.T) {
	broker := apache(t, 1)
	seeds := broker.Brokers()
	sinktest.Exercise(t, func(t *testing.T) sinktest.Pipeline { return pipeline(t, seeds) })
	t.Run("unknown outcome", func(t *testing.T) { unknownOutcome(t, seeds, "unknown") })
	t.Run("answer lost once", func(t *testing.T) { answerLostOnce(t, seeds, "once") })
	t.Run("broker killed inside a transaction", func(t *testing.T) {
		restartInsideTransaction(t, seeds, "killed", func() {
			require.NoError(t, broker.Kill())
			require.NoError(t, broker.Restart(t.Context()))
		})
	})
}

// One of three nodes is killed while transactions run: each record of each commit is there once, and nothing else.
func TestApacheKafkaNodeKilled(t *testing.T) {
	broker := apache(t, 3)
	topic := claims("nodes", 6)
	s := started(t, options(broker.Brokers(), "nodes"), topic)
	const before, after, each = 20, 60, 60
	var killed chan error
	for next := 2; next < before+after; {
		if next == before && killed == nil {
			killed = make(chan error, 1)
			go func() { killed <- broker.KillNode(0) }()
		}
		_, err := s.Write(t.Context(), chunkOf(topic, fmt.Sprint(next), each))
		if err == nil {
			_, err = s.Commit(t.Context(), sinktest.PointAt(cdc.LSN(next)))
		}
		next++
		if err != nil {
			t.Log(err)
			next = int(recovered(t, s).Point.Position.CommitLSN) + 1
		}
	}
	require.NoError(t, <-killed)
	seen := map[string]int{}
	for _, r := range readCommitted(t, broker.Brokers()[1:], topic.Name) {
		seen[r.Key]++
	}
	require.Len(t, seen, (before+after-2)*each)
	for key, times := range seen {
		require.Equal(t, 1, times, key)
	}
}

// recovered recovers, as often as it takes while a node is missing.
func recovered(t *testing.T, s *Sink) (state *cdc.State) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		if state, err = s.Recover(t.Context()); err != nil {
			t.Log(err)
		}
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	return state
}

// apache starts Apache Kafka with one or three nodes.
func apache(t *testing.T, nodes int) *embedded.Kafka {
	t.Helper()
	if testing.Short() {
		t.Skip("Apache Kafka takes too long for -short")
	}
	dir, err := os.MkdirTemp("", "dirtbike-kafka-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	stack, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Kafka: "apache", ApacheNodes: nodes, Parts: embedded.Parts{Kafka: true}})
	if err != nil && os.Getenv("DIRTBIKE_REQUIRE_ALL") != "1" && (strings.Contains(err.Error(), "java") || strings.Contains(err.Error(), "mvn")) {
		t.Skipf("Apache Kafka needs Java 17 and Maven (apt-get install openjdk-17-jre-headless maven): %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Stop(context.Background())) })
	return stack.Kafka
}
