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
// each to one producer. No other can write under it but into a transaction that this one has open (rule 21).
type writers struct {
	producers cdc.Producers
	retry     retry
	once      retry          // for what one table needs to know: it does not wait
	known     map[int64]bool // whether a producer is the pipeline's
	fresh     bool           // they have been read since the last poll
	last      int64          // the one that was asked about last, if any was
	lastOurs  bool
}

// mostWriters bounds what is remembered of others.
const mostWriters = 10_000

// wrote reports whether the pipeline wrote what is by a producer. The producers are read again at an id that is not
// known yet: it may be that of a capture that has just taken over. An id that is foreign then stays so, since a
// capture's own is in the state topic before any of its records is visible. So once a poll is enough, however many ids
// its records have.
func (w *writers) wrote(ctx context.Context, t *apply.Topic, id int64, transactional bool) (bool, error) {
	switch {
	case !transactional:
		return false, nil
	case len(w.known) > 0 && id == w.last:
		return w.lastOurs, nil
	}
	ours, ok := w.known[id]
	if !ok {
		try := w.once
		if t.Progress {
			try = w.retry
		}
		if err := w.read(ctx, try); err != nil {
			return false, err
		}
		ours = w.known[id]
		w.known[id] = ours
	}
	w.last, w.lastOurs = id, ours
	return ours, nil
}

func (w *writers) read(ctx context.Context, try retry) error {
	if w.fresh {
		return nil
	}
	return try(ctx, "read which producers are the pipeline's", func(ctx context.Context) error {
		ids, err := w.producers.Producers(ctx)
		if err != nil {
			return err
		}
		w.fresh = true
		for _, id := range ids {
			w.known[id] = true
		}
		return nil
	})
}

// polled says that other records follow, whose producers may have begun since the last ones were read.
func (w *writers) polled() {
	w.fresh = false
	if len(w.known) > mostWriters {
		clear(w.known)
	}
}

// passedOver counts records that change nothing, since the pipeline did not write them, and names them in the log: the
// first of a topic at once, then how many there were, once per passedOverEvery.
type passedOver struct {
	count  *prometheus.CounterVec // by topic
	log    *zap.Logger
	topics map[string]*passedOverTopic // by shownAs
}

type passedOverTopic struct {
	said  time.Time // when the log named some last
	since int       // how many came after
	all   int64     // how many came since this loader began
	why   string    // of the last one
}

// passedOverEvery is how often the log names records of one topic.
const passedOverEvery = time.Minute

// noTables stands for all topics below the prefix of which no generation was opened: there may be any number of them.
const noTables = "(topics of no table)"

// shownAs is how a topic is counted and named to others.
func shownAs(t *apply.Topic) string {
	if t.Progress || t.NewestGeneration() > 0 {
		return t.Name
	}
	return noTables
}

// note counts one record of a topic, or of those that are shown as one.
func (p *passedOver) note(shown string, rec *kgo.Record, why string) {
	p.count.WithLabelValues(shown).Inc()
	t := p.topics[shown]
	if t == nil {
		t = &passedOverTopic{}
		p.topics[shown] = t
	}
	t.since++
	t.all, t.why = t.all+1, why
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
	ours, err := b.writers.wrote(ctx, s.partition.Topic, rec.ProducerID, rec.Attrs.IsTransactional())
	switch {
	case err != nil:
		return err
	case ours:
		return take(ctx, s, rec)
	}
	b.passedOver.note(shownAs(s.partition.Topic), rec, whyForeign(rec.ProducerID, rec.Attrs.IsTransactional()))
	return b.passOver(s, rec.Offset+1)
}

func whyForeign(producer int64, transactional bool) string {
	if transactional {
		return fmt.Sprintf("producer %d has not claimed the pipeline", producer)
	}
	return "it was written outside of a transaction"
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

// passOverLarge passes over a batch that unpacks to more than capture writes. Its header says who wrote it: one of
// another writer changes nothing; of one of the pipeline's own nothing can be read, so that its table is quarantined.
func (l *Loader) passOverLarge(ctx context.Context, large *kgo.ErrDecompressTooLarge) error {
	t := l.topics[large.Topic]
	if t == nil || t.Parts[large.Partition] == nil || l.waiting.tables[large.Topic].waits() { // a table that waits gets it again
		return nil
	}
	p := t.Parts[large.Partition]
	if large.NextOffset <= p.Next {
		return nil
	}
	header, err := l.group.Header(ctx, large.Topic, large.Partition, large.Offset)
	if err != nil { // the batch is fetched again
		l.outage.complain("cannot "+readRecords, readRecords, err, zap.String("topic", large.Topic), zap.Int32("partition", large.Partition))
		return nil
	}
	ours, err := l.builder.writers.wrote(ctx, t, header.Producer, header.Transactional)
	if isUnsettled(err) {
		l.waiting.hold(t, 0, err)
		return nil
	}
	if err != nil {
		return err
	}
	if !ours {
		l.builder.passedOver.note(shownAs(t), &kgo.Record{Topic: large.Topic, Partition: large.Partition, Offset: large.Offset},
			whyForeign(header.Producer, header.Transactional))
		return l.builder.passOver(l.builder.batch.span(p), large.NextOffset)
	}
	l.builder.unreadable(t, p, large.Offset, l.o.batchBytes(), l.o.Log)
	return l.builder.passOver(l.builder.batch.span(p), large.NextOffset)
}

// nexts gives where each partition goes on, but for those of tables that wait.
func nexts(topics map[string]*apply.Topic, waits func(topic string) bool) map[string]map[int32]int64 {
	all := map[string]map[int32]int64{}
	for name, t := range topics {
		if waits(name) {
			continue
		}
		all[name] = map[int32]int64{}
		for id, p := range t.Parts {
			all[name][id] = p.Next
		}
	}
	return all
}

// unreadable quarantines the table of a batch of the pipeline's own that unpacks to more than most bytes.
func (b *builder) unreadable(t *apply.Topic, p *apply.Partition, offset int64, most int, log *zap.Logger) {
	what := cdc.Failed("partition %d, offset %d: a batch unpacks to more than %d MiB", p.ID, offset, most>>20).
		Fix("find out what else writes to the topic").Fix("raise kafka.max_message_bytes to what it was")
	if t.Progress {
		log.Error("progress records are passed over", zap.Error(what))
	} else {
		b.quarantine(t, max(p.Newest, 1), what.ThenCopy(t.Table).Error())
	}
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
			zap.String("topics", cdc.Few(foreign)), zap.Int("number", len(foreign)))
	}
	return ours, foreign
}
