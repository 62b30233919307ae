package capture

import "time"

// The committer's clocks.
const (
	// commitInterval is the shortest time from the start of one commit to that of the next, unless there is a reason.
	commitInterval = 20 * time.Millisecond
	// maxBatchWait is how long rows wait for a commit while the sink is busy, as it always may be under load.
	maxBatchWait = time.Second
	// heartbeat is how often the state is committed even if nothing has changed, so that a capture that was fenced
	// notices (rule 4).
	heartbeat = 4 * time.Second
	// lateHeartbeat is when the last point is committed again because the follower was asked for a newer one and gave
	// none: it reads what is stored already, waits for a re-read, or does not run.
	lateHeartbeat = heartbeat + heartbeat/8
	// longestOpen is how long a Kafka transaction is held open for the rest of a source transaction, and how long rows
	// of one wait in a chunk: readers wait for them, and the broker ends a transaction after kafka.transaction_timeout.
	longestOpen = 10 * time.Second
)

// clocks decide when to commit, from a situation alone.
//
//	commit when                                              reason
//	a writer waits until what it sent is durable             writerWaits
//	the follower gave the point it was asked for             pointGiven
//	maxTransaction bytes are written                         maxTransaction
//	no chunk is left, and the sink may hold some             poolExhausted
//	something is written, the last point was between
//	transactions, and the last commit was ≥ 1 s ago          maxBatchWaited
//	something is written, and the last commit was ≥ 10 s ago splitOpenTransaction
//	nothing is written and nothing was committed for 4.5 s   heartbeatDue
//
//	otherwise ask the follower for                           when
//	any point, even inside a transaction                     it gave none for 10 s
//	a point between transactions, even the last one again    nothing was committed for 4 s
//	the chunk that it holds, even inside a transaction       no chunk is left, and the sink holds none
//	a point between transactions, if it has moved            the sink is idle and commitInterval has passed,
//	                                                         or 1 s has
type clocks struct{ maxTransaction int64 }

// situation is all that the decision depends on. Times are measured from the last commit of this session.
type situation struct {
	sinceStarted time.Duration // since the last commit began
	sinceCommit  time.Duration // since the last commit was durable
	sincePoint   time.Duration // since the follower gave its last point
	bytes        int64         // written since the last commit
	open         bool          // something was written since then, or the state has changed
	inside       bool          // the point reached since then is inside a transaction
	given        bool          // the follower gave the point it was asked for
	writerWaits  bool          // a writer waits until what it sent is durable
	unwritten    bool          // parts of the follower are not written yet: the sink is not idle
	exhausted    bool          // a writer waits for a chunk, none is left, and none is on the way to the sink
}

// reason says why a commit is made; "" is none.
type reason string

const (
	writerWaits          reason = "a writer waits for it"
	pointGiven           reason = "the follower gave the point it was asked for"
	maxTransaction       reason = "the Kafka transaction is full"
	poolExhausted        reason = "no chunk is left"
	maxBatchWaited       reason = "rows have waited long enough"
	splitOpenTransaction reason = "the Kafka transaction has been open for long"
	heartbeatDue         reason = "nothing was committed for long"
)

// demand is what the committer asks of the follower; a higher one replaces a lower one.
type demand int32

const (
	askNothing demand = iota
	askBatch          // a point between transactions, if it has moved since the last one
	askHeld           // what it holds, even inside a transaction (rule 7), if it holds anything
	askPoint          // a point between transactions, even if it is the last one again
	askSplit          // askHeld and askPoint
	answered          // no demand: the follower has sent the point, and the committer has not received it
)

// commit says why to commit now; "" is not yet.
func (c clocks) commit(s situation) reason {
	switch {
	case s.writerWaits:
		return writerWaits
	case s.given:
		return pointGiven
	case s.bytes >= c.maxTransaction:
		return maxTransaction
	case s.open && s.exhausted:
		return poolExhausted
	case s.open && !s.inside && s.sinceCommit >= maxBatchWait:
		return maxBatchWaited
	case s.open && s.sinceCommit >= longestOpen:
		return splitOpenTransaction
	case !s.open && s.sinceCommit >= lateHeartbeat:
		return heartbeatDue
	}
	return ""
}

// ask is what to ask of the follower where nothing is committed.
func (c clocks) ask(s situation) demand {
	switch {
	case s.sincePoint >= longestOpen, s.exhausted && s.sinceCommit >= heartbeat:
		return askSplit
	case s.sinceCommit >= heartbeat:
		return askPoint
	case s.exhausted:
		return askHeld
	case !s.unwritten && s.sinceStarted >= commitInterval, s.sinceCommit >= maxBatchWait:
		return askBatch
	}
	return askNothing
}

// wait is the time until the next clock is due, if nothing arrives before.
func (c clocks) wait(s situation) time.Duration {
	next := heartbeat
	sooner := func(at, since time.Duration) {
		if left := at - since; left > 0 {
			next = min(next, left)
		}
	}
	sooner(commitInterval, s.sinceStarted)
	for _, at := range [...]time.Duration{maxBatchWait, heartbeat, lateHeartbeat, longestOpen} {
		sooner(at, s.sinceCommit)
	}
	sooner(longestOpen, s.sincePoint)
	return next
}
