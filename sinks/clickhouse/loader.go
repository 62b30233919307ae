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
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// Loader is one member of the load leg's consumer group. Any number of loaders may run; Kafka spreads the partitions.
//
// One goroutine polls, builds and inserts, one batch after another: a batch is never open while the next is built, so memory
// is bounded by one batch and the consumer's fetches, and a base row is always read behind every earlier insert (rule 17).
type Loader struct {
	o       Options
	conn    driver.Conn
	ledger  *ledger.Ledger
	native  *native
	metrics *metrics
	status  status
	group   *consume.Group
	running context.Context // of Run
	halt    context.CancelCauseFunc
	wait    time.Duration // of the next poll; the poll loop's own

	// mu guards what follows: the poll loop holds it while it works, the group's callbacks while they assign.
	mu          sync.Mutex
	topics      map[string]*apply.Topic
	stores      map[*apply.Generation]*storage
	batch       *batch
	progress    *progress
	quarantines *apply.Quarantines
	writers     map[int]*writer
	controls    map[int]bool
	noSchema    map[int]error // ids of which the registry has no schema
	env         avro.Envelope
	settled     time.Time // when views and topics were last looked after
	viewed      time.Time // when checkViews last looked
	watch       consume.Watch
	others      consume.Others
	stopped     error       // why the loader must stop
	loggedIn    atomic.Bool // ClickHouse has let this process in
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
		o: o, conn: conn, ledger: ledger.New(conn, o.Database), native: newNative(url), metrics: m, topics: map[string]*apply.Topic{}, stores: map[*apply.Generation]*storage{}, batch: newBatch(), progress: &progress{},
		wait: idleWait, quarantines: apply.NewQuarantines(), writers: map[int]*writer{}, controls: map[int]bool{}, noSchema: map[int]error{},
	}
	l.loggedIn.Store(o.LoggedIn)
	return l, nil
}

// Run loads until ctx ends, and then returns nil; a batch that was not applied is loaded again by whoever gets its
// partitions. ClickHouse, Kafka or the registry being away is waited for. An error means that load must not go on without a
// decision (ErrTopicChanged, ErrGap, ErrSameInstance) or that bookkeeping was destroyed. A Loader runs once.
func (l *Loader) Run(ctx context.Context) error {
	defer l.conn.Close() //nolint:errcheck // nothing is in flight
	defer l.native.close()
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
	for ctx.Err() == nil {
		fetches := l.poll(ctx)
		if err := l.work(ctx, fetches); err != nil {
			return err
		}
		if l.batch.empty() {
			group.Client.AllowRebalance()
		}
	}
	return nil
}

const (
	pollRecords = 8192
	idleWait    = 100 * time.Millisecond
)

// poll waits for records.
func (l *Loader) poll(ctx context.Context) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	return l.group.Client.PollRecords(ctx, min(pollRecords, l.o.BatchRows))
}

// nextWait says how long the next poll may wait: briefly if the batch has rows, or something waits for other loaders.
func (l *Loader) nextWait() time.Duration {
	switch {
	case !l.batch.empty():
		return max(l.o.FlushInterval/10, time.Millisecond)
	case l.progress.pending() > 0:
		return complete.PollInterval
	}
	return idleWait
}

// work takes what was polled, applies the batch if it is time, and does what follows from it.
func (l *Loader) work(ctx context.Context, fetches kgo.Fetches) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.wait = l.nextWait() }()
	if l.stopped != nil {
		return l.stopped
	}
	if err := l.fetchErrors(fetches); err != nil {
		return err
	}
	taken, err := l.takeAll(ctx, fetches)
	if err != nil {
		return err
	}
	if l.due(taken) {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.settled = time.Time{}
	}
	if l.batch.empty() {
		return l.upkeep(ctx)
	}
	return nil
}

// upkeep is done between batches: views, old storage, and what is complete.
func (l *Loader) upkeep(ctx context.Context) error {
	if time.Since(l.settled) > settleInterval {
		l.settled = time.Now()
		if err := l.checkViews(ctx); err != nil {
			return err
		}
		if err := l.settleAll(ctx); err != nil {
			return err
		}
		if err := l.retry(ctx, "write quarantined tables", func(ctx context.Context) error { return l.quarantines.Write(ctx, l.ledger) }); err != nil {
			return err
		}
		l.publish()
	}
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

// settleInterval is how often a quiet loader looks whether others completed a generation.
const settleInterval = 500 * time.Millisecond

// due says whether the batch should be applied now: it is large, or nothing more is waiting, or it has waited long enough.
// While the loader is behind, waiting gives larger batches.
func (l *Loader) due(taken int) bool {
	b := l.batch
	if b.empty() {
		return false
	}
	age := time.Since(b.since)
	switch {
	case b.records >= l.o.BatchRows, b.rows >= l.o.BatchRows, b.bytes >= l.o.BatchBytes:
		return true
	case l.behind():
		return age > behindFactor*l.o.FlushInterval
	}
	return taken == 0 || age > l.o.FlushInterval
}

const behindFactor = 10

// behind says whether a partition of the batch has more to give.
func (l *Loader) behind() bool {
	for p := range l.batch.moved {
		if p.Next < p.Stable {
			return true
		}
	}
	return false
}

func (l *Loader) takeAll(ctx context.Context, fetches kgo.Fetches) (taken int, err error) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		t := l.topics[f.Topic]
		if t == nil || err != nil {
			return
		}
		p := t.Parts[f.Partition]
		if p == nil {
			return
		}
		if f.LastStableOffset > 0 {
			p.Stable = f.LastStableOffset
		}
		for _, rec := range f.Records {
			if taken++; err == nil && rec.Offset >= p.Next {
				err = l.takeOne(ctx, p, rec)
			}
		}
	})
	return taken, err
}

func (l *Loader) takeOne(ctx context.Context, p *apply.Partition, rec *kgo.Record) error {
	if !p.Topic.Progress {
		return l.take(ctx, p, rec)
	}
	return l.takeProgress(ctx, p, rec)
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
			l.complain("cannot "+what, what, err, zap.String("topic", topic), zap.Int32("partition", partition))
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
