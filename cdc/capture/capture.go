package capture

import (
	"context"
	"dirtbike/cdc"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Options of a Capture. Zero values take the defaults named.
type Options struct {
	Source cdc.Source
	Sink   cdc.Sink
	Tables cdc.Tables
	// Partitions of every table topic; compared with the state (rule 9).
	Partitions int32
	// Slot is the slot's name, for state and messages.
	Slot string
	// HashKeys maps key ids to fingerprints; compared with the state (another key stops capture).
	HashKeys map[string]string
	// SnapshotWorkers copy that many tables at once. Default 2.
	SnapshotWorkers int
	// MaxTransaction is how many bytes one Kafka transaction may hold (rule 7). Default 64 MiB.
	MaxTransaction int64
	// ChunkBytes and Chunks bound memory: that many chunks of that size are on the way at most. Default 1 MiB (at most an eighth of MaxTransaction) and 16.
	ChunkBytes, Chunks int
	// MaxRecord is the largest record, key and value together in bytes, that the sink takes: the table of a larger one is
	// quarantined. 0 means no limit.
	MaxRecord int
	// CommitInterval is the shortest time between two commits of small transactions. Default 20 ms.
	CommitInterval time.Duration
	// IdleInterval is how often an idle source is asked how far its log reaches. Default 250 ms.
	IdleInterval time.Duration
	// DriftInterval is how often the catalog is asked for changes that send no event. Default 5 s.
	DriftInterval time.Duration
	// FirstContact is how long a start goes on to ask a source or a sink that does not answer, before anything has been changed: who
	// started it should hear of it. Later there is no end to it. Default 10 s.
	FirstContact time.Duration
	Log          *zap.Logger
	Metrics      *Metrics
	Fault        cdc.Fault
}

func (o *Options) defaults() {
	if o.SnapshotWorkers == 0 {
		o.SnapshotWorkers = 2
	}
	if o.MaxTransaction == 0 {
		o.MaxTransaction = 64 << 20
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = int(min(1<<20, max(o.MaxTransaction/8, 1<<12)))
	}
	if o.Chunks == 0 {
		o.Chunks = 16
	}
	if o.CommitInterval == 0 {
		o.CommitInterval = 20 * time.Millisecond
	}
	if o.IdleInterval == 0 {
		o.IdleInterval = 250 * time.Millisecond
	}
	if o.DriftInterval == 0 {
		o.DriftInterval = 5 * time.Second
	}
	if o.FirstContact == 0 {
		o.FirstContact = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
}

// Capture moves changes from a Source to a Sink: it recovers, copies what is not yet copied, and follows the log.
type Capture struct {
	Options
	status status
	// Sessions come one after the other; these outlive each of them. passed says that the preflight has been passed, settled that
	// one session has got through its start, warned what has been said already.
	passed, settled bool
	warned          map[string]bool
	// task is what this capture is to do in place of following the log; nil for Run.
	task *task
}

// NewCapture makes a capture; Run starts it.
func NewCapture(o Options) *Capture {
	o.defaults()
	return &Capture{Options: o}
}

// steady is how long a session must have lived for the next interruption to count as the first one again.
const steady = time.Minute

// Run works until ctx ends (nil) or something needs a decision: ErrFenced, ErrGap, ErrRefused. ErrUnreachable says that at the start nobody
// answered. Anything else (a server that went away) is retried for ever, each time from the state in Kafka; what is durable stays so. It closes the sink, so a
// Capture runs once.
func (c *Capture) Run(ctx context.Context) error {
	defer c.watchSink()()
	defer c.closeSink(ctx)
	began := time.Now()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 200*time.Millisecond, time.Second
	attempt := func() (struct{}, error) {
		started := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return struct{}{}, nil
		}
		c.status.failed(err)
		switch {
		case errors.Is(err, cdc.ErrFenced), errors.Is(err, cdc.ErrGap), errors.Is(err, cdc.ErrRefused):
			return struct{}{}, backoff.Permanent(err)
		case !c.passed && time.Since(began) >= c.FirstContact:
			return struct{}{}, backoff.Permanent(noContact(err))
		}
		if c.passed { // nobody waits for it any more
			wait.MaxInterval = 5 * time.Second
		}
		c.Metrics.retries.Inc()
		if time.Since(started) > steady {
			wait.Reset()
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			c.Log.Warn("capture was interrupted; everything committed to Kafka is safe, it goes on from there", zap.Error(err), zap.Duration("retry_in", next))
		}))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// noContact says that a start has asked in vain.
func noContact(err error) error {
	p := (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Keeps("Nothing was changed; what is in Kafka is safe")
	if len(p.Remedies()) == 0 {
		p.Fix("see that Postgres and Kafka run and that source.url and kafka.brokers are right, then start again")
	}
	return p
}

// closeSink ends what the last session left open; until then only Recover is the way on after an error.
func (c *Capture) closeSink(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := c.Sink.Close(closing); err != nil {
		c.Log.Warn("closing the sink; what is committed is safe", zap.Error(err))
	}
}

// session is one life of the connections: preflight in the first one, recover, start, copy, follow.
func (c *Capture) session(ctx context.Context) error {
	if err := c.preflight(ctx); err != nil {
		return err
	}
	state, err := c.Sink.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover the state from Kafka: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	if c.task != nil {
		c.task.widen(state)
	}
	clocks := clocks{maxTransaction: c.MaxTransaction, commitInterval: c.CommitInterval}
	committer := newCommitter(c.Sink, newChunkPool(c.Chunks, c.ChunkBytes), clocks, c.Metrics, state.Point)
	committer.listen(c.status.durable, func() {})
	s := &session{Capture: c, committer: committer, state: state, live: map[uint32]*liveTable{}}
	group.Go(func() error { return committer.run(ctx) })
	group.Go(func() error { return s.work(ctx) })
	return group.Wait()
}

// session is what one life knows.
type session struct {
	*Capture
	committer *committer
	state     *cdc.State
	live      map[uint32]*liveTable // by relation OID; filled by start
	first     bool                  // it has made the slot: whatever does not fit is refused
}

// liveTable is a captured table with its encoder.
type liveTable struct {
	*cdc.Table
	encoder cdc.TableEncoder
	state   cdc.TableState
	// cut is the version of the present generation's snapshot; set when following begins.
	cut cdc.Position
	// past says why the log describes the table otherwise than the encoder knows it; nil if it does not. Only below the cut it may.
	past error
	told bool // that changes below the cut are left out
}

func (t *liveTable) quarantined() bool { return t.state.Phase == cdc.TableQuarantined }

// commitNow commits changes of the state with the session's point, and waits until they are durable.
func (s *session) commitNow(ctx context.Context, changed ...cdc.StateChange) error {
	point := s.state.Point
	return s.committer.commitNow(ctx, part{reached: &point, changed: changed})
}

func (s *session) work(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	if s.task != nil {
		return errDone
	}
	s.settled = true
	return s.follow(ctx)
}
