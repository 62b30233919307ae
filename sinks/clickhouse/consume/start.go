package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// Start decides where a partition starts: at what is applied to this topic, else at the log's beginning (rule 21). If
// the log does not continue what is applied, the partition seeks (apply.Seek). An error may go away by itself; see
// Final.
func (k Known) Start(t *apply.Topic, id int32) (*apply.Partition, error) {
	p := &apply.Partition{Topic: t, ID: id, Applied: -1}
	for _, a := range k.Applied {
		switch {
		case a.Topic != t.Name:
		case a.Partition == ledger.ControlPlaceOf(id) && a.TopicID == t.Controls.Log:
			p.AppliedControls.Log, p.AppliedControls.Next = a.TopicID, a.Next
		case a.TopicID != t.ID:
		case a.Partition == id:
			p.Applied = a.Next
		case a.Partition == ledger.ControlsOf(id):
			p.AppliedControls.Sequence = uint64(a.Next) //nolint:gosec // never negative
		}
	}
	p.Controlled = p.AppliedControls
	first, ok := k.First.Lookup(t.Name, id)
	if !ok || first.Err != nil {
		return nil, fmt.Errorf("topic %s, partition %d: no first offset: %w", t.Name, id, first.Err)
	}
	if end, ok := k.Ends.Lookup(t.Name, id); ok && end.Err == nil && p.Applied > end.Offset {
		return nil, ahead(t, id, p.Applied, end.Offset)
	}
	p.Next = first.Offset
	switch {
	case p.Applied >= first.Offset:
		p.Next = p.Applied
		k.checkHorizon(p)
	case k.isNoTables(t):
		p.Applied = first.Offset // nothing in it counts, so that nothing can be missing
	case p.Applied >= 0:
		k.seek(p, gap(t.Name, id, p.Applied, first.Offset), false)
	case k.isAnother(t):
		k.seek(p, TopicChanged(t.Name), true)
	case first.Offset > 0:
		k.seek(p, gap(t.Name, id, 0, first.Offset), false)
	default:
		p.Applied = first.Offset
	}
	return p, nil
}

// unknownPatience is how long a broker may not know a topic, or records, that another broker has.
const unknownPatience = 15 * time.Second

// Final turns an error in finding the starts into one that stops load, once it has lasted longer than a broker may lag.
func Final(err error, since time.Time) error {
	switch {
	case time.Since(since) < unknownPatience:
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return stop(ErrTopicChanged, "Kafka has lost a topic").Because(err)
	case errors.Is(err, errAhead):
		return cdc.Failed("it was restored").Of(ErrGap).Because(err)
	}
	return err
}

// checkHorizon makes a partition seek that was not loaded for longer than the replay horizon (rule 10): compaction
// keeps tombstones no longer, so that a loader that comes back later may never learn of a delete. What would be read
// next says how late it is: if the first offset that is younger than the horizon comes after the applied one, then
// records in between were older (or, compacted away, had been). A partition with nothing applied has no age, and the
// progress topic no tombstones.
func (k Known) checkHorizon(p *apply.Partition) {
	first, ok := k.AtHorizon.Lookup(p.Topic.Name, p.ID)
	if p.Topic.Progress || p.Applied == 0 || !ok || first.Err != nil || first.Offset <= p.Applied {
		return
	}
	why := stop(ErrGap, "topic %s, partition %d: what was loaded up to offset %d is older than kafka.replay_horizon (%s), so deletes may be missing",
		p.Topic.Name, p.ID, p.Applied, k.Horizon)
	k.seek(p, why, false)
}

// newest gives the newest generation opened on the partition by a record that is applied (opens are written before
// their batch is); for a topic that was made again, the newest on any partition of the former topics.
func (k Known) newest(p *apply.Partition, renewed bool) (newest uint32) {
	for _, g := range k.Opens {
		here := g.TopicID == p.Topic.ID && g.Partition == p.ID && g.Offset <= p.Applied
		if g.Topic == p.Topic.Name && (renewed && g.TopicID != p.Topic.ID || !renewed && here) {
			newest = max(newest, g.Generation)
		}
	}
	return newest
}

