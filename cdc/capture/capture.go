// Package capture moves changes from a source to a sink, exactly once: it plans a start, copies tables, follows the log
// and commits. Capture is its only way in; a session is one life of its connections.
package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// Options of a Capture. Zero values take the defaults named.
type Options struct {
	Source     cdc.Source
	Sink       cdc.Sink
	Tables     cdc.Tables
	Partitions int32             // of every table topic; compared with the state (rule 9)
	Slot       string            // the slot's name, for state and messages
	HashKeys   map[string]string // maps key ids to fingerprints; compared with the state (another key stops capture)
	// SnapshotWorkers copy that many tables at once. Default 2.
	SnapshotWorkers int
	MaxTransaction  int64 // how many bytes one Kafka transaction may hold (rule 7). Default 64 MiB.
	// ChunkBytes and Chunks bound memory: the chunks' size and number. Default 1 MiB (at most an eighth of
	// MaxTransaction) and 16.
	ChunkBytes, Chunks int
	// MaxRecord is the most bytes of key and value that the sink takes: the table of a larger record is quarantined. 0
	// means no limit.
	MaxRecord int
	// DriftInterval is how often the catalog is asked for changes that send no event. Default 5 s.
	DriftInterval time.Duration
	// TopicInterval is how often the tables' topics are looked at: whether they still fit. Default 1 minute.
	TopicInterval time.Duration
	// RetryPause is how long a table that waits is left alone before it is tried again; the pause doubles with each
	// failure, up to an hour. Default 1 minute.
	RetryPause time.Duration
	// FirstContact is how long a start tries to reach a source and a sink that do not answer before Run ends with
	// ErrUnreachable, so that the person who started it learns of it; later it retries without limit. Default 10 s.
	FirstContact time.Duration
	// Listed is told, while each start is planned, which tables the catalog has and what is stored: LeftOut says of
	// which nothing leaves. nil = nobody is.
	Listed  func([]*cdc.Table, *cdc.State)
	Log     *zap.Logger
	Metrics *Metrics
	Fault   cdc.Fault
}

