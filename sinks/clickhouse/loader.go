package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/table"
)

// Loader is one member of the load leg's consumer group. Any number of loaders may run; Kafka spreads the partitions.
//
// Two goroutines work. The builder polls records and makes the rows of batch n+1 of them, while the inserter writes batch n to ClickHouse
// (see inserter). The builder owns all state: topics, partitions, generations, quarantines, progress. A batch that is handed over has
// everything that the inserter needs and is the inserter's alone until it is finished; what the inserter found out is taken into the
// state afterwards.
//
//	builder:  forever
//	              poll, until records come, or the batch in flight is finished
//	              if it is: take its findings and its offsets into the state
//	              take the records into the batch being built
//	              if that is due, and nothing is in flight: hand it over
//	              after a finished batch, or while quiet: views, what is complete, health
//	          do not poll while the batch being built is full: memory is bounded by two batches and the consumer's fetches
//	inserter: for each batch: opens, bases, rows, quarantines, cuts, ends, missing rows, applied offsets
//
// Invariant: whatever counts as applied is in ClickHouse, and what is in ClickHouse beyond that is harmless. So:
//   - One batch is in flight at a time, and the next is handed over only after the findings of the one before were taken: its rows of a
//     table that was quarantined meanwhile are dropped. Building and inserting n and n+1 is as taking both at once and inserting first n:
//     what n is inserted with (offsets, cuts, newest generations) is what was known at its own end, never what n+1 brought.
//   - A base (rule 17) that is not in the record's own batch is read by the inserter in the turn of that batch: the insert of the batch
//     before has been acknowledged by then, so that a base in there is found.
//   - A progress record counts only once its batch is applied: its quarantines are in ClickHouse before a point that covers them.
//   - Partitions come and go only while nothing is in flight and nothing is built: Kafka's callbacks wait, and a rebalance that waits
//     makes the builder stop polling until both batches are applied.
//   - Views are replaced only while nothing is in flight, since a widened column makes the inserter replace them, too; and
//     only by the ends of copies that ClickHouse has, since rows of a copy whose end was taken may still be waiting in the next batch.
//   - A stop, or an error, cancels the insert in flight and waits for its end; neither batch counts as applied, both are read again.
//
// Rejected: a queue of batches (three in memory, and a quarantine would have to be looked up in each), a batch per table (offsets would
// need the slowest one, and a transaction would become visible piece by piece).
type Loader struct {
	o       Options
	conn    driver.Conn
	pool    *table.Pool
	db      *table.DB
	ledger  *ledger.Ledger
	metrics *metrics
	status  status
	outage  *outage
	retry   retry
	group   *consume.Group
	running context.Context // of Run
	halt    context.CancelCauseFunc

	// These are the builder's own.
	wait     time.Duration // of the next poll
	quiet    bool          // nothing has come since the last record, for as long as a poll waits
	work     chan *batch   // to the inserter
	inFlight *batch        // nil: the inserter is idle
	spare    *batch        // the one to build next
	allowed  time.Time     // when a rebalance was last allowed
	// rebalancing says that a rebalance waits for the batches to be applied.
	rebalancing atomic.Bool

	// mu guards what follows: the builder holds it while it works, the group's callbacks while they assign.
	mu          sync.Mutex
	topics      map[string]*apply.Topic
	builder     *builder
	views       *views
	progress    *progress
	quarantines *apply.Quarantines
	refreshed   time.Time // when views were last brought up to date
	watch       consume.Watch
	others      consume.Others
	stopped     error // why the loader must stop
}

// New checks the options and prepares the connections; nothing is asked of any server yet.
func New(o Options) (*Loader, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	url, err := o.parseURL()
	if err != nil {
		return nil, err
	}
	conn, err := chgo.Open(url)
	if err != nil {
		return nil, errors.New("load: the ClickHouse URL cannot be used. Try: clickhouse://user:password@host:9000")
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("load: register metrics: %w", err)
	}
	l := &Loader{
		o: o, conn: conn, pool: table.NewPool(url), ledger: ledger.New(conn, o.Database), metrics: m, topics: map[string]*apply.Topic{},
		progress: &progress{}, wait: idleWait, quarantines: apply.NewQuarantines(), work: make(chan *batch, 1), spare: newBatch(),
	}
	l.db = table.NewDB(conn, l.pool, o.Database)
	l.outage = &outage{status: &l.status, retries: m.retries, log: o.Log}
	l.outage.loggedIn.Store(o.LoggedIn)
	l.retry = l.outage.retry
	contracts := newContracts(o.Registry, l.retry)
	storages := &storages{db: l.db, ledger: l.ledger, contracts: contracts, quarantines: l.quarantines, retry: l.retry}
	l.builder = &builder{batch: newBatch(), contracts: contracts, storages: storages, quarantines: l.quarantines, routes: map[*apply.Partition]*route{}, log: o.Log}
	l.views = &views{db: l.db, ledger: l.ledger, storages: storages, quarantines: l.quarantines, retry: l.retry, log: o.Log}
	return l, nil
}

