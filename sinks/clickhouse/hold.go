package clickhouse

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// held is a table that waits, while the others go on: something of its own failed and may go away (unsettled).
//
// Its partitions are paused, and both batches have forgotten all of it, the offsets included, so that it counts as
// applied only as far as ClickHouse has it, and complete_up_to does not pass it. From time to time it is read again
// from there, as after a restart: nothing of it is kept in memory meanwhile, however long it waits.
//
//	failed:  pause the topic; forget it in the batch being built; try again after a pause that doubles
//	due:     read the topic's state again from ClickHouse and Kafka, seek to what is applied, resume
//	a batch of it is applied, or nothing has failed for settledAfter: it waits no more
type held struct {
	topic, table string
	reason       string    // why it waits, without row values
	since        time.Time // of the first failure in a row
	pause        time.Duration
	due          time.Time // of the next try; zero while it is tried
	tried        time.Time
	id           uuid.UUID // of the topic that the consumer reads; another one must be found anew
	// stale says that the client asks for a topic that is not there any more: it never takes another id for a name that
	// it knows, also of a topic that only other loaders have read.
	stale bool
}

// waiting has the tables of a loader that wait. It is guarded by Loader.mu.
type waiting struct {
	o           *Options
	topics      map[string]*apply.Topic // the loader's
	builder     *builder
	quarantines *apply.Quarantines
	ledger      *ledger.Ledger
	outage      *outage
	gauge       prometheus.Gauge // how many tables wait
	group       *consume.Group   // nil until it is joined
	// assign begins the partitions of a topic again, from what is applied.
	assign func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) error

	tables map[string]*held // by topic
	views  map[string]*held // the tables whose views wait, by topic: their rows are loaded
}

const (
	firstPause   = 250 * time.Millisecond
	longestPause = time.Minute
	settledAfter = 10 * time.Second
	// rereadTimeout bounds what reading a topic's state again may take of everybody's time.
	rereadTimeout = 5 * time.Second
)

// failed notes a failure. giveUp says that storage was missing, or not as it was made, for longer than somebody who is
// changing it needs: then the table is quarantined.
func (h *held) failed(err error, now time.Time, patience time.Duration) (giveUp bool) {
	if h.since.IsZero() {
		h.since = now
	}
	h.pause = min(max(2*h.pause, firstPause), longestPause)
	h.due = now.Add(h.pause)
	return ofStorage(err) && now.Sub(h.since) >= patience
}

// ofStorage reports whether storage is missing, or not as it was made.
func ofStorage(err error) bool {
	return errcode.OwnerOf(err) == errcode.OfStorage || errors.Is(err, table.ErrContract)
}

// waits reports whether nothing may be taken of the table.
func (h *held) waits() bool { return h != nil && !h.due.IsZero() }

// heldKey names a table that waits among what fails.
func heldKey(table string) string { return "table " + table + " waits, the others go on" }

// hold makes a table wait; generation is the one to quarantine if its storage is given up.
func (w *waiting) hold(t *apply.Topic, generation uint32, err error) {
	h := w.tables[t.Name]
	if h.waits() && time.Now().Before(h.due) {
		if soon := time.Now().Add(firstPause); errors.Is(err, consume.ErrRenewed) && h.due.After(soon) {
			h.reason, h.pause, h.due = withoutValues(err), firstPause, soon // what it waited for was of the former topic
		}
		return
	}
	if h == nil {
		h = &held{topic: t.Name, table: t.Table}
		w.tables[t.Name] = h
	}
	h.reason = withoutValues(err)
	if h.failed(err, time.Now(), w.o.StoragePatience) {
		w.builder.quarantine(t, max(generation, 1), reasonOf(err, t.Table))
		h.due = time.Now()
	}
	if t.ID != uuid.Nil {
		h.id = t.ID
	}
	w.builder.forget(t)
	w.group.Client.PauseFetchTopics(t.Name)
	w.outage.note(heldKey(t.Table), err)
	w.gauge.Set(float64(len(w.tables)))
	w.o.Log.Warn("a table waits, the others go on", zap.String("table", t.Table), zap.String("error", withoutValues(err)), zap.Duration("in", h.pause))
}

// forget drops all that is being built of a topic.
func (b *builder) forget(t *apply.Topic) {
	b.batch.forget(t)
	for _, p := range t.Parts {
		delete(b.routes, p)
	}
}

// release ends the waiting of a table.
func (w *waiting) release(topic string) {
	h := w.tables[topic]
	if h == nil {
		return
	}
	delete(w.tables, topic)
	w.group.Client.ResumeFetchTopics(topic)
	w.outage.recovered(heldKey(h.table))
	w.gauge.Set(float64(len(w.tables)))
}

// settle ends the waiting of tables that a batch was applied of, or that have not failed for some time.
func (w *waiting) settle(done *batch) {
	for p := range done.spans {
		if h := w.tables[p.Topic.Name]; h != nil && !h.waits() {
			w.release(p.Topic.Name)
		}
	}
}

// retry reads the tables again whose pause is over. Nothing may be in flight.
func (w *waiting) retry(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(w.tables)) {
		h := w.tables[name]
		switch {
		case !h.waits():
			if time.Since(h.tried) > settledAfter {
				w.release(name)
			}
		case time.Now().Before(h.due):
		default:
			w.reread(ctx, h)
		}
	}
}

