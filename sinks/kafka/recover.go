package kafka

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// Recover implements cdc.Sink (rule 4). A state without a phase is a first start. It may be called at any time, and
// again after it failed. A configuration, a right or a state that another try cannot fix is cdc.ErrRefused.
func (s *Sink) Recover(ctx context.Context) (*cdc.State, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, fmt.Errorf("kafka sink: recover: %w", errClosed)
	}
	s.drop()
	s.broken = errNotRecovered
	state, err := s.recover(ctx)
	if err != nil {
		err = s.o.explain("recover", s.whyRefused(err))
		s.drop()
		s.metrics.failed(err)
		return nil, err
	}
	s.broken = nil
	return state, nil
}

// recover takes the steps that Sink's comment describes.
func (s *Sink) recover(ctx context.Context) (*cdc.State, error) {
	client, err := kgo.NewClient(s.o.clientOptions()...)
	if err != nil {
		return nil, badClient(err)
	}
	s.client.Store(client)
	s.topics = &topicAdmin{options: &s.o, adm: kadm.NewClient(client), log: s.o.Log, said: &s.said}
	clear(s.byTopic)
	for _, step := range []func(context.Context) error{s.checkTransactionTimeout, s.noteEnd, s.fence, s.topics.ensureOwn, s.claim} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s.load(ctx, newStateReader(&s.o, client))
}

// checkTransactionTimeout compares with the broker's maximum, if the broker lets us see it: the error of InitProducerID
// does not name the maximum.
func (s *Sink) checkTransactionTimeout(ctx context.Context) error {
	const key = "transaction.max.timeout.ms"
	brokers, err := s.topics.adm.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list the brokers: %w", err)
	}
	if len(brokers) == 0 {
		return fmt.Errorf("the cluster names no broker")
	}
	configs, err := s.topics.adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	if err == nil {
		_, err = configs.On(strconv.Itoa(int(brokers[0].NodeID)), func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if err != nil {
		s.o.Log.Info("cannot see the brokers' settings, going on without comparing "+key, zap.Error(err))
		return nil
	}
	most, ok := number(configs[0].Configs, key)
	if ok && s.o.TransactionTimeout.Milliseconds() > most {
		return s.o.lowerTimeout(fmt.Sprintf("%s=%d", key, most))
	}
	return nil
}

// lowerTimeout makes the problem of a transaction timeout that the brokers do not allow.
func (o *Options) lowerTimeout(most string) *cdc.Problem {
	return refuse("the transaction timeout of %s is above the brokers' %s", o.TransactionTimeout, most).
		Fix("lower kafka.transaction_timeout").Fix("raise the brokers' transaction.max.timeout.ms")
}

// noteEnd notes where the state topic ends before the takeover: a claim before that is not a newer one.
func (s *Sink) noteEnd(ctx context.Context) error {
	end, err := ownOffset(s.o.stateTopic())(s.topics.adm.ListEndOffsets(ctx, s.o.stateTopic()))
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	s.owner.claim = newClaim()
	s.owner.last.Store(end - 1)
	s.owner.declared = undeclared
	return nil
}

// fence makes this the only producer of the transactional id; the broker aborts what the one before left open.
func (s *Sink) fence(ctx context.Context) error {
	taking, cancel := context.WithTimeout(ctx, cmp.Or(s.o.fenceTime, fenceTime))
	defer cancel()
	id, epoch, err := s.client.Load().ProducerID(taking)
	if errors.Is(err, kerr.InvalidTransactionTimeout) {
		return s.o.lowerTimeout("transaction.max.timeout.ms").Because(err)
	}
	if err != nil && taking.Err() != nil && ctx.Err() == nil {
		err = s.topics.stuck(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("take over the transactional id %q: %w", s.o.TransactionalID, err)
	}
	s.o.Log.Info("took over the transactional id",
		zap.String("transactional_id", s.o.TransactionalID), zap.Int64("producer_id", id), zap.Int16("epoch", epoch))
	return nil
}

// claim commits that this is the owner now, before anything is read.
func (s *Sink) claim(ctx context.Context) error {
	value, err := json.Marshal(s.owner.claim)
	if err != nil {
		return fmt.Errorf("encode the claim: %w", err)
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.txn.bind(ctx)()
	s.produceOwn(&kgo.Record{Topic: s.o.stateTopic(), Key: []byte(keyOwner), Value: value})
	err = s.flush()
	if err == nil {
		err = s.declare()
	}
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return fmt.Errorf("claim the pipeline: %w", err)
	}
	s.owner.declared = s.owner.producer.Load()
	s.ended()
	return nil
}

// load reads the state, and how far every partition reaches, once no transaction is open.
func (s *Sink) load(ctx context.Context, r *stateReader) (*cdc.State, error) {
	ends, err := r.closedEnds(ctx, false, s.o.stateTopic(), s.o.progressTopic())
	if err != nil {
		return nil, err
	}
	stateEnd, progressEnd := ends[s.o.stateTopic()][0].Offset, ends[s.o.progressTopic()][0].Offset
	state, err := r.state(ctx, stateEnd)
	if err != nil {
		return nil, err
	}
	if err := r.check(state); err != nil {
		return nil, err
	}
	if err := r.checkControls(ctx, state); err != nil {
		return nil, err
	}
	if err := s.topics.checkRaised(ctx, state); err != nil {
		return nil, err
	}
	if s.o.Anew || state.Source.Phase == cdc.PhaseNone {
		if state.HighWater, err = r.highWater(ctx, progressEnd); err != nil {
			return nil, err
		}
	}
	if s.ledger, err = r.offsets(ctx, state, progressEnd); err != nil {
		return nil, err
	}
	s.ids.restore(state)
	if err := r.raise(ctx, s.ledger); err != nil {
		return nil, err
	}
	s.ledger.stateChanged(state.Source)
	for _, t := range state.Tables {
		s.ledger.table(&t)
	}
	return state, nil
}
