package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Sink is the durable sink. Recover comes first; it is the only way on after an error, except that a *RecordTooLarge from
// Write leaves the sink as it was. All methods are for one goroutine at a time.
type Sink struct {
	o       Options
	log     *zap.Logger
	metrics *metrics

	client atomic.Pointer[kgo.Client] // nil before Recover and after Close; the buffer gauge reads it
	adm    *kadm.Client
	broken error // why only Recover can go on; nil while usable

	txn  *transaction // nil while none is open
	open []*slab      // chunks whose records were handed over and not yet collected, oldest first
	free []*slab

	owner   claim        // of the last takeover
	lastOwn atomic.Int64 // offset of the last record that this one wrote to the state topic, or of the one before its takeover

	byTopic map[*cdc.Topic]*topicState // saves hashing names on the row path
	ledger  *ledger
}

var _ cdc.Sink = (*Sink)(nil)

var (
	errNotRecovered = errors.New("Recover has not run")
	errClosed       = errors.New("the sink is closed")
	errTimedOut     = errors.New("the transaction was open longer than the transaction timeout")
)

// closeGrace bounds what Close and a failed Recover spend on tidying up at the broker.
const closeGrace = 5 * time.Second

// usable says why the sink cannot be used now.
func (s *Sink) usable(doing string) error {
	if s.broken == nil {
		return nil
	}
	return fmt.Errorf("kafka sink: %s: only Recover can go on: %w", doing, s.broken)
}

// poison makes err the reason why only Recover can go on, and gives the error for the caller.
func (s *Sink) poison(doing string, err error) error {
	err = s.explain(doing, s.refused(err))
	if s.broken == nil {
		s.broken = err
		s.metrics.failed(err)
	}
	return err
}

func (s *Sink) stateTopic() string    { return schemas.StateTopic(s.o.Prefix) }
func (s *Sink) progressTopic() string { return schemas.ProgressTopic(s.o.Prefix) }

func (s *Sink) bufferedBytes() float64 {
	if c := s.client.Load(); c != nil {
		return float64(c.BufferedProduceBytes())
	}
	return 0
}

// Close aborts the open transaction, so that it does not hold back readers until it times out, and releases the producer. An
// error says that the abort could not be confirmed: the broker does it itself after the transaction timeout. It works under an
// ended context too, and takes at most 10 seconds.
func (s *Sink) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	err := s.abort(ctx)
	s.drop()
	s.broken = errClosed
	s.metrics.unregister(s.o.Metrics)
	return err
}

// abort ends the open transaction without its records. It is safe after a commit of unknown outcome: the client then fences
// itself, which aborts what is still open and leaves alone what was committed. A fenced producer has nothing to abort.
func (s *Sink) abort(ctx context.Context) error {
	client := s.client.Load()
	if client == nil || s.txn == nil {
		return nil
	}
	s.txn.cancel(errClosed)
	err := client.AbortBufferedRecords(ctx)
	if err == nil {
		err = client.EndTransaction(ctx, kgo.TryAbort)
	}
	if err == nil || isFenced(err) {
		return nil
	}
	return fmt.Errorf("kafka sink: abort the open transaction of %q: the broker ends it after %s: %w", s.o.TransactionalID, s.o.TransactionTimeout, err)
}

// drop closes the client and gives every chunk back that it no longer reads.
func (s *Sink) drop() {
	if s.txn != nil {
		s.txn.cancel(errClosed)
		s.txn = nil
	}
	if client := s.client.Swap(nil); client != nil {
		client.Close()
	}
	s.abandon()
	s.adm = nil
}
