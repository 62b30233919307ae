package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// known is what ClickHouse and Kafka say of topics, to find where their partitions start.
type known struct {
	applied []ledger.Applied
	opened  []ledger.Mark
	// stable and ends are the last stable offsets and the high watermarks.
	stable, ends kadm.ListedOffsets
}

func (l *Loader) readKnown(ctx context.Context, topics []string) (k known, err error) {
	if k.applied, err = l.ledger.Applied(ctx, topics); err != nil {
		return k, err
	}
	if k.opened, err = l.ledger.Opens(ctx, topics); err != nil {
		return k, err
	}
	if k.stable, err = l.admin.ListCommittedOffsets(ctx, topics...); err != nil {
		return k, fmt.Errorf("read the topics' last stable offsets: %w", err)
	}
	if k.ends, err = l.admin.ListEndOffsets(ctx, topics...); err != nil {
		return k, fmt.Errorf("read the topics' ends: %w", err)
	}
	return k, nil
}

// newest gives the newest generation opened on the partition by a record that is applied (opens are written before their batch is);
// for another topic of that name, that on any partition of the former ones.
func (k known) newest(p *apply.Partition, renewed bool) (newest uint32) {
	for _, g := range k.opened {
		here := g.TopicID == p.Topic.ID && g.Partition == p.ID && g.Offset < p.Applied
		if g.Topic == p.Topic.Name && (renewed && g.TopicID != p.Topic.ID || !renewed && here) {
			newest = max(newest, g.Generation)
		}
	}
	return newest
}

// errAhead says that more was loaded than Kafka has.
var errAhead = errors.New("more was loaded than Kafka has")

// startPartition finds the offset: what is applied to this topic, else the log's start. Where the one does not continue the other, the
// partition seeks.
func (k known) startPartition(t *apply.Topic, id int32, starts kadm.ListedOffsets) (*apply.Partition, error) {
	p := &apply.Partition{Topic: t, ID: id, Applied: -1}
	for _, a := range k.applied {
		if a.TopicID == t.ID && a.Partition == id {
			p.Applied = a.Next
		}
	}
	start, ok := starts.Lookup(t.Name, id)
	if !ok || start.Err != nil {
		return nil, fmt.Errorf("topic %s, partition %d: no first offset: %w", t.Name, id, start.Err)
	}
	if end, ok := k.ends.Lookup(t.Name, id); ok && end.Err == nil && p.Applied > end.Offset {
		return nil, fmt.Errorf("%w: topic %s, partition %d: loaded up to offset %d, Kafka ends at %d: it was restored from an older copy; what is in ClickHouse is safe. Try: delete the pipeline's topics (dirtbike explain pipeline-topics), then "+cdc.ResnapshotAllCommand, errAhead, t.Name, id, p.Applied, end.Offset)
	}
	switch {
	case p.Applied >= start.Offset:
		p.Next = p.Applied
		return p, nil
	case p.Applied >= 0:
		k.seek(p, gap(t.Name, id, p.Applied, start.Offset), false)
	case k.isAnother(t):
		k.seek(p, changedTopic(t.Name), true)
	case start.Offset > 0:
		k.seek(p, gap(t.Name, id, 0, start.Offset), false)
	default:
		p.Applied = start.Offset
	}
	p.Next = start.Offset
	return p, nil
}

// isAnother reports whether only another topic of that name was ever loaded.
func (k known) isAnother(t *apply.Topic) bool {
	return slices.ContainsFunc(k.applied, func(a ledger.Applied) bool { return a.Topic == t.Name }) &&
		!slices.ContainsFunc(k.applied, func(a ledger.Applied) bool { return a.TopicID == t.ID })
}

// seek makes the partition wait for a newer copy.
func (k known) seek(p *apply.Partition, why error, renewed bool) {
	end, _ := k.stable.Lookup(p.Topic.Name, p.ID)
	p.Seek = &apply.Seek{Above: k.newest(p, renewed), Renewed: renewed, Until: end.Offset, Why: why, Since: time.Now()}
}
