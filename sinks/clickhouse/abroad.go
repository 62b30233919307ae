package clickhouse

import (
	"cmp"
	"context"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a progress record asks for are offsets of its topics as they were when it was written, but it names topics, not their ids. A
// topic may have been deleted and made again since; then what was applied to the former one says nothing of the new one's offsets. So
// the id is asked for behind the record, before the record's constraint on a partition of another loader counts as met, and on
// one of this loader where it was met before the record came.

// doubt makes the id of the constraint's topic be asked for, unless the partition is this loader's and still behind it.
func (g *progress) doubt(l *Loader, c constraint) {
	if !l.has(c.topicPartition) || g.applied(l, c.topicPartition) >= c.next {
		g.doubted[c.topic] = true
	}
}

// has reports whether the partition is this loader's.
func (l *Loader) has(at topicPartition) bool {
	t := l.topics[at.topic]
	return t != nil && t.Parts[at.partition] != nil
}

// identify asks for the ids of the doubted topics, and of all that something waits for from time to time. What was applied to a
// former topic of the name is forgotten. A topic that is not there, or has no id yet, stays in doubt.
func (g *progress) identify(ctx context.Context, l *Loader) error {
	if time.Since(g.asked) > checkInterval {
		g.asked = time.Now()
		for _, topic := range g.awaited(func(c constraint) bool { return !l.has(c.topicPartition) }) {
			g.doubted[topic] = true
		}
	}
	if len(g.doubted) == 0 {
		return nil
	}
	now, _, err := l.topicIDs(ctx, apply.SortedKeys(g.doubted))
	if err != nil {
		return err
	}
	for topic, id := range now {
		if t := l.topics[topic]; t != nil && len(t.Parts) > 0 && t.ID != id {
			return changedTopic(topic)
		}
		g.meet(topic, id)
		delete(g.doubted, topic)
	}
	return nil
}

// meet takes the topic's id, and forgets what was applied to a former one.
func (g *progress) meet(topic string, id uuid.UUID) {
	if g.ids[topic] == id {
		return
	}
	g.ids[topic] = id
	for at := range g.foreign {
		if at.topic == topic {
			delete(g.foreign, at)
		}
	}
}

// topicIDs asks for topics' ids now: the client's own metadata may be a little old. missing are those that Kafka does not know; one
// that has no id for any other reason is left out of both.
func (l *Loader) topicIDs(ctx context.Context, topics []string) (ids map[string]uuid.UUID, missing map[string]bool, err error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	ids, missing = map[string]uuid.UUID{}, map[string]bool{}
	err = l.retry(ctx, readMetadata, func(ctx context.Context) error {
		clear(ids)
		clear(missing)
		resp, err := req.RequestWith(ctx, l.kc)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			switch err := kerr.ErrorForCode(t.ErrorCode); {
			case t.Topic == nil: // not asked for
			case err == nil:
				ids[*t.Topic] = t.TopicID
			case errors.Is(err, kerr.UnknownTopicOrPartition):
				missing[*t.Topic] = true
			}
		}
		return nil
	})
	return ids, missing, err
}

// awaited lists the topics of the constraints that are not met and wanted.
func (g *progress) awaited(wanted func(constraint) bool) (topics []string) {
	for i := range g.pending {
		for _, c := range g.pending[i].unmet {
			if wanted(c) && !slices.Contains(topics, c.topic) {
				topics = append(topics, c.topic)
			}
		}
	}
	return topics
}

// lookAbroad reads what is applied to partitions that this loader does not have and something waits for.
func (g *progress) lookAbroad(ctx context.Context, l *Loader) error {
	topics := g.awaited(func(c constraint) bool { return !l.has(c.topicPartition) && g.foreign[c.topicPartition] < c.next })
	if len(topics) == 0 {
		return nil
	}
	var applied []ledger.Applied
	err := l.retry(ctx, "read applied offsets", func(ctx context.Context) (err error) {
		applied, err = l.ledger.Applied(ctx, topics)
		return err
	})
	for _, a := range applied {
		if g.ids[a.Topic] == a.TopicID {
			g.foreign[topicPartition{a.Topic, a.Partition}] = a.Next
		}
	}
	return err
}

