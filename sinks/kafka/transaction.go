package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transaction is one open Kafka transaction. Its records live under its context, which ends with the transaction
// timeout: the broker would refuse them from then on.
type transaction struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // frees the timer
	began  time.Time
	failed atomic.Pointer[produceError] // the first record that failed

	records, bytes int64 // written, for the metrics
}

// produceError is a record that Kafka did not take.
type produceError struct {
	topic     string
	partition int32
	err       error
}

func (e *produceError) Error() string {
	return fmt.Sprintf("topic %s partition %d: %v", e.topic, e.partition, e.err)
}

func (e *produceError) Unwrap() error { return e.err }

// begin opens a transaction if none is open.
func (s *Sink) begin() error {
	if s.txn != nil {
		return nil
	}
	if err := s.client.Load().BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	base, cancel := context.WithCancelCause(context.Background())
	ctx, stop := context.WithTimeoutCause(base, s.o.TransactionTimeout, errTimedOut)
	s.txn = &transaction{ctx: ctx, cancel: cancel, stop: stop, began: time.Now()}
	return nil
}

// bind makes the end of ctx the end of the transaction, until the returned function is called.
func (t *transaction) bind(ctx context.Context) (unbind func()) {
	stop := context.AfterFunc(ctx, func() { t.cancel(context.Cause(ctx)) })
	return func() { stop() }
}

// note keeps the first failure of a record. It is called by the client's goroutine.
func (t *transaction) note(r *kgo.Record, err error) {
	t.failed.CompareAndSwap(nil, &produceError{r.Topic, r.Partition, err})
}

// err is the first failed record, or why the transaction's context has ended.
func (t *transaction) err() error {
	if failed := t.failed.Load(); failed != nil {
		if cause := context.Cause(t.ctx); cause != nil && t.ctx.Err() != nil && isContext(failed.err) {
			return fmt.Errorf("topic %s partition %d: %w", failed.topic, failed.partition, cause)
		}
		return failed
	}
	return context.Cause(t.ctx)
}

// flush waits until the client has an answer for every record; the error is the first that failed.
func (s *Sink) flush() error {
	err := s.client.Load().Flush(s.txn.ctx)
	if failed := s.txn.err(); failed != nil {
		return failed
	}
	return err
}

// ended forgets the transaction after its end.
func (s *Sink) ended() {
	s.txn.stop()
	s.txn.cancel(nil)
	s.txn = nil
}
