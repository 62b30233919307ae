package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// peekGrace is how long Peek waits for a transaction to end that is open on the state topic. A running capture writes there last, so
// that its transactions end within milliseconds; one that a killed capture left open is not waited for, since only Recover ends it.
const peekGrace = time.Second

// Peek implements cdc.Sink. It refuses the states that Recover would refuse. Its client is one of its own, without the transactional id.
func (s *Sink) Peek(ctx context.Context) (*cdc.State, error) {
	if errors.Is(s.broken, errClosed) {
		return nil, fmt.Errorf("kafka sink: peek: %w", errClosed)
	}
	state, err := s.peek(ctx)
	if err != nil {
		return nil, s.explain("peek", err)
	}
	return state, nil
}

func (s *Sink) peek(ctx context.Context) (*cdc.State, error) {
	client, err := kgo.NewClient(s.o.readerOptions()...)
	if err != nil {
		return nil, refuse("correct the kafka section", "make the client: %w", err)
	}
	defer client.Close()
	r := &reader{client: client, adm: kadm.NewClient(client), log: s.log, dec: kgo.DefaultDecompressor()}
	state := &cdc.State{}
	end, err := s.stableEnd(ctx, r.adm, s.stateTopic())
	if err == nil {
		state, err = s.readState(ctx, r, end)
	}
	missing := errors.Is(err, kerr.UnknownTopicOrPartition)
	if err != nil && !missing {
		return nil, err
	}
	if state.Source.Phase == cdc.PhaseNone {
		if state.HighWater, err = s.peekPast(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := s.checkState(state); err != nil {
		return nil, err
	}
	if missing && state.HighWater.Epoch == 0 {
		return nil, nil // nobody has begun
	}
	return state, nil
}

// peekPast is what the progress topic knows, if there is one.
func (s *Sink) peekPast(ctx context.Context, r *reader) (cdc.HighWater, error) {
	end, err := s.stableEnd(ctx, r.adm, s.progressTopic())
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return cdc.HighWater{}, nil
	}
	if err != nil {
		return cdc.HighWater{}, err
	}
	return s.past(ctx, r, end)
}

// stableEnd is the last stable offset of one of our own topics, once it has reached what was written when it was first asked for: Kafka
// answers EndTxn before it has written the markers, so that what was just committed might be missing.
func (s *Sink) stableEnd(ctx context.Context, adm *kadm.Client, topic string) (int64, error) {
	written, err := offset(topic)(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return 0, err
	}
	for wait, since := retryFirst, time.Now(); ; {
		stable, err := offset(topic)(adm.ListCommittedOffsets(ctx, topic))
		if err != nil || stable >= written || time.Since(since) > peekGrace {
			return stable, err
		}
		if err := pause(ctx, &wait); err != nil {
			return 0, fmt.Errorf("wait for topic %s: %w", topic, err)
		}
	}
}

// offset takes the offset of the topic's partition 0 out of an answer.
func offset(topic string) func(kadm.ListedOffsets, error) (int64, error) {
	return func(listed kadm.ListedOffsets, err error) (int64, error) {
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return 0, fmt.Errorf("list the end of topic %s: %w", topic, err)
		}
		return listed[topic][0].Offset, nil
	}
}
