package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// Commit implements cdc.Sink. With nothing written it commits the point alone (idle advance, rule 8). The transaction
// may reach Kafka and its answer get lost: then the error is all that is known, and Recover reads what happened (rule
// 3).
func (s *Sink) Commit(ctx context.Context, p cdc.Point, changed ...cdc.StateChange) (cdc.Durable, error) {
	if err := s.usable("commit"); err != nil {
		return cdc.Durable{}, err
	}
	started := time.Now()
	if err := s.commit(ctx, p, changed); err != nil {
		return cdc.Durable{}, s.poison("commit", err)
	}
	s.metrics.records.Add(float64(s.txn.records))
	s.metrics.bytes.Add(float64(s.txn.bytes))
	s.metrics.commits.Inc()
	s.metrics.commitSeconds.Observe(time.Since(started).Seconds())
	s.ended()
	s.o.Fault.At(cdc.FaultAfterCommit)
	return cdc.DurableAt(p), nil
}

func (s *Sink) commit(ctx context.Context, p cdc.Point, changed []cdc.StateChange) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.txn.bind(ctx)()
	if err := s.flush(); err != nil {
		return err
	}
	s.collect()
	if err := s.produceState(p, changed); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.declare(); err != nil {
		return err
	}
	s.o.Fault.At(cdc.FaultAfterProduce)
	if err := s.end(); err != nil {
		return err
	}
	s.owner.declared = s.owner.producer.Load()
	if !p.Partial {
		s.ledger.written()
	}
	s.lastFull.committed()
	s.ids.committed(changed)
	return nil
}

// end commits the transaction. OPERATION_NOT_ATTEMPTED only says that the client gave up before asking: the producer
// knows why.
func (s *Sink) end() error {
	client := s.client.Load()
	err := client.EndTransaction(s.txn.ctx, kgo.TryCommit)
	if errors.Is(err, kerr.OperationNotAttempted) {
		if _, _, why := client.ProducerID(s.txn.ctx); why != nil {
			err = fmt.Errorf("%w (%w)", why, err)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnknownOutcome, err)
	}
	return nil
}

// produceState hands over what must be committed together with the data: progress, changed states, the point.
func (s *Sink) produceState(p cdc.Point, changed []cdc.StateChange) error {
	records := make([]*kgo.Record, 0, len(changed)+2)
	for _, c := range changed {
		key, value, err := encodeChange(s.ids.stamp(c))
		if err != nil {
			return err
		}
		s.ledger.stateChanged(c)
		records = append(records, &kgo.Record{Topic: s.o.stateTopic(), Key: key, Value: value})
	}
	controls, err := s.placed.records(s.o.controlTopic())
	if err != nil {
		return err
	}
	records = append(records, controls...)
	if s.lastFull.sent = nil; !p.Partial {
		s.ledger.full = s.lastFull.gone.Swap(false) || s.ledger.full
		value, err := s.ledger.encode(p)
		if err != nil {
			return err
		}
		record := &kgo.Record{Topic: s.o.progressTopic(), Value: value}
		if records = append(records, record); s.ledger.dueFull() {
			s.lastFull.sent = record
		}
	}
	records = append(records, &kgo.Record{Topic: s.o.stateTopic(), Key: []byte(keyPoint), Value: encodePoint(p)})
	s.produceOwn(records...)
	return nil
}

// produceOwn hands over records of our own topics, and notes how far those of the state topic reach.
func (s *Sink) produceOwn(records ...*kgo.Record) {
	txn, state := s.txn, s.o.stateTopic()
	for _, r := range records {
		s.client.Load().Produce(txn.ctx, r, func(r *kgo.Record, err error) {
			if err != nil {
				txn.note(r, err)
				return
			}
			s.owner.producer.Store(r.ProducerID)
			if r.Topic == state {
				s.owner.last.Store(r.Offset) // of one partition, in order
			}
		})
	}
}

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
		ended := errors.Is(failed.err, context.Canceled) || errors.Is(failed.err, context.DeadlineExceeded)
		if cause := context.Cause(t.ctx); cause != nil && ended {
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
