package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// Sink is the durable sink. Recover comes first; it is the only way on after an error, except that a *RecordTooLarge
// from Write and a refusal of EnsureTopic leave the sink as it was. All methods are for one goroutine at a time.
//
// Invariant: the point in the state topic, the records up to it, the offsets in the progress topic and the tables'
// states are of one Kafka transaction. So a reader of committed records sees all of a commit or nothing, and nothing
// outside of Kafka has to be kept in step.
//
//	Write:   check every record of the chunk; begin if no transaction is open; produce, blocking while the buffer is full
//	Commit:  flush                                        every record has its offset now
//	         produce changed states, progress, the point  they hold these offsets
//	         flush, EndTransaction                        the answer makes it cdc.Durable
//	Recover: note where the state topic ends
//	         InitProducerID                               fences the producer before; the broker aborts what it left open
//	         make or check our own topics
//	         commit a claim to the state topic            what a fenced producer finds (see claim)
//	         wait until no transaction is open            EndTransaction is answered before its markers are written
//	         read state, progress, and where progress is not of the state's point the ends of the tables' topics
//
// After any error the outcome of the open transaction is unknown, and all but Recover fails. Recover never assumes: it
// reads what became of it.
//
// Rejected: to ask the coordinator what became of the last transaction (the takeover, which must come first, overwrites
// the answer); to go on without Recover after an error that seems to have changed nothing (the client's errors do not
// say which these are); to leave the offsets out and read the ends of all tables' topics at every start (as many
// requests as partitions, where one record says it).
type Sink struct {
	o       Options
	metrics *metrics

	client atomic.Pointer[kgo.Client] // nil before Recover and after Close; the buffer gauge reads it
	topics *topicAdmin                // nil before Recover and after Close
	broken error                      // why only Recover can go on; nil while usable

	txn  *transaction // nil while none is open
	open []*slab      // chunks whose records were handed over and not yet collected, oldest first
	free []*slab

	owner ownership // of the last takeover

	byTopic map[*cdc.Topic]*topicState // saves hashing names on the row path
	ledger  *ledger
}

var _ cdc.Sink = (*Sink)(nil)

// New makes a sink; it opens no connection, Recover does. Errors name the option that is wrong.
func New(o Options) (*Sink, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("kafka sink: %w", err)
	}
	s := &Sink{o: o, ledger: newLedger(), byTopic: map[*cdc.Topic]*topicState{}, broken: errNotRecovered}
	s.metrics = newMetrics(s.bufferedBytes)
	if err := s.metrics.register(o.Metrics); err != nil {
		return nil, fmt.Errorf("kafka sink: register metrics: %w", err)
	}
	return s, nil
}

// closeGrace bounds what Close and a failed Recover spend on tidying up at the broker.
const closeGrace = 5 * time.Second

// usable says why the sink cannot be used now.
func (s *Sink) usable(doing string) error {
	if s.broken == nil {
		return nil
	}
	return fmt.Errorf("kafka sink: %s: %w: %w", doing, errRecoverFirst, s.broken)
}

// poison makes err the reason why only Recover can go on, and gives the error for the caller.
func (s *Sink) poison(doing string, err error) error {
	err = s.o.explain(doing, s.whyRefused(err))
	if s.broken == nil {
		s.broken = err
		s.metrics.failed(err)
	}
	return err
}

func (s *Sink) bufferedBytes() float64 {
	if c := s.client.Load(); c != nil {
		return float64(c.BufferedProduceBytes())
	}
	return 0
}

// Close aborts the open transaction, so that it does not hold back readers until it times out, and releases the
// producer. An error says that the abort could not be confirmed: the broker does it itself after the transaction
// timeout. It works under an ended context too, and takes at most 10 seconds.
func (s *Sink) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	err := s.abort(ctx)
	s.drop()
	s.broken = errClosed
	s.metrics.unregister(s.o.Metrics)
	return err
}

// abort ends the open transaction without its records. It is safe after a commit of unknown outcome: the client then
// fences itself, which aborts what is still open and leaves alone what was committed. A fenced producer has nothing to
// abort.
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
	s.topics = nil
}
