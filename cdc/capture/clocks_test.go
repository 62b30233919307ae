package capture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// decision is what the clocks say: commit now, or ask the follower and decide again after wait at the latest.
type decision struct {
	commit reason
	ask    demand
	wait   time.Duration
}

func (c clocks) decide(s situation) decision {
	if why := c.commit(s); why != "" {
		return decision{commit: why}
	}
	return decision{ask: c.ask(s), wait: c.wait(s)}
}

// after is a situation that long after a commit, and after the follower's last point.
func after(d time.Duration, change func(s *situation)) situation {
	s := situation{sinceStarted: d + time.Millisecond, sinceCommit: d, sincePoint: d}
	if change != nil {
		change(&s)
	}
	return s
}

// TestClocks names each row of the table, and the moment before it.
func TestClocks(t *testing.T) {
	open := func(s *situation) { s.open, s.bytes = true, 10 }
	inside := func(s *situation) { s.open, s.bytes, s.inside = true, 10, true }
	busy := func(s *situation) { s.unwritten = true }
	both := func(of ...func(*situation)) func(*situation) {
		return func(s *situation) {
			for _, f := range of {
				f(s)
			}
		}
	}
	exhausted := func(s *situation) { s.exhausted = true }
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		situation
		want decision
	}{
		{"right after a commit", after(0, nil), decision{ask: askNothing, wait: 19 * ms}},
		{"an idle sink, too early", after(18*ms, nil), decision{ask: askNothing, wait: ms}},
		{"an idle sink", after(19*ms, nil), decision{ask: askBatch, wait: time.Second - 19*ms}},
		{"a commit that took long", situation{sinceStarted: 20 * ms}, decision{ask: askBatch, wait: time.Second}},
		{"a busy sink", after(999*ms, busy), decision{ask: askNothing, wait: ms}},
		{"a busy sink for long", after(time.Second, busy), decision{ask: askBatch, wait: 3 * time.Second}},
		{"the point asked for", after(0, func(s *situation) { s.given = true }), decision{commit: pointGiven}},
		{"a writer waits", after(0, func(s *situation) { s.writerWaits = true }), decision{commit: writerWaits}},
		{"nearly full", after(0, func(s *situation) { s.open, s.bytes = true, 99 }), decision{wait: 19 * ms}},
		{"full", after(0, func(s *situation) { s.open, s.bytes = true, 100 }), decision{commit: maxTransaction}},
		{"no chunk left, the sink may hold some", after(0, both(open, exhausted)), decision{commit: poolExhausted}},
		{"no chunk left, the follower holds one", after(0, exhausted), decision{ask: askHeld, wait: 19 * ms}},
		{"no chunk left at a heartbeat", after(4*time.Second, exhausted), decision{ask: askSplit, wait: 500 * ms}},
		{"rows of a copy", after(999*ms, open), decision{ask: askBatch, wait: ms}},
		{"rows of a copy for long", after(time.Second, open), decision{commit: maxBatchWaited}},
		{"inside a transaction", after(3*time.Second, inside), decision{ask: askBatch, wait: time.Second}},
		{"inside a transaction past a heartbeat", after(5*time.Second, inside), decision{ask: askPoint, wait: 4 * time.Second}},
		{"inside a transaction for long", after(10*time.Second, inside), decision{commit: splitOpenTransaction}},
		{"a heartbeat", after(4*time.Second, nil), decision{ask: askPoint, wait: 500 * ms}},
		{"a heartbeat that the follower did not answer", after(4500*ms, nil), decision{commit: heartbeatDue}},
		{"a follower that gives no point", situation{sinceStarted: 30 * ms, sinceCommit: 20 * ms, sincePoint: 10 * time.Second}, decision{ask: askSplit, wait: 980 * ms}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want.wait > heartbeat {
				test.want.wait = heartbeat
			}
			require.Equal(t, test.want, clocks{100}.decide(test.situation))
		})
	}
}

// TestTheNextClockIsNeverMissed: waiting as long as a decision says leads to the next one within a heartbeat, and never
// waits for nothing.
func TestTheNextClockIsNeverMissed(t *testing.T) {
	c := clocks{100}
	for _, change := range []func(*situation){
		nil, func(s *situation) { s.open = true }, func(s *situation) { s.open, s.inside = true, true }, func(s *situation) { s.unwritten = true },
	} {
		since := time.Duration(0)
		for d := c.decide(after(since, change)); d.commit == ""; d = c.decide(after(since, change)) {
			require.Positive(t, d.wait)
			since += d.wait
			require.LessOrEqual(t, since, longestOpen)
		}
	}
}