// isAnother reports whether only a former topic of this name was ever loaded.
func (k Known) isAnother(t *apply.Topic) bool {
	return slices.ContainsFunc(k.Applied, func(a ledger.Applied) bool { return a.Topic == t.Name && !a.IsControlPlace() }) &&
		!slices.ContainsFunc(k.Applied, func(a ledger.Applied) bool { return a.TopicID == t.ID })
}

// seek makes the partition wait for a newer copy.
func (k Known) seek(p *apply.Partition, why error, renewed bool) {
	end, _ := k.Stable.Lookup(p.Topic.Name, p.ID)
	p.Seek = &apply.Seek{Above: k.newest(p, renewed), Renewed: renewed, Until: end.Offset, Start: p.Next, Why: why, Since: time.Now()}
}

// Known is what ClickHouse and Kafka say about topics, to find where their partitions start.
type Known struct {
	Topics  kadm.TopicDetails
	Applied []ledger.Applied
	Opens   []ledger.Mark
	// First are the logs' first offsets, Stable the last stable ones, Ends the high watermarks.
	First, Stable, Ends kadm.ListedOffsets
	// AtHorizon are the first offsets of records that are younger than Horizon, the end where there is none.
	AtHorizon kadm.ListedOffsets
	Horizon   time.Duration // how long tombstones are kept (rule 10)
}

// Opened reports whether ClickHouse knows a generation of a topic of that name: of any other topic it has nothing else.
func (k Known) Opened(topic string) bool {
	return slices.ContainsFunc(k.Opens, func(g ledger.Mark) bool { return g.Topic == topic })
}

// isNoTables reports whether no generation of the topic is known, neither to ClickHouse nor from the control topic.
func (k Known) isNoTables(t *apply.Topic) bool {
	return !t.Progress && t.Controls != nil && len(t.Controls.Records) == 0 && !k.Opened(t.Name)
}

// Rebuilt reports whether the progress topic is not the one that was loaded: then Kafka is another one, or was rebuilt,
// and what its other topics lack is not their own trouble.
func (k Known) Rebuilt(progress string) bool {
	loaded, same := false, false
	for _, a := range k.Applied {
		if a.Topic == progress {
			loaded, same = true, same || a.TopicID == uuid.UUID(k.Topics[progress].ID)
		}
	}
	return loaded && !same
}

// KafkaError is a question about topics that Kafka has not answered.
type KafkaError struct {
	What string // of the topics
	Err  error
}

func (e *KafkaError) Error() string { return "read the topics' " + e.What + ": " + e.Err.Error() }

// Unwrap gives Err.
func (e *KafkaError) Unwrap() error { return e.Err }

// Read asks for all that Known has. A KafkaError says that it is Kafka that did not answer; any other error is
// ClickHouse's.
func Read(ctx context.Context, kafka *kadm.Client, books *ledger.Ledger, topics []string, progress string, horizon time.Duration) (k Known, err error) {
	k.Horizon = horizon
	if k.Topics, err = kafka.ListTopics(ctx, append(slices.Clone(topics), progress)...); err != nil {
		return k, &KafkaError{"metadata", err}
	}
	for _, list := range []struct {
		what string
		into *kadm.ListedOffsets
		ask  func(context.Context, ...string) (kadm.ListedOffsets, error)
	}{
		{"first offsets", &k.First, kafka.ListStartOffsets},
		{"offsets at the replay horizon", &k.AtHorizon, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return kafka.ListOffsetsAfterMilli(ctx, time.Now().Add(-horizon).UnixMilli(), topics...)
		}},
		{"last stable offsets", &k.Stable, kafka.ListCommittedOffsets},
		{"ends", &k.Ends, kafka.ListEndOffsets},
	} {
		if *list.into, err = list.ask(ctx, topics...); err != nil {
			return k, &KafkaError{list.what, err}
		}
	}
	if k.Applied, err = books.Applied(ctx, append(slices.Clone(topics), progress)); err != nil {
		return k, err
	}
	k.Opens, err = books.Opens(ctx, topics)
	return k, err
}

