package clickhouse

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
)

const (
	pollRecords = 8192
	idleWait    = 100 * time.Millisecond
	// firstRecordBytes is how large records are taken to be until some have come.
	firstRecordBytes = 64 << 10
	// rebalanceAtLeast is how often both batches are applied for a rebalance, although none is known to wait.
	rebalanceAtLeast = 10 * time.Second
)

// idle reports whether nothing is built or in flight.
func (l *Loader) idle() bool { return l.inFlight == nil && l.builder.batch.empty() }

// draining reports whether both batches are to be applied before more is taken.
func (l *Loader) draining() bool {
	return l.rebalancing.Load() || time.Since(l.allowed) > rebalanceAtLeast && !l.idle()
}

// poll waits for records, or for the end of the batch in flight.
func (l *Loader) poll(ctx context.Context) kgo.Fetches {
	if l.inFlight != nil && (l.builder.batch.full(&l.o) || l.draining()) {
		select {
		case <-l.inFlight.finished.Done():
		case <-ctx.Done():
		}
		return nil
	}
	if l.draining() && !l.idle() {
		return nil // to be handed over at once
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	interrupted := func() bool { return false }
	if l.inFlight != nil {
		stop := context.AfterFunc(l.inFlight.finished, cancel)
		interrupted = func() bool { return !stop() }
	}
	fetches := l.group.Client.PollRecords(ctx, l.builder.room(l.group.Client.BufferedFetchBytes(), l.group.Client.BufferedFetchRecords()))
	if fetches.NumRecords() > 0 {
		l.quiet = false
	} else if !interrupted() {
		l.quiet = true
	}
	return fetches
}

// room says how many records to poll, so that the batch is not much larger than it may be: the client has so many bytes
// and records. While it has none, they are taken to be as large as at the last time.
func (b *builder) room(bytes, records int64) int {
	if records > 0 {
		b.recordBytes = max(bytes/records, 1)
	}
	fit := (b.o.BatchBytes - b.batch.bytes) / b.recordBytes
	return int(max(min(fit, pollRecords, int64(b.o.BatchRows)), 1))
}

// nextWait says how long the next poll may wait: briefly if the batch has rows, or something waits for other loaders.
func (l *Loader) nextWait() time.Duration {
	switch {
	case !l.builder.batch.empty():
		return max(l.o.FlushInterval/10, time.Millisecond)
	case l.progress.tracker.Pending() > 0:
		return complete.PollInterval
	}
	return idleWait
}

// step takes what the inserter found out and what was polled, hands the batch over if it is time, and does what follows
// from it.
func (l *Loader) step(ctx context.Context, fetches kgo.Fetches) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.wait = l.nextWait() }()
	if l.stopped != nil {
		return l.stopped
	}
	finished, err := l.takeFindings()
	if err != nil {
		return err
	}
	if err := l.fetchErrors(fetches); err != nil {
		return err
	}
	if err := l.builder.controls.follow(ctx); err != nil {
		return err
	}
	if err := l.takeAll(ctx, fetches); err != nil {
		return err
	}
	if l.inFlight == nil {
		l.waiting.retry(ctx)
	}
	if l.inFlight == nil && time.Since(l.refreshed) > refreshInterval {
		l.refreshed = time.Now()
		if err := l.refreshViews(ctx); err != nil {
			return err
		}
		l.notices.tell(ctx, slices.Concat(l.waiting.notices(), l.generations.notices(), l.builder.passedOver.notices()))
		l.publish()
	}
	if l.inFlight == nil && l.due() {
		l.handOver()
	}
	if finished {
		l.publish()
	}
	if finished || l.idle() {
		return l.upkeep(ctx)
	}
	return nil
}

// refreshInterval is how often a loader asks whether others completed a generation; after an end of its own it asks at
// once.
const refreshInterval = 500 * time.Millisecond

// refreshViews brings every topic up to date whose view or storage may have to move. Nothing may be in flight.
func (l *Loader) refreshViews(ctx context.Context) error {
	if err := l.generations.check(ctx, l.topics); err != nil {
		return err
	}
	altered, err := l.generations.harmed(ctx, l.topics)
	if err != nil {
		return err
	}
	for _, h := range altered {
		l.builder.quarantine(h.topic, h.generation, h.reason)
	}
	for _, name := range slices.Sorted(maps.Keys(l.topics)) {
		t := l.topics[name]
		if t.Progress || !t.Outdated || len(t.Parts) == 0 || l.waiting.tables[name] != nil {
			continue
		}
		if err := l.refreshView(ctx, t); err != nil {
			return err
		}
	}
	return l.retry(ctx, "write quarantined tables", func(ctx context.Context) error { return l.quarantines.Write(ctx, l.db.Ledger) })
}

// refreshView brings one topic up to date. What may go away is tried again after a pause, while its rows are loaded.
func (l *Loader) refreshView(ctx context.Context, t *apply.Topic) error {
	what := "refresh the view of " + t.Table
	h := l.waiting.views[t.Name]
	if h.waits() && time.Now().Before(h.due) {
		return nil
	}
	err := l.outage.once(ctx, what, func(ctx context.Context) error { return l.generations.refresh(ctx, t) })
	switch {
	case err == nil:
		delete(l.waiting.views, t.Name)
		l.outage.recovered(what)
	case ctx.Err() != nil || isStop(err):
		return err
	case isUnsettled(err) && l.waiting.viewWaits(t, what, err):
	default:
		l.builder.quarantine(t, t.NewestGeneration(), "generations: "+reasonOf(err, t.Table))
		t.Outdated = false
		delete(l.waiting.views, t.Name)
		l.outage.recovered(what)
	}
	return nil
}

