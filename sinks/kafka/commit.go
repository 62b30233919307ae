package kafka

import (
	"context"
	"errors"
	"fmt"
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
	s.metrics.committed(s.txn.records, s.txn.bytes, started)
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
	s.o.Fault.At(cdc.FaultAfterProduce)
	if err := s.end(); err != nil {
		return err
	}
	if !p.Partial {
		s.ledger.written()
	}
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
		key, value, err := encodeChange(c)
		if err != nil {
			return err
		}
		if t, ok := c.(cdc.TableState); ok {
			s.ledger.table(&t)
		}
		records = append(records, &kgo.Record{Topic: s.o.stateTopic(), Key: key, Value: value})
	}
	if !p.Partial {
		value, err := s.ledger.encode(p)
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: s.o.progressTopic(), Value: value})
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
			} else if r.Topic == state {
				s.owner.last.Store(r.Offset) // of one partition, in order
			}
		})
	}
}