// reread reads the topic's state again, and goes on from what is applied.
func (w *waiting) reread(ctx context.Context, h *held) {
	t := w.topics[h.topic]
	if t == nil || len(t.Parts) == 0 {
		w.release(h.topic)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	offsets := map[string]map[int32]kgo.Offset{h.topic: {}}
	for id := range t.Parts {
		offsets[h.topic][id] = kgo.NewOffset()
	}
	delete(w.topics, h.topic)
	h.due = time.Time{}
	if err := w.assign(ctx, offsets); err != nil {
		w.topics[h.topic] = t
		w.hold(t, 0, &unsettled{"read how far it is", err})
	}
	if h.waits() {
		return
	}
	if h.stale || h.id != uuid.Nil && h.id != w.topics[h.topic].ID {
		w.rejoin(h.topic)
		return
	}
	h.tried = time.Now()
	at := map[int32]kgo.EpochOffset{}
	for id, p := range w.topics[h.topic].Parts {
		at[id] = kgo.EpochOffset{Epoch: -1, Offset: p.Next}
	}
	w.group.Client.SetOffsets(map[string]map[int32]kgo.EpochOffset{h.topic: at})
	w.group.Client.ResumeFetchTopics(h.topic)
}

// rejoin makes the consumer forget a topic that was deleted and made again: it finds the new one, whose partitions are
// then assigned as those of any new topic.
func (w *waiting) rejoin(name string) {
	delete(w.topics, name)
	w.release(name)
	w.group.Client.PurgeTopicsFromConsuming(name)
}

// setAside makes a topic wait that cannot be begun, and reports whether the others can go on: not if the server is
// away, or the topic is the pipeline's own.
func (w *waiting) setAside(ctx context.Context, name string, offsets map[int32]kgo.Offset, err error) bool {
	t := w.topics[name]
	if ctx.Err() != nil || errcode.Away(err) || t != nil && t.Progress || name == w.o.progressTopic() {
		return false
	}
	if t == nil {
		if made, ok := apply.NewTopic(name, w.o.Prefix); ok {
			t = made
		} else {
			t = apply.ForeignTopic(name)
		}
		w.topics[name] = t
	}
	for id := range offsets {
		if t.Parts[id] == nil {
			t.Parts[id] = &apply.Partition{Topic: t, ID: id, Applied: -1}
		}
		offsets[id] = kgo.NewOffset().At(t.Parts[id].Next).WithEpoch(-1)
	}
	w.hold(t, 0, &unsettled{"begin to read its topic", err})
	return true
}

// skipGaps quarantines a table whose log does not continue what was loaded: its records are skipped until a newer
// copy, which is what load would have to wait for anyway. The partitions count as applied up to where their log begins.
//
// Where all of Kafka was rebuilt, or is another one, nothing must be changed before a person has decided: partitions
// seek instead (apply.Seek).
func (w *waiting) skipGaps(ctx context.Context, known consume.Known, t *apply.Topic, assigned map[int32]kgo.Offset) error {
	if t.Progress || known.Rebuilt(w.o.progressTopic()) {
		return nil
	}
	for id := range assigned {
		p := t.Parts[id]
		if p == nil || p.Seek == nil {
			continue
		}
		w.builder.quarantine(t, max(p.Seek.Above, p.Broken(p.Next), t.Shown, 1), consume.OfTable(p.Seek.Why, t.Table).Error())
		if err := w.quarantines.Write(ctx, w.ledger); err != nil {
			return err
		}
		if err := ledger.Write(ctx, w.ledger, ledger.Applied{TopicID: t.ID, Topic: t.Name, Partition: id, Next: p.Next}); err != nil {
			return err
		}
		p.Seek, p.Applied = nil, p.Next
	}
	return nil
}

// viewWaits makes a view wait, unless its storage has been missing for too long.
func (w *waiting) viewWaits(t *apply.Topic, what string, err error) bool {
	h := w.views[t.Name]
	if h == nil {
		h = &held{topic: t.Name, table: t.Table}
		w.views[t.Name] = h
	}
	h.reason = withoutValues(err)
	if h.failed(err, time.Now(), w.o.StoragePatience) && errors.Is(err, table.ErrNoStorage) {
		return false
	}
	w.outage.note(what, errors.Unwrap(err))
	w.o.Log.Warn("a view waits, the others go on", zap.String("table", t.Table), zap.String("error", withoutValues(err)), zap.Duration("in", h.pause))
	return true
}

// outOfRange makes a table wait whose log no longer has what is to be read next, and stops for the progress topic.
func (w *waiting) outOfRange(topic string, partition int32) error {
	t := w.topics[topic]
	if t == nil || t.Parts[partition] == nil {
		return nil
	}
	err := consume.OutOfRange(topic, partition, t.Parts[partition].Next)
	if t.Progress {
		return err
	}
	if !w.tables[topic].waits() {
		w.hold(t, 0, &unsettled{readRecords, consume.OfTable(err, t.Table)})
	}
	return nil
}

// refused makes a table wait whose topic the brokers do not give, and reports whether it does.
func (w *waiting) refused(topic string, err error) bool {
	t, answer := w.topics[topic], (*kerr.Error)(nil)
	if t == nil || t.Progress || len(t.Parts) == 0 || !errors.As(err, &answer) {
		return false
	}
	if !w.tables[topic].waits() {
		w.hold(t, 0, &unsettled{readRecords, err})
	}
	if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID) {
		w.tables[topic].stale = true
	}
	return true
}