// A record's constraint on a topic that was deleted before it was loaded can never be met. It counts as met once the topic that has the
// name now cannot be what the record speaks of, because it ends before the offset, and goes on from a copy that is newer than all of the former one:
// that copy's open record is in ClickHouse, so that the table is not exact until the view shows the copy, which has everything.
// It counts as met, too, where there is no topic of the name and capture has left the table out since: nothing more comes of it, and
// ClickHouse says that the table is not kept up.

// passFormer drops the constraints on former topics, from time to time while something waits.
func (g *progress) passFormer(ctx context.Context, l *Loader) error {
	if time.Since(g.passed) < checkInterval {
		return nil
	}
	g.passed = time.Now()
	topics := g.awaited(func(constraint) bool { return true })
	if err := g.passLeftOut(ctx, l, topics); err != nil {
		return err
	}
	renewed, err := l.renewedTopics(ctx, topics)
	if err != nil || len(renewed) == 0 {
		return err
	}
	var ends kadm.ListedOffsets
	err = l.retry(ctx, readEnds, func(ctx context.Context) (err error) {
		ends, err = l.admin.ListEndOffsets(ctx, apply.SortedKeys(renewed)...)
		return err
	})
	if err != nil {
		return err
	}
	now, _, err := l.topicIDs(ctx, apply.SortedKeys(renewed)) // behind the ends: an id that was left does not come back
	if err != nil {
		return err
	}
	g.pass(func(c constraint) bool {
		return renewed[c.topic] != uuid.Nil && renewed[c.topic] == now[c.topic] && endsBefore(ends, c)
	})
	return nil
}

// passLeftOut drops the constraints on topics that are gone, of tables that capture has left out.
func (g *progress) passLeftOut(ctx context.Context, l *Loader, topics []string) error {
	left := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool {
		return l.quarantines.Rows[apply.QuarantineKey{Table: g.topics[topic], Leg: ledger.LegCapture}].State != ledger.StateExcluded
	})
	if len(left) == 0 {
		return nil
	}
	_, missing, err := l.topicIDs(ctx, left)
	if err == nil {
		g.pass(func(c constraint) bool { return missing[c.topic] })
	}
	return err
}

// pass drops the constraints that can never be met.
func (g *progress) pass(never func(constraint) bool) {
	for i := range g.pending {
		p := &g.pending[i]
		p.unmet = slices.DeleteFunc(p.unmet, func(c constraint) bool {
			drop := never(c)
			if drop {
				g.passed = time.Time{} // more of them may wait behind the records that are held
			}
			return drop
		})
	}
}

// endsBefore reports whether the partition ends before the constraint's offset, or is not there.
func endsBefore(ends kadm.ListedOffsets, c constraint) bool {
	end, ok := ends.Lookup(c.topic, c.partition)
	if first, found := ends.Lookup(c.topic, 0); !ok && found && first.Err == nil {
		return int(c.partition) >= len(ends[c.topic])
	}
	return ok && end.Err == nil && end.Offset < c.next
}

// renewedTopics gives the ids of those topics that have an open record which is newer than all of the former topics of their names.
func (l *Loader) renewedTopics(ctx context.Context, topics []string) (renewed map[string]uuid.UUID, err error) {
	if len(topics) == 0 {
		return nil, nil
	}
	var opened []ledger.Mark
	err = l.retry(ctx, "read opened generations", func(ctx context.Context) (err error) {
		opened, err = l.ledger.Opens(ctx, topics)
		return err
	})
	renewed = map[string]uuid.UUID{}
	byTopic := map[string][]ledger.Mark{}
	for _, m := range opened {
		byTopic[m.Topic] = append(byTopic[m.Topic], m)
	}
	for topic, list := range byTopic {
		newest := slices.MaxFunc(list, func(a, b ledger.Mark) int { return cmp.Compare(a.Generation, b.Generation) })
		below := func(g ledger.Mark) bool { return g.TopicID != newest.TopicID && g.Generation < newest.Generation }
		equal := func(g ledger.Mark) bool { return g.TopicID != newest.TopicID && g.Generation == newest.Generation }
		if slices.ContainsFunc(list, below) && !slices.ContainsFunc(list, equal) {
			renewed[topic] = newest.TopicID
		}
	}
	return renewed, err
}
