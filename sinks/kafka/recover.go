package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// lowerTimeout is the way out of a transaction timeout that the brokers do not allow.
const lowerTimeout = "lower kafka.transaction_timeout, or raise the brokers' transaction.max.timeout.ms"

// settleGrace is added to the transaction timeout when Recover waits for open transactions to end.
const settleGrace = 30 * time.Second

// Recover implements cdc.Sink (rule 4). A state without a phase is a first start. It may be called at any time, and again
// after it failed. A configuration, a right or a state that another try cannot mend is cdc.ErrRefused.
func (s *Sink) Recover(ctx context.Context) (*cdc.State, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, fmt.Errorf("kafka sink: recover: %w", errClosed)
	}
	s.drop()
	s.broken = errNotRecovered
	state, err := s.recover(ctx)
	if err != nil {
		err = s.explain("recover", s.refused(err))
		s.drop()
		s.metrics.failed(err)
		return nil, err
	}
	s.broken = nil
	return state, nil
}

func (s *Sink) recover(ctx context.Context) (*cdc.State, error) {
	client, err := kgo.NewClient(s.o.clientOptions()...)
	if err != nil {
		return nil, refuse("correct the kafka section", "make the client: %w", err)
	}
	s.client.Store(client)
	s.adm = kadm.NewClient(client)
	s.ledger = newLedger()
	clear(s.byTopic)
	if err := s.checkTransactionTimeout(ctx); err != nil {
		return nil, err
	}
	if err := s.beforeClaim(ctx); err != nil {
		return nil, err
	}
	if err := s.fence(ctx); err != nil {
		return nil, err
	}
	if err := s.ensureOwnTopics(ctx); err != nil {
		return nil, err
	}
	if err := s.claim(ctx); err != nil {
		return nil, err
	}
	ends, err := s.settle(ctx, s.stateTopic(), s.progressTopic())
	if err != nil {
		return nil, err
	}
	return s.load(ctx, ends)
}

// checkTransactionTimeout compares with the broker's maximum, if the broker lets us see it: the error of InitProducerID does
// not name the maximum.
func (s *Sink) checkTransactionTimeout(ctx context.Context) error {
	const key = "transaction.max.timeout.ms"
	brokers, err := s.adm.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list the brokers: %w", err)
	}
	if len(brokers) == 0 {
		return fmt.Errorf("the cluster names no broker")
	}
	configs, err := s.adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	if err == nil {
		_, err = configs.On(strconv.Itoa(int(brokers[0].NodeID)), func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if err != nil {
		s.log.Info("cannot see the brokers' settings, going on without comparing "+key, zap.Error(err))
		return nil
	}
	most, ok := number(configs[0].Configs, key)
	if ok && s.o.TransactionTimeout.Milliseconds() > most {
		return refuse(lowerTimeout, "the transaction timeout of %s is above the brokers' %s=%d", s.o.TransactionTimeout, key, most)
	}
	return nil
}

// fence makes this the only producer of the transactional id; the broker aborts what the one before left open.
func (s *Sink) fence(ctx context.Context) error {
	id, epoch, err := s.client.Load().ProducerID(ctx)
	if errors.Is(err, kerr.InvalidTransactionTimeout) {
		return refuse(lowerTimeout, "the transaction timeout of %s is above the brokers' transaction.max.timeout.ms (%w)", s.o.TransactionTimeout, err)
	}
	if err != nil {
		return fmt.Errorf("take over the transactional id %q: %w", s.o.TransactionalID, err)
	}
	s.log.Info("took over the transactional id", zap.String("transactional_id", s.o.TransactionalID), zap.Int64("producer_id", id), zap.Int16("epoch", epoch))
	return nil
}

// settle waits until no transaction is open on partition 0 of the topics, and gives their ends.
func (s *Sink) settle(ctx context.Context, topics ...string) (map[string]int64, error) {
	timeout := s.o.TransactionTimeout + settleGrace
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("a transaction has been open on it for %s. "+
		"Try: kafka-transactions.sh find-hanging, and stop what else writes to it", timeout))
	defer cancel()
	wait := retryFirst
	for {
		ends, open, err := s.ends(ctx, topics)
		if err == nil && open == "" {
			return ends, nil
		}
		if err != nil && !kerr.IsRetriable(err) {
			return nil, err
		}
		if stop := pause(ctx, &wait); stop != nil {
			return nil, cdc.OneLine(err, fmt.Errorf("wait for topic %s: %w", open, stop))
		}
	}
}

// ends lists the high watermarks, and names the first topic whose last stable offset is not there yet.
func (s *Sink) ends(ctx context.Context, topics []string) (ends map[string]int64, open string, err error) {
	high, err := s.adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = high.Error()
	}
	if err != nil {
		return nil, topics[0], fmt.Errorf("list the end of topic %s: %w", topics[0], err)
	}
	stable, err := s.adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return nil, topics[0], fmt.Errorf("list the last stable offset of topic %s: %w", topics[0], err)
	}
	ends = make(map[string]int64, len(topics))
	for _, topic := range topics {
		ends[topic] = high[topic][0].Offset
		if open == "" && stable[topic][0].Offset < ends[topic] {
			open = topic
		}
	}
	return ends, open, nil
}

// load reads the state, and how far every partition reaches.
func (s *Sink) load(ctx context.Context, ends map[string]int64) (*cdc.State, error) {
	r := &reader{client: s.client.Load(), adm: s.adm, log: s.log, dec: kgo.DefaultDecompressor()}
	state, err := s.readState(ctx, r, ends[s.stateTopic()])
	if err != nil {
		return nil, err
	}
	if err := s.checkState(state); err != nil {
		return nil, err
	}
	if s.o.Anew || state.Source.Phase == cdc.PhaseNone {
		if state.HighWater, err = s.past(ctx, r, ends[s.progressTopic()]); err != nil {
			return nil, err
		}
	}
	if err := s.recoverOffsets(ctx, r, state, ends[s.progressTopic()]); err != nil {
		return nil, err
	}
	for _, t := range state.Tables {
		s.ledger.table(&t)
	}
	return state, nil
}

func (s *Sink) readState(ctx context.Context, r *reader, end int64) (*cdc.State, error) {
	topic := s.stateTopic()
	starts, err := r.adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	state := &cdc.State{Tables: map[string]cdc.TableState{}}
	err = r.read(ctx, topic, 0, starts[topic][0].Offset, end, func(k *kgo.Record) error {
		err := foldState(state, k.Key, k.Value)
		if err != nil && s.o.Anew {
			s.log.Warn("a record of the state cannot be read; it is about to be replaced", zap.Int64("offset", k.Offset), zap.Error(err))
			return nil
		}
		return err
	})
	return state, err
}

// checkState refuses a state that cannot be gone on from.
func (s *Sink) checkState(state *cdc.State) error {
	if s.o.Anew {
		return nil
	}
	empty := state.Point == cdc.Point{} && len(state.Tables) == 0
	if state.Source.Phase == cdc.PhaseNone {
		if empty {
			return nil
		}
		return refuse(cdc.ResnapshotAllCommand, "topic %s holds tables or a point but no source: part of it is lost", s.stateTopic())
	}
	if s.o.Partitions != 0 && state.Source.Partitions != 0 && s.o.Partitions != state.Source.Partitions {
		return refuse(fmt.Sprintf("set it back to %d, or %s", state.Source.Partitions, cdc.ResnapshotAllCommand),
			"kafka.partitions is %d, this pipeline's topics were made with %d: another count would move keys between partitions", s.o.Partitions, state.Source.Partitions)
	}
	return nil
}
