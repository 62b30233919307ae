package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// keyOwner is the key of the claim in the state topic.
const keyOwner = "owner"

// claimGrace is how long a refused producer waits for the claim of another one, which has the id already and makes its
// topics first.
const claimGrace = 5 * time.Second

// errEnded says that the broker ended the producer's transaction, and no other capture took over.
var errEnded = errors.New("the broker ended this producer's transaction, and no other capture has taken over")

// claim is the record of the capture that took over last.
//
// Kafka refuses a producer with the same codes whether another one has its transactional id or the coordinator itself
// ended its transaction, as it does with one that timed out (a process that was stopped for a while). Only the former
// must end a capture. So a capture that takes over commits a claim to the state topic before anything else, and a
// producer that is refused looks for a claim after its own last record there: without one no other capture has taken
// over, and it may try again. Of two that take over from each other the last claim wins.
type claim struct {
	Format int `json:"format"`
	// Instance distinguishes takeovers; Host and Process say to an operator which process it was.
	Instance string `json:"instance"`
	Host     string `json:"host"`
	Process  int    `json:"process"`
}

// newClaim makes the claim of one takeover.
func newClaim() claim {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return claim{Format: cdc.StateFormat, Instance: rand.Text(), Host: host, Process: os.Getpid()}
}

// decodeClaim reads the value of a record with keyOwner.
func decodeClaim(value []byte) (c claim, err error) {
	if err = json.Unmarshal(value, &c); err != nil {
		return claim{}, fmt.Errorf("decode the claim: %w", err)
	}
	return c, nil
}

// ownership is what one takeover knows of itself.
type ownership struct {
	claim claim
	// last is the offset of the last record that it wrote to the state topic, or of the one before its takeover. The
	// client's goroutine moves it.
	last atomic.Int64
	// producer is the id under which Kafka took its last record of one of our own topics; the client's goroutine sets
	// it. declared is the last one that was committed with a declaration.
	producer atomic.Int64
	declared int64
}

// takenOver is a refusal because of another capture's claim.
type takenOver struct {
	by  claim
	err error
}

func (e *takenOver) Error() string {
	return fmt.Sprintf("by process %d on %s: %v", e.by.Process, e.by.Host, e.err)
}

func (e *takenOver) Unwrap() error { return e.err }

// whyRefused finds out what a refusal of this producer means: takenOver, or errEnded. Any other error stays as it is;
// so does a refusal about which Kafka says nothing, since then another capture has to be assumed.
func (s *Sink) whyRefused(err error) error {
	if !isFenced(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimGrace)
	defer cancel()
	answered := false
	for wait := retryFirst; ; {
		other, failed := s.newerClaim(ctx)
		if other != nil {
			return &takenOver{*other, err}
		}
		answered = answered || failed == nil
		if pause(ctx, &wait) == nil {
			continue
		}
		if answered {
			return fmt.Errorf("%w: %s", errEnded, err.Error()) // without the code, which says that it is fenced
		}
		return err
	}
}

// newerClaim is the last claim of another one after the last record that this one has written to the state topic, nil
// if there is none.
func (s *Sink) newerClaim(ctx context.Context) (found *claim, err error) {
	r, closeClient, err := connectReader(&s.o)
	if err != nil {
		return nil, err
	}
	defer closeClient()
	topic := r.options.stateTopic()
	end, err := ownOffset(topic)(r.adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	err = r.read(ctx, topic, 0, s.owner.last.Load()+1, end, func(k *kgo.Record) error {
		if string(k.Key) != keyOwner || !r.counts(k) {
			return nil
		}
		c, err := decodeClaim(k.Value)
		if err == nil && c.Instance != s.owner.claim.Instance {
			found = &c
		}
		return err
	})
	return found, err
}