// Topic gives the topic's state with what Kafka says now, making it in topics if it is not there.
func (k Known) Topic(topics map[string]*apply.Topic, name, prefix string) (*apply.Topic, error) {
	d := k.Topics[name]
	if d.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", name, d.Err)
	}
	t := topics[name]
	if t == nil {
		made, ok := apply.NewTopic(name, prefix)
		if !ok {
			return nil, cdc.Failed("it has the pipeline's prefix but no name that capture gives").At("topic " + name).
				Fix("another kafka.prefix, or delete the topic")
		}
		made.ID = uuid.UUID(d.ID)
		t = made
		topics[name] = t
	}
	if t.ID != uuid.UUID(d.ID) {
		return nil, Renewed(t)
	}
	t.Partitions = int32(len(d.Partitions)) //nolint:gosec // a count
	return t, nil
}

// The reasons for which load stops as a whole: kinds of a cdc.Problem that says where and what to do.
var (
	// ErrTopicChanged says that a topic was deleted and made again since it was loaded.
	ErrTopicChanged = errors.New("the topic is not the one that was loaded before")
	// ErrRenewed says that a table's topic was deleted and made again while it was loaded. It stops nothing.
	ErrRenewed = errors.New("the table's topic was deleted and made again")
	// ErrSameInstance says that another loader has joined the group under this one's name.
	ErrSameInstance = errors.New("another loader runs under this one's name")
	// ErrGap says that Kafka no longer has records that were not loaded yet.
	ErrGap = errors.New("records are missing between what is loaded and what Kafka still has")
)

// errAhead says that more was loaded than Kafka has: for a while this may be a broker that lags.
var errAhead = errors.New("more was loaded than Kafka has")

// ahead says that more of a partition was loaded than Kafka has: offsets below what was loaded come again, for other
// records. A table's topic has none of the others' records, so that it is enough to make it again.
func ahead(t *apply.Topic, id int32, applied, end int64) error {
	p := cdc.Failed("topic %s, partition %d: loaded up to offset %d, Kafka ends at %d: it was restored from an older copy", t.Name, id, applied, end).
		Of(errAhead).Keeps("what is in ClickHouse is safe")
	if !t.Progress {
		return p.Fix("kafka-topics.sh --delete --topic %s, which a capture that runs makes again and copies the table", t.Name)
	}
	return p.Fix("delete the pipeline's topics (dirtbike explain pipeline-topics), then %s", cdc.ResnapshotAllCommand)
}

// stop is a problem after which only a new copy helps.
func stop(kind error, format string, args ...any) *cdc.Problem {
	return cdc.Failed(format, args...).Of(kind).Keeps("what is in ClickHouse is safe").Fix("%s", cdc.ResnapshotAllCommand)
}

// TopicChanged says that a topic has another id than the one that was loaded.
func TopicChanged(topic string) error {
	return stop(ErrTopicChanged, "topic %s has another id now", topic)
}

// Renewed says that a topic has another id than the one that is being loaded.
func Renewed(t *apply.Topic) error {
	if t.Progress {
		return TopicChanged(t.Name)
	}
	return cdc.Failed("topic %s has another id now", t.Name).Of(ErrRenewed).Fix("%s", cdc.ResnapshotCommand(t.Table))
}

// OfTable is a problem with the log of one table, which stops nothing: a new copy of that table is the way out.
func OfTable(err error, table string) error {
	p := *cdc.Explain(err)
	p.Try = nil
	if p.Kind != nil {
		p.What, p.Kind = strings.Join(slices.DeleteFunc([]string{p.Kind.Error(), p.What}, func(s string) bool { return s == "" }), ": "), nil
	}
	return p.Fix("%s", cdc.ResnapshotCommand(table))
}

// OutOfRange says that Kafka does not have the offset from which a partition was to be read.
func OutOfRange(topic string, partition int32, offset int64) error {
	return stop(ErrGap, "topic %s, partition %d: offset %d is out of range", topic, partition, offset)
}

func gap(topic string, partition int32, have, start int64) error {
	return stop(ErrGap, "topic %s, partition %d: loaded up to offset %d, Kafka begins at %d", topic, partition, have, start)
}