// upkeep is done after each batch, and while there is none: health, and what is complete.
func (l *Loader) upkeep(ctx context.Context) error {
	if err := l.checkTopics(ctx); err != nil {
		return err
	}
	consume.ResumeOthers(l.group.Client, l.topics)
	if err := consume.Overdue(l.topics); err != nil {
		return err
	}
	if err := l.progress.tracker.Advance(ctx); err != nil {
		return err
	}
	l.progress.throttle(l.group.Client, l.o.progressTopic())
	return nil
}

// due says whether the batch should be handed over now: it is large, or nothing more is waiting, or it has waited long
// enough. While Kafka has more to give, waiting gives larger batches.
func (l *Loader) due() bool {
	b := l.builder.batch
	if b.empty() {
		return false
	}
	age := time.Since(b.since)
	switch {
	case b.full(&l.o), l.draining():
		return true
	case b.hasMore():
		return age > moreFactor*l.o.FlushInterval
	}
	return l.quiet || age > l.o.FlushInterval
}

const moreFactor = 10

// handOver gives the batch to the inserter. Nothing may be in flight.
func (l *Loader) handOver() {
	b := l.builder.batch
	for p, s := range b.spans {
		if s.next == 0 && !s.controlled { // all its records were passed over
			delete(b.spans, p)
			continue
		}
		s.newest, s.before, s.applied = p.Newest, p.Applied, l.progress.appliedWith(p, s.next)
		s.controls, s.controlsBefore = p.Controlled, p.AppliedControls
	}
	b.close()
	b.quarantines = l.quarantines.TakeChanged()
	b.finished, b.finish = context.WithCancel(context.Background())
	l.inFlight, l.builder.batch, l.spare = b, l.spare, nil
	l.builder.batch.number = b.number + 1
	l.work <- b
}

// takeFindings takes a batch that is finished into the state.
func (l *Loader) takeFindings() (finished bool, err error) {
	b := l.inFlight
	if b == nil || b.finished.Err() == nil {
		return false, nil
	}
	l.inFlight, l.spare = nil, b
	if b.err != nil {
		return true, b.err
	}
	for p, s := range b.spans {
		p.Applied, p.AppliedControls = max(p.Applied, s.applied), s.controls
		if p.Topic.Progress {
			l.progress.tracker.Release(s.next)
		}
	}
	if l.builder.learn(b) || len(b.ends) > 0 {
		l.refreshed = time.Time{}
	}
	l.waiting.settle(b)
	for _, h := range b.held {
		l.waiting.hold(h.topic, h.generation, h.err)
	}
	b.reset(l.o.BatchBytes)
	return true, nil
}

func (l *Loader) takeAll(ctx context.Context, fetches kgo.Fetches) (err error) {
	l.builder.writers.polled()
	if err := l.builder.controls.begin(ctx, fetches, l.quarantines); err != nil {
		return err
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		t := l.topics[f.Topic]
		if t == nil || err != nil || t.Parts[f.Partition] == nil || l.waiting.tables[f.Topic].waits() {
			return
		}
		p := t.Parts[f.Partition]
		if f.LastStableOffset > 0 {
			p.Stable = f.LastStableOffset
		}
		if len(f.Records) == 0 {
			return
		}
		s, take := l.builder.batch.span(p), l.builder.route(p).take
		if t.Progress {
			take = l.takeProgress
		}
		for _, rec := range f.Records {
			if err != nil || rec.Offset < p.Next {
				continue
			}
			err = l.builder.takeOurs(ctx, s, rec, take)
			if isUnsettled(err) {
				l.waiting.hold(t, max(p.Newest, t.Shown), err)
				err = nil
				return
			}
		}
	})
	large := tooLarge(fetches)
	for _, one := range large { // after the records before it
		if err == nil {
			err = l.passOverLarge(ctx, one)
		}
	}
	if len(large) > 0 {
		l.group.GoOn(nexts(l.topics, func(topic string) bool { return l.waiting.tables[topic].waits() }))
	}
	return err
}

// fetchErrors stops for what waiting does not change, and shows the rest.
func (l *Loader) fetchErrors(fetches kgo.Fetches) (stop error) {
	failed := false
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, kgo.ErrMaxDecompress): // see tooLarge
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.OffsetOutOfRange):
			if err := l.waiting.outOfRange(topic, partition); err != nil {
				stop = err
			}
		case errors.Is(err, kgo.ErrClientClosed):
			stop = err
		case l.waiting.refused(topic, err):
		default:
			failed = true
			what := readRecords
			if group := (*kgo.ErrGroupSession)(nil); errors.As(err, &group) {
				what = beInGroup
			}
			l.outage.complain("cannot "+what, what, err, zap.String("topic", topic), zap.Int32("partition", partition))
		}
	})
	// The client repeats the error of a partition at every fetch: quiet means that it is over.
	if !failed && (fetches.NumRecords() > 0 || l.outage.since(readRecords) > consume.CheckInterval) {
		l.outage.recovered(readRecords)
	}
	return stop
}
