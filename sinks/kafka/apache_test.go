package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc/sinktest"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestApacheKafka needs Java 17 and Maven; -short leaves it out.
func TestApacheKafka(t *testing.T) {
	broker := apache(t)
	seeds := broker.Brokers()
	sinktest.Exercise(t, func(t *testing.T) sinktest.Pipeline { return pipeline(t, seeds) })
	t.Run("unknown outcome", func(t *testing.T) { unknownOutcome(t, seeds, "unknown") })
	t.Run("answer lost once", func(t *testing.T) { answerLostOnce(t, seeds, "once") })
	t.Run("delete from a compacted topic", func(t *testing.T) { deletesFromCompacted(t, seeds) })
	t.Run("transaction ended by the coordinator", func(t *testing.T) { endedByTheCoordinator(t, seeds, "ended") })
	t.Run("no room for marks", func(t *testing.T) { noRoomForMarks(t, seeds, "marks") })
	t.Run("transaction that cannot end", func(t *testing.T) { transactionThatCannotEnd(t, broker, "stuck") })
	t.Run("broker killed inside a transaction", func(t *testing.T) {
		restartInsideTransaction(t, seeds, "killed", func() {
			require.NoError(t, broker.Kill())
			require.NoError(t, broker.Restart(t.Context()))
		})
	})
}

// apache starts Apache Kafka.
func apache(t *testing.T) *embedded.Kafka {
	t.Helper()
	if testing.Short() {
		t.Skip("Apache Kafka takes too long for -short")
	}
	stack := embeddedtest.Start(t, embedded.Options{Kafka: "apache", Parts: embedded.Parts{Kafka: true}})
	return stack.Kafka
}
