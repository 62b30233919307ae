package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
)

// startOffsets decides where each newly assigned partition starts (rule 21). An error other than a stop makes the group
// session start anew, so ClickHouse being away is waited for here.
func (l *Loader) startOffsets(ctx context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.running, cancel)()
	began := time.Now()
	err := l.retry(ctx, "find the start offsets", func(ctx context.Context) error {
		err := l.assign(ctx, assigned)
		switch {
		case time.Since(began) < unknownPatience:
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return fmt.Errorf("%w: %w; what is in ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand, ErrTopicChanged, err)
		case errors.Is(err, errAhead):
			return fmt.Errorf("%w: %w", ErrGap, err)
		}
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			l.stop(err)
		}
		return nil, err
	}
	l.hold()
	return assigned, nil
}

// unknownPatience is how long a broker may not have heard of a topic that another one names.
const unknownPatience = 15 * time.Second

// checkTopics looks whether a topic was deleted and made again while it is being loaded, or all of them are gone.
func (l *Loader) checkTopics(ctx context.Context) error {
	if time.Since(l.checked) < checkInterval {
		return nil
	}
	l.checked = time.Now()
	progress := schemas.ProgressTopic(l.o.Prefix)
	details, err := l.admin.ListTopics(ctx, append(apply.SortedKeys(l.topics), progress)...)
	if err != nil {
		if l.status.since(readMetadata) == 0 {
			l.complain("cannot "+readMetadata, readMetadata, err)
		} else {
			l.status.failed(readMetadata, err)
		}
		return nil // asked again soon
	}
	l.status.recovered(readMetadata)
	for name, t := range l.topics {
		if d, ok := details[name]; ok && d.Err == nil && len(t.Parts) > 0 && uuid.UUID(d.ID) != t.ID {
			return changedTopic(name)
		}
	}
	return l.checkProgress(ctx, progress, details[progress].Err)
}

// checkProgress stops where Kafka has lost a pipeline that was loaded before: there is nothing then to consume, and to fail at.
func (l *Loader) checkProgress(ctx context.Context, topic string, found error) error {
	if !errors.Is(found, kerr.UnknownTopicOrPartition) {
		l.missing = time.Time{}
		return nil
	}
	if l.missing.IsZero() {
		l.missing = l.checked
	}
	if l.checked.Sub(l.missing) < missingPatience {
		return nil
	}
	applied, err := l.ledger.Applied(ctx, []string{topic})
	if err != nil || len(applied) == 0 {
		return nil //nolint:nilerr // asked again soon; without a row it is a first start
	}
	return fmt.Errorf("%w: Kafka has no topic %s, which was loaded before: is this another cluster, or was it rebuilt? What is in ClickHouse is safe. Try: connect to the former cluster, or "+cdc.ResnapshotAllCommand, ErrTopicChanged, topic)
}

const (
	checkInterval   = 5 * time.Second
	missingPatience = 8 * time.Second // a broker that has just started may not know its topics yet
	readMetadata    = "read the topics' metadata"
)

// assign fills in the offsets and makes the state of the partitions.
func (l *Loader) assign(ctx context.Context, assigned map[string]map[int32]kgo.Offset) error {
	names := apply.SortedKeys(assigned)
	if len(names) == 0 {
		return nil
	}
	details, err := l.admin.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the topics' metadata: %w", err)
	}
	starts, err := l.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the topics' first offsets: %w", err)
	}
	young, err := l.readYoung(ctx, names)
	if err != nil {
		return err
	}
	known, err := l.readKnown(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		d := details[name]
		if d.Err != nil {
			return fmt.Errorf("topic %s: %w", name, d.Err)
		}
		t, err := l.assignTopic(name, d)
		if err != nil {
			return err
		}
		for id := range assigned[name] {
			p, err := known.startPartition(t, id, starts)
			if err != nil {
				return err
			}
			if !t.Progress && p.Seek == nil {
				l.checkHorizon(p, known, young)
			}
			assigned[name][id] = kgo.NewOffset().At(p.Next).WithEpoch(-1)
			t.Parts[id] = p
		}
		if err := l.loadTopic(ctx, t); err != nil {
			return err
		}
	}
	return l.quarantines.Load(ctx, l.ledger)
}

// assignTopic makes or renews the topic's state.
func (l *Loader) assignTopic(name string, d kadm.TopicDetail) (*apply.Topic, error) {
	t := l.topics[name]
	if t == nil {
		made, ok := apply.NewTopic(name, l.o.Prefix)
		if !ok {
			return nil, fmt.Errorf("%w: topic %s has the pipeline's prefix but no name that capture gives. Try: another kafka.prefix, or delete the topic", ErrTopicChanged, name)
		}
		made.ID = uuid.UUID(d.ID)
		t = made
		l.topics[name] = t
	}
	if t.ID != uuid.UUID(d.ID) {
		return nil, changedTopic(name)
	}
	t.Partitions = int32(len(d.Partitions)) //nolint:gosec // a count
	return t, nil
}

func changedTopic(name string) error {
	return fmt.Errorf("%w: %s has another id now; what is in ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand, ErrTopicChanged, name)
}

func gap(topic string, partition int32, have, start int64) error {
	return fmt.Errorf("%w: topic %s, partition %d: loaded up to offset %d, Kafka begins at %d; what is in ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand,
		ErrGap, topic, partition, have, start)
}

// loadTopic reads what ClickHouse knows of the topic: generations on all partitions, and what the view shows.
func (l *Loader) loadTopic(ctx context.Context, t *apply.Topic) error {
	if t.Progress {
		return l.progress.load(ctx, l.ledger, t, ownState{l.o.Prefix, l.topics, l.quarantines})
	}
	if err := l.loadGenerations(ctx, t); err != nil {
		return err
	}
	t.Unsettled = len(t.Generations) > 0
	l.o.Log.Info("partitions assigned", zap.String("topic", t.Name), zap.Int("partitions", len(t.Parts)), zap.Uint32("generation_shown", t.Shown))
	return nil
}

func (l *Loader) loadGenerations(ctx context.Context, t *apply.Topic) error {
	marks, err := l.ledger.Marks(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, m := range marks {
		t.Learn(m.Partition, m.Generation, m.Kind, apply.End{Offset: m.Offset, Cut: m.Version})
	}
	if err := l.loadGone(ctx, t); err != nil {
		return err
	}
	return l.loadShown(ctx, t)
}
