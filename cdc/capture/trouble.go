package capture

import (
	"errors"
	"sync"
	"time"

	"dirtbike/cdc"
)

// Errors are sorted by whose they are, not by where they occur:
//
//	one table's     cdc.TableTrouble, a row that cannot be carried, a change of the table: it is quarantined, and waits
//	                if that may pass or can be put right at its place; all others go on
//	the pipeline's  ends: the process ends, and a person decides
//	a server's      everything else: the session is tried again without limit, from the state in Kafka
//
// A table that waits is tried again by a new session, with growing pauses, and then copied as a new generation. Nothing
// waits for it.

// ends is the closed list of what ends a capture; anything that is not in it does not. cdc/EXACTNESS.md has it, too.
var ends = []struct {
	kind error
	what string // as the document says it
}{
	{cdc.ErrFenced, "another capture has taken over"},
	{cdc.ErrGap, "the slot, the source or the publication no longer gives the changes after the stored position"},
	{cdc.ErrRefused, "the config, the rights of the whole pipeline or the stored state do not fit together"},
}

// endsCapture reports whether an error is in the list.
func endsCapture(err error) bool {
	if cdc.OfOneTable(err) != nil {
		return false
	}
	for _, e := range ends {
		if errors.Is(err, e.kind) {
			return true
		}
	}
	return false
}

// errTryAgain ends a session because a table that waits is due.
var errTryAgain = errors.New("a table that waits is tried again")

// quarantine stops capturing one table, and says why. The caller commits its state.
func (s *session) quarantine(t *table, reason error) error {
	trouble := cdc.OfOneTable(reason)
	if !waits(reason) {
		reason = cdc.Explain(reason).Of(nil).ThenCopy(t.name())
	}
	if err := t.quarantine(reason); err != nil {
		return err
	}
	if t.state.Waits {
		s.retries.failed(t.name())
	}
	if trouble != nil {
		s.retries.forgive(trouble.Topic) // the table has it now
	}
	s.report.quarantined(t)
	return nil
}

// retryDue reports whether a table that waits is to be tried again.
func (s *session) retryDue() bool {
	for _, t := range s.tables {
		if t.waiting() && s.retries.due(t.name()) {
			return true
		}
	}
	return false
}

// tableTrouble is what keeps a start from one table.
type tableTrouble struct {
	table *table
	err   error
}

// troubles are those of one start.
type troubles struct {
	all  []tableTrouble
	fine int // tables without
}

// suspects is how many tables must have a trouble in common, and none be without, before the rest is not asked for: a
// server that answers and fails takes seconds for each.
const suspects = 3

// ofAll gives the first trouble if it is not one table's: every table that was asked for has one of a kind that all may
// share. last says that all were asked for.
func (t *troubles) ofAll(last bool) error {
	if t.fine > 0 || len(t.all) == 0 || len(t.all) < suspects && !last {
		return nil
	}
	for _, one := range t.all {
		if !cdc.OfOneTable(one.err).Shared {
			return nil
		}
	}
	return notOneTables(t.all[0].err)
}

// notOneTables is the error without saying that it is one table's.
func notOneTables(err error) error { return cdc.Explain(err) }

// retries knows when the tables that wait are tried again, and which topics were to blame for the end of a session. It
// is safe for concurrent use.
type retries struct {
	first time.Duration

	mu     sync.Mutex
	tables map[string]retry
	topics map[string]*blame
	looks  map[string]topicLook // what was seen last of topics that did not fit, or were gone
}

// topicLook is what a look at a topic shows.
type topicLook uint8

const (
	topicFits topicLook = iota
	topicUnfit
	topicGone
)

// retry is the last failure of one table.
type retry struct {
	at    time.Time
	pause time.Duration // after it
}

// blame is what ended sessions.
type blame struct {
	err   *cdc.TableTrouble
	at    time.Time
	times int // in a row
}

const (
	longestPause = time.Hour
	// blameTimes is how often in a row a topic must have ended a session with what it may share with others, or with
	// what may pass, and have seemed to fit after it.
	blameTimes = 3
	// blameMemory is how soon the next time has to come to be in a row.
	blameMemory = 2 * time.Minute
)

func newRetries(first time.Duration) *retries {
	return &retries{first: first, tables: map[string]retry{}, topics: map[string]*blame{}, looks: map[string]topicLook{}}
}

// failed notes that a table cannot go on now. The pause doubles unless it went well for long since the last time.
func (r *retries) failed(table string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, now := r.tables[table], time.Now()
	pause := min(2*last.pause, longestPause)
	if pause == 0 || now.Sub(last.at) > last.pause+longestPause {
		pause = r.first
	}
	r.tables[table] = retry{now, pause}
}

// due reports whether the table's pause is over; one that this process knows nothing of is due.
func (r *retries) due(table string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.tables[table]
	return time.Since(last.at) >= last.pause
}

// blame notes what ended a session; nil, and what names no topic, is nothing.
func (r *retries) blame(trouble *cdc.TableTrouble) {
	if trouble == nil || trouble.Topic == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, now := r.topics[trouble.Topic], time.Now()
	if b == nil || now.Sub(b.at) > blameMemory {
		b = &blame{}
		r.topics[trouble.Topic] = b
	}
	b.err, b.at = trouble, now
	b.times++
}

// blamed gives the trouble that a topic caused, if that is certain by now.
func (r *retries) blamed(topic string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.topics[topic]
	if b == nil || b.err.Shared && b.times < blameTimes {
		return nil
	}
	return &cdc.TableTrouble{Topic: topic, Err: cdc.Failed("Kafka refuses its records").Because(b.err.Err).
		OrFix("see how the topic's settings differ from those of others: kafka-configs.sh --describe --entity-type topics --entity-name %s", topic)}
}

// forgive forgets what a topic was blamed for.
func (r *retries) forgive(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.topics, topic)
}

// looked notes what a look at the topic of a table shows. mended says of a table that waits that whoever had to put its
// topic right has done so: it fits again, or was deleted. Then the table is due.
func (r *retries) looked(table, topic string, why error) (mended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, now := r.looks[topic], topicFits
	switch {
	case cdc.OfOneTable(why) != nil:
		now = topicUnfit
	case why != nil:
		now = topicGone
	}
	r.looks[topic] = now
	if now == was || now == topicUnfit {
		return false
	}
	last := r.tables[table]
	last.at = time.Time{}
	r.tables[table] = last
	return true
}

// ensured notes whether a topic could be made or fits: one that is gone and cannot be made stays gone.
func (r *retries) ensured(topic string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case why == nil:
		delete(r.looks, topic)
	case r.looks[topic] == topicFits:
		r.looks[topic] = topicUnfit
	}
}
