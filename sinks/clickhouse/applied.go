package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
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
func (k known) newest(p *partition, renewed bool) (newest uint32) {
	for _, g := range k.opened {
		here := g.TopicID == p.topic.id && g.Partition == p.id && g.Offset < p.applied
		if g.Topic == p.topic.name && (renewed && g.TopicID != p.topic.id || !renewed && here) {
			newest = max(newest, g.Generation)
		}
	}
	return newest
}

// errAhead says that more was loaded than Kafka has.
var errAhead = errors.New("more was loaded than Kafka has")

// startPartition finds the offset: what is applied to this topic, else the log's start. Where the one does not continue the other, the
// partition seeks.
func (k known) startPartition(t *topic, id int32, starts kadm.ListedOffsets) (*partition, error) {
	p := &partition{topic: t, id: id, applied: -1}
	for _, a := range k.applied {
		if a.TopicID == t.id && a.Partition == id {
			p.applied = a.Next
		}
	}
	start, ok := starts.Lookup(t.name, id)
	if !ok || start.Err != nil {
		return nil, fmt.Errorf("topic %s, partition %d: no first offset: %w", t.name, id, start.Err)
	}
	if end, ok := k.ends.Lookup(t.name, id); ok && end.Err == nil && p.applied > end.Offset {
		return nil, fmt.Errorf("%w: topic %s, partition %d: loaded up to offset %d, Kafka ends at %d: it was restored from an older copy; what is in ClickHouse is safe. Try: delete the pipeline's topics (dirtbike explain pipeline-topics), then "+cdc.ResnapshotAllCommand, errAhead, t.name, id, p.applied, end.Offset)
	}
	switch {
	case p.applied >= start.Offset:
		p.next = p.applied
		return p, nil
	case p.applied >= 0:
		k.seek(p, gap(t.name, id, p.applied, start.Offset), false)
	case k.isAnother(t):
		k.seek(p, changedTopic(t.name), true)
	case start.Offset > 0:
		k.seek(p, gap(t.name, id, 0, start.Offset), false)
	default:
		p.applied = start.Offset
	}
	p.next = start.Offset
	return p, nil
}

// isAnother reports whether only another topic of that name was ever loaded.
func (k known) isAnother(t *topic) bool {
	return slices.ContainsFunc(k.applied, func(a ledger.Applied) bool { return a.Topic == t.name }) &&
		!slices.ContainsFunc(k.applied, func(a ledger.Applied) bool { return a.TopicID == t.id })
}

// seek makes the partition wait for a newer copy.
func (k known) seek(p *partition, why error, renewed bool) {
	end, _ := k.stable.Lookup(p.topic.name, p.id)
	p.seek = &seek{above: k.newest(p, renewed), renewed: renewed, until: end.Offset, why: why, since: time.Now()}
}
