package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
)

// appliedOffset is one row of `applied`.
type appliedOffset struct {
	id        uuid.UUID
	partition int32
	next      int64
}

func (l *Loader) readApplied(ctx context.Context, topics []string) (map[string][]appliedOffset, error) {
	rows, err := l.conn.Query(ctx, "SELECT topic, topic_id, partition, max(next) FROM "+l.raw("applied")+" WHERE topic IN ("+literals(topics)+") GROUP BY topic, topic_id, partition")
	if err != nil {
		return nil, fmt.Errorf("read applied offsets: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	out := map[string][]appliedOffset{}
	for rows.Next() {
		var name string
		var a appliedOffset
		var id uint32
		var next uint64
		if err := rows.Scan(&name, &a.id, &id, &next); err != nil {
			return nil, fmt.Errorf("read applied offsets: %w", err)
		}
		a.partition, a.next = int32(id), int64(next)
		out[name] = append(out[name], a)
	}
	return out, rows.Err()
}

func literals(list []string) string {
	var out []byte
	for i, s := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, literal(s)...)
	}
	return string(out)
}

// known is what ClickHouse and Kafka say of topics, to find where their partitions start.
type known struct {
	applied map[string][]appliedOffset
	opened  map[string][]openedGeneration
	// stable and ends are the last stable offsets and the high watermarks.
	stable, ends kadm.ListedOffsets
}

// openedGeneration is a generation that was opened on a partition of a topic, by the record at an offset.
type openedGeneration struct {
	id         uuid.UUID
	partition  int32
	generation uint32
	offset     int64
}

func (l *Loader) readKnown(ctx context.Context, topics []string) (k known, err error) {
	if k.applied, err = l.readApplied(ctx, topics); err != nil {
		return k, err
	}
	if k.opened, err = l.readOpened(ctx, topics); err != nil {
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

func (l *Loader) readOpened(ctx context.Context, topics []string) (map[string][]openedGeneration, error) {
	rows, err := l.conn.Query(ctx, "SELECT topic, topic_id, partition, generation, max(offset) FROM "+l.raw("generations")+" WHERE kind = 'open' AND topic IN ("+literals(topics)+") GROUP BY topic, topic_id, partition, generation")
	if err != nil {
		return nil, fmt.Errorf("read opened generations: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	out := map[string][]openedGeneration{}
	for rows.Next() {
		var name string
		var id uint32
		var offset uint64
		var g openedGeneration
		if err := rows.Scan(&name, &g.id, &id, &g.generation, &offset); err != nil {
			return nil, fmt.Errorf("read opened generations: %w", err)
		}
		g.partition, g.offset = int32(id), int64(offset)
		out[name] = append(out[name], g)
	}
	return out, rows.Err()
}

// newest gives the newest generation opened on the partition by a record that is applied (opens are written before their batch is);
// for another topic of that name, that on any partition of the former ones.
func (k known) newest(p *partition, renewed bool) (newest uint32) {
	for _, g := range k.opened[p.topic.name] {
		here := g.id == p.topic.id && g.partition == p.id && g.offset < p.applied
		if renewed && g.id != p.topic.id || !renewed && here {
			newest = max(newest, g.generation)
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
	for _, a := range k.applied[t.name] {
		if a.id == t.id && a.partition == id {
			p.applied = a.next
		}
	}
	start, ok := starts.Lookup(t.name, id)
	if !ok || start.Err != nil {
		return nil, fmt.Errorf("topic %s, partition %d: no first offset: %w", t.name, id, start.Err)
	}
	if end, ok := k.ends.Lookup(t.name, id); ok && end.Err == nil && p.applied > end.Offset {
		return nil, fmt.Errorf("%w: topic %s, partition %d: loaded up to offset %d, Kafka ends at %d: it was restored from an older copy; what is in ClickHouse is safe. Try: delete the pipeline's topics (README, \"What is written where\"), then "+cdc.ResnapshotAllCommand, errAhead, t.name, id, p.applied, end.Offset)
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
	for _, a := range k.applied[t.name] {
		if a.id == t.id {
			return false
		}
	}
	return len(k.applied[t.name]) > 0
}

// seek makes the partition wait for a newer copy.
func (k known) seek(p *partition, why error, renewed bool) {
	end, _ := k.stable.Lookup(p.topic.name, p.id)
	p.seek = &seek{above: k.newest(p, renewed), renewed: renewed, until: end.Offset, why: why, since: time.Now()}
}
