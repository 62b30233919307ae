package cdc

import "context"

// Accepted says that the sink has taken records into an open Kafka transaction. It is not durable: nothing may be
// reported to Postgres because of it. The zero value means nothing was accepted.
type Accepted struct{ records, bytes int64 }

// AcceptedRecords is for sinks: it counts what one Write took.
func AcceptedRecords(records, bytes int64) Accepted { return Accepted{records, bytes} }

// Records and Bytes say how much was accepted.
func (a Accepted) Records() int64 { return a.records }

// Bytes is the size of the accepted keys and values.
func (a Accepted) Bytes() int64 { return a.bytes }

// Durable says that a Point and every record before it have been committed to Kafka in one transaction (rule 3). Only a
// Durable may move the LSN that is reported to Postgres (rule 2). The zero value reports nothing.
type Durable struct{ point Point }

// DurableAt is for sinks, and only after EndTransaction returned success for the transaction that held p.
func DurableAt(p Point) Durable { return Durable{p} }

// Point is the committed point.
func (d Durable) Point() Point { return d.point }

// Point is how far a commit reaches in the source's log. It is stored in the state and progress topics.
type Point struct {
	// Position is the last change before the point. With Partial its ordinal is the *next* one that is not yet stored.
	Position Position
	// Partial says that the transaction at Position.CommitLSN is split (rule 7) and not all of it is stored. Progress
	// does not move then.
	Partial bool
	// Reported is what may be reported to Postgres: the end of the last whole commit, or a keepalive's walEnd. All
	// commits that end at or before it are stored.
	Reported LSN
	// Time is the source's clock at the point, microseconds since 1970-01-01 UTC: no later commit carries an earlier
	// time, within clock skew.
	Time int64
}

// Sink stores chunks durably and exactly once. It has one user at a time; Write and Commit are not safe for concurrent
// use.
//
// After any error the outcome of the open transaction is unknown and must not be assumed (rule 3): the only way on is a
// new Recover. ErrFenced says that another capture has taken over: this one must stop. A TableTrouble names the topic
// that is to blame.
type Sink interface {
	// Peek reads the state as last committed, at any time before Close, and changes nothing: it fences no other
	// capture, makes no topic, and leaves the sink as it was. It is nil if there is none. Another capture may be
	// writing, so that the state may be old by the time it is returned; what is not committed is not in it.
	Peek(ctx context.Context) (*State, error)
	// Recover fences every older producer of this pipeline, waits until its open transaction has ended, and reads the
	// state.
	Recover(ctx context.Context) (*State, error)
	// EnsureTopic creates the table's topic, or checks that it is as wanted (partition count, clean-up policy). created
	// says that it was made by this call, or that it is another one than the state speaks of: nothing that counts is in
	// it. A TableTrouble says that this topic does not fit.
	EnsureTopic(ctx context.Context, t *Topic) (created bool, err error)
	// Unfit says, by name, which of these topics do not fit any more, a TableTrouble each, or are gone (ErrNoTopic). It
	// may be called while other methods are, and changes nothing; an error says that it could not be asked.
	Unfit(ctx context.Context, topics []*Topic) (map[string]error, error)
	// Write hands the chunk's records over in order, inside the open transaction (which it begins if needed). It blocks
	// while the producer's buffer is full. The chunk belongs to the sink, which calls its Release once every record is
	// acknowledged or given up.
	Write(ctx context.Context, c *Chunk) (Accepted, error)
	// Commit makes everything written since the last Commit durable, together with the point and the changed parts of
	// the state.
	Commit(ctx context.Context, p Point, changed ...StateChange) (Durable, error)
	// Close ends the open transaction (aborting it) and releases the producer.
	Close(ctx context.Context) error
}