// Run loads until ctx ends, and then returns nil; a batch that was not applied is loaded again by whoever gets its
// partitions. ClickHouse, Kafka or the registry being away is waited for. An error means that load must not go on without a
// decision (ErrTopicChanged, ErrGap, ErrSameInstance) or that bookkeeping was destroyed. A Loader runs once.
func (l *Loader) Run(ctx context.Context) error {
	defer l.conn.Close() //nolint:errcheck // nothing is in flight
	defer l.pool.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.running, l.halt = ctx, cancel
	err := l.retry(ctx, "prepare ClickHouse", l.ledger.Bootstrap)
	if err == nil {
		err = l.retry(ctx, "ask whose database it is", func(ctx context.Context) error { return l.ledger.CheckOwner(ctx, l.o.Prefix) })
	}
	if err == nil {
		err = l.consume(ctx)
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrSameInstance) {
		return cause
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (l *Loader) consume(ctx context.Context) error {
	l.mu.Lock() // the group's callbacks begin at once and need the client
	group, err := consume.Join(l.groupOptions())
	l.group = group
	l.mu.Unlock()
	if err != nil {
		return err
	}
	defer group.Close()
	defer func() {
		if err := group.Leave(ctx, context.Cause(ctx)); err != nil {
			l.o.Log.Info("not taken out of the consumer group: the others wait until the session ends", zap.Error(err))
		}
	}()
	defer l.startInserter(ctx)()
	for ctx.Err() == nil {
		fetches := l.poll(ctx)
		if err := l.step(ctx, fetches); err != nil {
			return err
		}
		if l.idle() {
			l.rebalancing.Store(false)
			l.allowed = time.Now()
			group.Client.AllowRebalance()
		}
	}
	return nil
}

// startInserter runs the inserter; stop cancels what is in flight and waits for its end.
func (l *Loader) startInserter(ctx context.Context) (stop func()) {
	i := &inserter{
		db: l.db, ledger: l.ledger, retry: l.retry, metrics: l.metrics, fault: l.o.Fault, log: l.o.Log, batchBytes: l.o.BatchBytes,
		basesAtOnce: map[*table.Table]int{},
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i.run(ctx, l.work)
	}()
	return func() {
		cancel()
		close(l.work)
		<-ended
	}
}

const (
	pollRecords = 8192
	idleWait    = 100 * time.Millisecond
	// rebalanceAtLeast is how often both batches are applied for a rebalance, although none is known to wait.
	rebalanceAtLeast = 10 * time.Second
)

// idle reports whether nothing is built or in flight.
func (l *Loader) idle() bool { return l.inFlight == nil && l.builder.batch.empty() }

// draining reports whether both batches are to be applied before more is taken.
func (l *Loader) draining() bool {
	return l.rebalancing.Load() || time.Since(l.allowed) > rebalanceAtLeast && !l.idle()
}

// full reports whether the batch being built may take no more.
func (l *Loader) full() bool {
	b := l.builder.batch
	return b.records >= l.o.BatchRows || b.rows >= l.o.BatchRows || b.bytes >= l.o.BatchBytes
}

// poll waits for records, or for the end of the batch in flight.
func (l *Loader) poll(ctx context.Context) kgo.Fetches {
	if l.inFlight != nil && (l.full() || l.draining()) {
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
	fetches := l.group.Client.PollRecords(ctx, min(pollRecords, l.o.BatchRows))
	if fetches.NumRecords() > 0 {
		l.quiet = false
	} else if !interrupted() {
		l.quiet = true
	}
	return fetches
}

// nextWait says how long the next poll may wait: briefly if the batch has rows, or something waits for other loaders.
func (l *Loader) nextWait() time.Duration {
	switch {
	case !l.builder.batch.empty():
		return max(l.o.FlushInterval/10, time.Millisecond)
	case l.progress.pending() > 0:
		return complete.PollInterval
	}
	return idleWait
}

// step takes what the inserter found out and what was polled, hands the batch over if it is time, and does what follows from it.
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
	if err := l.takeAll(ctx, fetches); err != nil {
		return err
	}
	if l.inFlight == nil && time.Since(l.refreshed) > refreshInterval {
		l.refreshed = time.Now()
		if err := l.refreshViews(ctx); err != nil {
			return err
		}
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

// refreshInterval is how often a loader asks whether others completed a generation; after an end of its own it asks at once.
const refreshInterval = 500 * time.Millisecond

// refreshViews brings every topic up to date whose view or storage may have to move. Nothing may be in flight.
func (l *Loader) refreshViews(ctx context.Context) error {
	if err := l.views.check(ctx, l.topics); err != nil {
		return err
	}
	for _, name := range apply.SortedKeys(l.topics) {
		t := l.topics[name]
		if t.Progress || !t.Unsettled || len(t.Parts) == 0 {
			continue
		}
		err := l.retry(ctx, "refresh the view of "+t.Table, func(ctx context.Context) error { return l.views.refresh(ctx, t) })
		switch {
		case err == nil:
		case ctx.Err() != nil || isStop(err):
			return err
		default:
			l.builder.quarantine(t, t.NewestGeneration(), "generations: "+withoutValues(err))
			t.Unsettled = false
		}
	}
	return l.retry(ctx, "write quarantined tables", func(ctx context.Context) error { return l.quarantines.Write(ctx, l.ledger) })
}

// upkeep is done after each batch, and while there is none: health, and what is complete.
func (l *Loader) upkeep(ctx context.Context) error {
	if err := l.checkTopics(ctx); err != nil {
		return err
	}
	l.others.Resume(l.group.Client, l.topics)
	if err := consume.Overdue(l.topics); err != nil {
		return err
	}
	if tracker := l.progress.tracker; tracker != nil {
		if err := tracker.Advance(ctx, facts{l.retry, l.group, l.ledger, l.topics}); err != nil {
			return err
		}
	}
	l.progress.throttle(l.group.Client, schemas.ProgressTopic(l.o.Prefix))
	return nil
}

// due says whether the batch should be handed over now: it is large, or nothing more is waiting, or it has waited long enough.
// While Kafka has more to give, waiting gives larger batches.
func (l *Loader) due() bool {
	b := l.builder.batch
	if b.empty() {
		return false
	}
	age := time.Since(b.since)
	switch {
	case l.full(), l.draining():
		return true
	case b.behind():
		return age > behindFactor*l.o.FlushInterval
	}
	return l.quiet || age > l.o.FlushInterval
}

const behindFactor = 10

// handOver gives the batch to the inserter. Nothing may be in flight.
func (l *Loader) handOver() {
	b := l.builder.batch
	for p, s := range b.spans {
		if s.next == 0 { // all its records were passed over
			delete(b.spans, p)
			continue
		}
		s.newest, s.before, s.applied = p.Newest, p.Applied, l.appliedNext(p, s.next)
	}
	b.quarantines = l.quarantines.TakeChanged()
	b.finished, b.finish = context.WithCancel(context.Background())
	l.inFlight, l.builder.batch, l.spare = b, l.spare, nil
	l.builder.batch.number = b.number + 1
	l.work <- b
}

// appliedNext is how far a partition is applied with the batch that ends at next: a progress record counts once everything is complete up
// to it, and nothing from where the partition seeks.
func (l *Loader) appliedNext(p *apply.Partition, next int64) int64 {
	if p.Topic.Progress {
		return l.progress.appliedUpTo(next)
	}
	if p.Seek != nil { // since the batch began
		return min(next, p.Seek.From)
	}
	return next
}

// takeFindings takes a batch that is finished into the state.
func (l *Loader) takeFindings() (finished bool, err error) {
	b := l.inFlight
	if b == nil || b.finished.Err() == nil {
		return false, nil
	}
	l.inFlight, l.spare = nil, b
	if b.findings.err != nil {
		return true, b.findings.err
	}
	for p, s := range b.spans {
		p.Applied = max(p.Applied, s.applied)
		if p.Topic.Progress {
			l.progress.release(s.next)
		}
	}
	l.builder.learn(b)
	if b.ends() || len(b.findings.quarantined) > 0 {
		l.refreshed = time.Time{}
	}
	b.reset()
	return true, nil
}

func (l *Loader) takeAll(ctx context.Context, fetches kgo.Fetches) (err error) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		t := l.topics[f.Topic]
		if t == nil || err != nil || t.Parts[f.Partition] == nil {
			return
		}
		p := t.Parts[f.Partition]
		if f.LastStableOffset > 0 {
			p.Stable = f.LastStableOffset
		}
		if len(f.Records) == 0 {
			return
		}
		s, r := l.builder.batch.span(p), l.builder.route(p)
		for _, rec := range f.Records {
			if err != nil || rec.Offset < p.Next {
				continue
			}
			if t.Progress {
				err = l.takeProgress(ctx, s, rec)
			} else {
				err = r.take(ctx, s, rec)
			}
		}
	})
	return err
}

// fetchErrors stops for what no waiting can mend, and shows the rest.
func (l *Loader) fetchErrors(fetches kgo.Fetches) (stop error) {
	failed := false
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.OffsetOutOfRange):
			stop = l.outOfRange(topic, partition)
		case errors.Is(err, kgo.ErrClientClosed):
			stop = err
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
	if !failed && (fetches.NumRecords() > 0 || l.status.since(readRecords) > consume.CheckInterval) {
		l.status.recovered(readRecords)
	}
	return stop
}

const readRecords = "read from Kafka"

func (l *Loader) outOfRange(topic string, partition int32) error {
	have := int64(-1)
	if t := l.topics[topic]; t != nil && t.Parts[partition] != nil {
		have = t.Parts[partition].Next
	}
	return consume.OutOfRange(topic, partition, have)
}

// stop remembers why the loader must stop; the poll loop returns it.
func (l *Loader) stop(err error) {
	if l.stopped == nil {
		l.stopped = err
	}
}