func (o *Options) defaults() {
	o.SnapshotWorkers = cmp.Or(o.SnapshotWorkers, 2)
	o.MaxTransaction = cmp.Or(o.MaxTransaction, 64<<20)
	o.ChunkBytes = cmp.Or(o.ChunkBytes, int(min(1<<20, max(o.MaxTransaction/8, 1<<12))))
	o.Chunks = cmp.Or(o.Chunks, 16)
	o.DriftInterval = cmp.Or(o.DriftInterval, 5*time.Second)
	o.TopicInterval = cmp.Or(o.TopicInterval, time.Minute)
	o.RetryPause = cmp.Or(o.RetryPause, time.Minute)
	o.FirstContact = cmp.Or(o.FirstContact, 10*time.Second)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Listed == nil {
		o.Listed = func([]*cdc.Table, *cdc.State) {}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
}

// Capture moves changes from a Source to a Sink: it recovers, copies what is not yet copied, and follows the log.
type Capture struct {
	o      Options
	sink   *watchedSink // o.Sink
	report *reporter
	// What outlives the sessions, which come one after the other.
	stage   stage
	retries *retries
}

// stage is how far a process has come; it never goes back.
type stage uint8

const (
	unchecked stage = iota
	checked         // the checks of a start have been passed once, without changing anything
	started         // one session has got through its start
)

// NewCapture makes a capture; Run starts it.
func NewCapture(o Options) *Capture {
	o.defaults()
	sink := &watchedSink{Sink: o.Sink}
	o.Sink = sink
	return &Capture{o: o, sink: sink, report: newReporter(&o), retries: newRetries(o.RetryPause)}
}

// Status gives a copy of the present status.
func (c *Capture) Status() Status { return c.report.status.copy() }

// steady is how long a session must have lived for the next interruption to count as the first one again.
const steady = time.Minute

// Run works until ctx ends (nil) or something of the pipeline as a whole needs a decision (ends). ErrUnreachable says
// that at the start no server answered. What is one table's trouble is that table's alone; anything else (a server that
// went away) is retried without limit, each time from the state in Kafka; what is durable stays so. It closes the sink,
// so a Capture runs once.
func (c *Capture) Run(ctx context.Context) error {
	defer logHangs(c.sink, c.o.Log, c.o.Slot)()
	defer c.closeSink(ctx)
	defer c.o.Source.Attend(ctx, c.report.waits)()
	began := time.Now()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 200*time.Millisecond, time.Second
	attempt := func() (none struct{}, err error) {
		sessionBegan := time.Now()
		for err = errTryAgain; errors.Is(err, errTryAgain) && ctx.Err() == nil; {
			err = c.session(ctx, nil)
		}
		if ctx.Err() != nil {
			return none, nil
		}
		c.report.status.failed(err)
		c.retries.blame(cdc.OfOneTable(err))
		if err := c.permanent(err, time.Since(began)); err != nil {
			return none, backoff.Permanent(err)
		}
		if c.stage >= checked { // no one waits for it any more
			wait.MaxInterval = 5 * time.Second
		}
		c.o.Metrics.retries.Inc()
		if time.Since(sessionBegan) > steady {
			wait.Reset()
		}
		return none, err
	}
	notify := func(err error, next time.Duration) {
		c.o.Log.Warn("capture was interrupted; everything committed to Kafka is safe, it goes on from there", zap.Error(err), zap.Duration("retry_in", next))
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// permanent gives the error if retrying cannot help; nil if it may.
func (c *Capture) permanent(err error, trying time.Duration) error {
	switch {
	case endsCapture(err):
		return err
	case c.stage < checked && trying >= c.o.FirstContact:
		return (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("Nothing was changed; what is in Kafka is safe").
			OrFix("see that Postgres and Kafka run and that source.url and kafka.brokers are right, then start again")
	}
	return nil
}

// closeSink ends what the last session left open.
func (c *Capture) closeSink(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := c.o.Sink.Close(closing); err != nil {
		c.o.Log.Warn("closing the sink; what is committed is safe", zap.Error(err))
	}
}

func (c *Capture) planner(r *resnapshotRequest) *planner {
	return &planner{o: &c.o, request: r, started: c.stage >= started, retries: c.retries}
}

// session is one life of the connections: the start is tried in the first one; then recover, start, copy, follow.
func (c *Capture) session(ctx context.Context, r *resnapshotRequest) error {
	if err := c.tryStart(ctx, r); err != nil {
		return err
	}
	state, err := c.o.Sink.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover the state from Kafka: %w", err)
	}
	if r != nil {
		state.HighWater.Add(r.highWater)
	}
	committer := newCommitter(c.o.Sink, newChunkPool(c.o.Chunks, c.o.ChunkBytes), clocks{c.o.MaxTransaction}, c.o.Metrics, state.Point)
	committer.listen(c.report.status.durable, func() {})
	s := &session{o: &c.o, request: r, report: c.report, committer: committer, state: state, retries: c.retries, relations: relations{}}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return committer.run(ctx) })
	group.Go(func() error {
		if err := s.start(ctx, c.planner(r)); err != nil {
			return err
		}
		if r == nil {
			c.stage = started
		}
		return s.follow(ctx)
	})
	return group.Wait()
}

// WouldStart runs the checks of a start and changes nothing anywhere: nil, or what Run would refuse with (ErrRefused,
// ErrGap), or could not find out. It must not be called while Run runs.
func (c *Capture) WouldStart(ctx context.Context) error { return c.tryStart(ctx, nil) }

// tryStart refuses, before another capture is fenced, what the start would refuse: Recover takes a pipeline over from
// the capture that runs it, and a start that is refused right after it would leave no capture. So the first start of a
// process is planned on the state as it can be read without fencing, and again after Recover, since the state may have
// moved in between. Once passed it does nothing.
func (c *Capture) tryStart(ctx context.Context, r *resnapshotRequest) error {
	if c.stage >= checked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.FirstContact)
	defer cancel()
	_, err := c.planner(r).plan(ctx, c.peek)
	if errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) {
		_, err = c.planner(r).plan(ctx, c.peek) // a running capture moves slot and state while both are read; it does not do so twice
	}
	if err == nil {
		c.stage = checked
	}
	return err
}

// peek gives the state as last committed, an empty one if there is none.
func (c *Capture) peek(ctx context.Context) (*cdc.State, error) {
	state, err := c.o.Sink.Peek(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state in Kafka: %w", err)
	}
	return cmp.Or(state, &cdc.State{}), nil
}
