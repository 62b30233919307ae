package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// Kafka refuses a producer with the same codes whether another one has its transactional id or the coordinator itself ended its
// transaction, as it does with one that timed out (a process that was stopped for a while). Only the former must end a capture. So
// whoever takes over commits a claim to the state topic before anything else, and a producer that is refused looks for a claim behind
// its last record there: without one nobody has taken over, and it may try again. Of two that take over from each other the last
// claim wins.

// keyOwner is the key of the claim.
const keyOwner = "owner"

// claimGrace is how long a refused producer waits for the claim of another one, which has the id already and makes its topics first.
const claimGrace = 5 * time.Second

// errEnded says that the broker ended the producer's transaction, and nobody took over.
var errEnded = errors.New("the broker ended this producer's transaction, and no other capture has taken over")

// claim is the record of who took over last.
type claim struct {
	Format int `json:"format"`
	// Instance tells takeovers apart; Host and Process tell an operator which process it was.
	Instance string `json:"instance"`
	Host     string `json:"host"`
	Process  int    `json:"process"`
}

// ownClaim makes the claim of one takeover.
func ownClaim() claim {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return claim{Format: cdc.StateFormat, Instance: rand.Text(), Host: host, Process: os.Getpid()}
}

// beforeClaim notes where the state topic ends: a claim in front of that is none of somebody newer.
func (s *Sink) beforeClaim(ctx context.Context) error {
	end, err := offset(s.stateTopic())(s.adm.ListEndOffsets(ctx, s.stateTopic()))
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	s.owner = ownClaim()
	s.lastOwn.Store(end - 1)
	return nil
}

// claim commits that this is the owner now, before anything is read.
func (s *Sink) claim(ctx context.Context) error {
	value, err := json.Marshal(s.owner)
	if err != nil {
		return fmt.Errorf("encode the claim: %w", err)
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.txn.bind(ctx)()
	s.produceOwn(&kgo.Record{Topic: s.stateTopic(), Key: []byte(keyOwner), Value: value})
	if err := s.flush(); err != nil {
		return fmt.Errorf("claim the pipeline: %w", err)
	}
	if err := s.end(); err != nil {
		return fmt.Errorf("claim the pipeline: %w", err)
	}
	s.ended()
	return nil
}

// takenOver is a refusal whose reason is known: another one's claim.
type takenOver struct {
	by  claim
	err error
}

func (e *takenOver) Error() string {
	return fmt.Sprintf("by process %d on %s: %v", e.by.Process, e.by.Host, e.err)
}

func (e *takenOver) Unwrap() error { return e.err }

// refused finds out what a refusal of this producer means: takenOver, or errEnded. Any other error stays as it is; so does a refusal
// about which Kafka says nothing, since then another capture has to be assumed.
func (s *Sink) refused(err error) error {
	if !isFenced(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimGrace)
	defer cancel()
	looked := false
	for wait := retryFirst; ; {
		other, looking := s.newerClaim(ctx)
		if other != nil {
			return &takenOver{*other, err}
		}
		looked = looked || looking == nil
		if pause(ctx, &wait) == nil {
			continue
		}
		if looked {
			return fmt.Errorf("%w: %s", errEnded, err.Error()) // without the code, which says that it is fenced
		}
		return err
	}
}

// newerClaim is the claim of another one behind the last record that this one has written to the state topic, nil if there is none.
func (s *Sink) newerClaim(ctx context.Context) (found *claim, err error) {
	client, err := kgo.NewClient(s.o.readerOptions()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &reader{client: client, adm: kadm.NewClient(client), log: s.log, dec: kgo.DefaultDecompressor()}
	end, err := offset(s.stateTopic())(r.adm.ListCommittedOffsets(ctx, s.stateTopic()))
	if err != nil {
		return nil, err
	}
	err = r.read(ctx, s.stateTopic(), 0, s.lastOwn.Load()+1, end, func(k *kgo.Record) error {
		if string(k.Key) != keyOwner {
			return nil
		}
		var c claim
		if err := json.Unmarshal(k.Value, &c); err != nil {
			return err
		}
		if c.Instance != s.owner.Instance {
			found = &c
		}
		return nil
	})
	return found, err
}
