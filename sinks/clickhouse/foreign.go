package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
)

// writers tells the pipeline's records from what others wrote to its topics. The id of a producer is Kafka's: it gives
// each to one producer, and no other can write under it.
type writers struct {
	producers cdc.Producers
	retry     retry
	known     map[int64]bool // whether a producer is the pipeline's
	last      int64          // the one that was asked about last, if any was
	lastOurs  bool
}

// mostWriters bounds what is remembered of others.
const mostWriters = 10_000

// wrote reports whether the pipeline wrote a record. The producers are read again at an id that is not known yet: it
// may be that of a capture that has just taken over. An id that is foreign then stays so, since a capture's own is in
// the state topic before any of its records is visible.
func (w *writers) wrote(ctx context.Context, rec *kgo.Record) (bool, error) {
	id := rec.ProducerID
	switch {
	case !rec.Attrs.IsTransactional():
		return false, nil
	case len(w.known) > 0 && id == w.last:
		return w.lastOurs, nil
	}
	ours, ok := w.known[id]
	if !ok {
		if err := w.read(ctx); err != nil {
			return false, err
		}
		ours = w.known[id]
		w.known[id] = ours
	}
	w.last, w.lastOurs = id, ours
	return ours, nil
}

func (w *writers) read(ctx context.Context) error {
	return w.retry(ctx, "read which producers are the pipeline's", func(ctx context.Context) error {
		ids, err := w.producers.Producers(ctx)
		if err != nil {
			return err
		}
		if len(w.known) > mostWriters {
			clear(w.known)
		}
		for _, id := range ids {
			w.known[id] = true
		}
		return nil
	})
}

// passedOver counts records that change nothing, since the pipeline did not write them, and names them in the log: the
// first of a topic at once, then how many there were, once per passedOverEvery.
type passedOver struct {
	count  *prometheus.CounterVec // by topic
	log    *zap.Logger
	topics map[string]*passedOverTopic
}

type passedOverTopic struct {
	said  time.Time // when the log named some last
	since int       // how many came after
}

// passedOverEvery is how often the log names records of one topic.
const passedOverEvery = time.Minute

// note counts one record.
func (p *passedOver) note(rec *kgo.Record, why string) {
	p.count.WithLabelValues(rec.Topic).Inc()
	t := p.topics[rec.Topic]
	if t == nil {
		t = &passedOverTopic{}
		p.topics[rec.Topic] = t
	}
	t.since++
	if now := time.Now(); now.Sub(t.said) >= passedOverEvery {
		p.log.Warn("records of another writer are passed over: they change nothing. Try: find out what else writes to the topic, and take its right away",
			zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset), zap.Int("records", t.since), zap.String("why", why))
		t.said, t.since = now, 0
	}
}

// takeOurs takes a record of a partition if the pipeline wrote it. Kafka's own markers are always taken.
func (b *builder) takeOurs(ctx context.Context, s *span, rec *kgo.Record, take func(context.Context, *span, *kgo.Record) error) error {
	if rec.Attrs.IsControl() {
		return take(ctx, s, rec)
	}
	ours, err := b.writers.wrote(ctx, rec)
	switch {
	case err != nil:
		return err
	case ours:
		return take(ctx, s, rec)
	case rec.Attrs.IsTransactional():
		b.passedOver.note(rec, fmt.Sprintf("producer %d has not claimed the pipeline", rec.ProducerID))
	default:
		b.passedOver.note(rec, "it was written outside of a transaction")
	}
	return b.passOver(s, rec.Offset+1)
}

// passOver lets a partition go on at an offset without what is before it.
func (b *builder) passOver(s *span, next int64) error {
	p := s.partition
	if p.Seek == nil {
		b.batch.take(s, next)
		return nil
	}
	p.Next = next
	if p.Topic.Progress && !p.Seek.Renewed {
		return nil // it waits for a full record, for as long as it takes
	}
	return p.Seek.Passed(next)
}

// tooLarge lists the batches that are too large to be unpacked.
func tooLarge(fetches kgo.Fetches) (batches []*kgo.ErrDecompressTooLarge) {
	fetches.EachError(func(_ string, _ int32, err error) {
		if large := (*kgo.ErrDecompressTooLarge)(nil); errors.As(err, &large) {
			batches = append(batches, large)
		}
	})
	return batches
}

// passOverLarge passes over a batch that unpacks to more than capture writes: nothing of it can be read, so that its
// table is quarantined.
func (l *Loader) passOverLarge(large *kgo.ErrDecompressTooLarge) error {
	t := l.topics[large.Topic]
	if t == nil || t.Parts[large.Partition] == nil || l.waiting.tables[large.Topic].waits() { // a table that waits gets it again
		return nil
	}
	p := t.Parts[large.Partition]
	next := map[string]map[int32]kgo.EpochOffset{large.Topic: {large.Partition: {Epoch: large.Epoch, Offset: large.NextOffset}}}
	defer l.group.Client.SetOffsets(next)
	if large.NextOffset <= p.Next {
		return nil
	}
	what := cdc.Failed("partition %d, offset %d: a batch unpacks to more than %d MiB", p.ID, large.Offset, l.o.batchBytes()>>20).
		Fix("find out what else writes to the topic").Fix("raise kafka.max_message_bytes to what it was")
	if t.Progress {
		l.o.Log.Error("progress records are passed over", zap.Error(what))
	} else {
		l.builder.quarantine(t, max(p.Newest, 1), what.ThenCopy(t.Table).Error())
	}
	return l.builder.passOver(l.builder.batch.span(p), large.NextOffset)
}

// leaveForeign separates topics that have the pipeline's prefix and no name that capture gives, as an alias of a
// table's: nothing in them is read.
func leaveForeign(log *zap.Logger, prefix string, names []string) (ours, foreign []string) {
	for _, name := range names {
		if _, is := apply.NewTopic(name, prefix); is {
			ours = append(ours, name)
		} else {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 {
		log.Warn("topics have the pipeline's prefix and no name that capture gives: they are not read. Try: delete them, or find out what makes them",
			zap.Strings("topics", foreign))
	}
	return ours, foreign
}
