package consume

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

const (
	// CheckInterval is how often topics are looked up while they are being loaded.
	CheckInterval   = 5 * time.Second
	missingPatience = 8 * time.Second // a broker that has just started may not know its topics yet
)

// Watch notices that a topic was deleted and made again while it is being loaded, or that all of them are gone. The
// zero value is ready.
type Watch struct {
	asked   time.Time
	missing time.Time // since when the progress topic is not there; zero while it is
}

// Due says that it is time to ask again.
func (w *Watch) Due() bool { return time.Since(w.asked) >= CheckInterval }

// Ask asks Kafka about the topics and the progress topic. away is why it did not answer, which is nothing to stop for;
// stop is ErrTopicChanged.
func (w *Watch) Ask(ctx context.Context, kafka *kadm.Client, books *ledger.Ledger, topics map[string]*apply.Topic, progress string) (away, stop error) {
	w.asked = time.Now()
	details, err := kafka.ListTopics(ctx, append(apply.SortedKeys(topics), progress)...)
	if err != nil {
		return err, nil
	}
	for name, t := range topics {
		if d, ok := details[name]; ok && d.Err == nil && len(t.Parts) > 0 && uuid.UUID(d.ID) != t.ID {
			return nil, TopicChanged(name)
		}
	}
	if !w.lost(details[progress].Err) {
		return nil, nil
	}
	applied, err := books.Applied(ctx, []string{progress})
	if err != nil || len(applied) == 0 {
		return nil, nil //nolint:nilerr // asked again soon; without a row it is a first start
	}
	return nil, cdc.Failed("Kafka has no topic %s, which was loaded before: is this another cluster, or was it rebuilt?", progress).Of(ErrTopicChanged).
		Keeps("what is in ClickHouse is safe").Fix("connect to the former cluster").Fix("%s", cdc.ResnapshotAllCommand)
}

// lost reports whether the progress topic has been missing for too long to be a broker that starts: then Kafka has lost
// a pipeline, and there is nothing to consume, and to fail at.
func (w *Watch) lost(found error) bool {
	if !errors.Is(found, kerr.UnknownTopicOrPartition) {
		w.missing = time.Time{}
		return false
	}
	if w.missing.IsZero() {
		w.missing = w.asked
	}
	return w.asked.Sub(w.missing) >= missingPatience
}
