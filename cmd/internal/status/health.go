package status

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/checks"
)

// Checks are the checks that the collector's sources can answer, in the order in which they are read: clickhouse, slot,
// capture (only with a capture in this process), tables, exact, privacy, encryption. kafka, horizon and load are added
// by cmd/dirtbike.
func (c *Collector) Checks() []Check {
	checks := []Check{
		Reachable("clickhouse", func(ctx context.Context) error { return pingError(c.ClickHouse.Ping(ctx)) }),
		c.slotCheck(),
	}
	if c.Capture != nil {
		checks = append(checks, Check{Name: "capture", Func: func(context.Context) error { return captureHealth(c.Capture()) }})
	}
	return append(checks, c.statusCheck("tables", Status.tablesProblem), c.statusCheck("exact", Status.exactProblem), c.privacyCheck(), c.encryptionCheck())
}

// slotCheck asks Postgres alone, so that it answers while ClickHouse is away: that is when the retained log grows.
func (c *Collector) slotCheck() Check {
	var mu sync.Mutex
	var idle time.Time // when this check first saw that no capture streams
	check := func(ctx context.Context) (forecast, error) {
		f, err := c.pollSlot(ctx)
		if err != nil {
			return forecast{}, err
		}
		fc := c.forecast(f, written{})
		if p := f.judge(c.Slot, fc); p != nil {
			return fc, p
		}
		mu.Lock()
		defer mu.Unlock()
		return c.streamed(ctx, f, fc, &idle)
	}
	return Check{Name: "slot", Func: func(ctx context.Context) error {
		fc, err := check(ctx)
		if err == nil || fc.limit == "" || fc.known {
			return err
		}
		pause(ctx, leastInterval+leastInterval/10) // the first answer of a process also says how much time is left
		if ctx.Err() == nil {
			_, err = check(ctx)
		}
		return err
	}}
}

// idleGrace is how long a capture in this process may be between two sessions.
const idleGrace = 5 * time.Second

// streamed is an error if a capture should stream from the slot and none does. Without a capture in this process only
// ClickHouse knows how far a first copy is, so that there is no error while it is away: then another check fails. The
// returned forecast is the one that was used.
func (c *Collector) streamed(ctx context.Context, f slotFacts, fc forecast, idle *time.Time) (forecast, error) {
	switch {
	case f.active, c.Capture != nil && c.Capture().Phase != cdc.PhaseStreaming:
		*idle = time.Time{}
		return fc, nil
	case c.Capture != nil:
		if idle.IsZero() {
			*idle = f.at
		}
		if f.at.Sub(*idle) < idleGrace {
			return fc, nil
		}
		return fc, cdc.Failed("the capture of this process has not streamed from slot %s for %s; Postgres keeps %s of log for it%s",
			f.name, f.at.Sub(*idle).Round(time.Second), size(f.retained), fc.timeLeftText()).Fix("see check capture")
	}
	all, err := c.read(ctx)
	if err != nil {
		return fc, nil //nolint:nilerr // checks clickhouse, tables and exact report it
	}
	fc = c.forecast(f, all.written())
	if p := f.problem(c.status(all).Phase, 0); p != nil {
		p.What += fc.timeLeftText()
		return fc, p
	}
	return fc, nil
}

func captureHealth(s capture.Status) error {
	switch {
	case s.Waiting != "":
		return cdc.ParseProblem(s.Waiting)
	case s.Healthy:
		return nil
	case s.LastError == "" && s.Progress != "":
		return cdc.Failed("capture is starting (%s)", s.Progress).Fix("dirtbike wait")
	case s.LastError == "":
		return cdc.Failed("capture is starting").Fix("dirtbike wait")
	}
	p := cdc.ParseProblem(s.LastError)
	if len(p.Try) == 0 {
		p.Keeps("What is committed to Kafka is safe").Fix("fix what it names; capture goes on by itself")
	}
	return p
}

// statusCheck is a check of the status.
func (c *Collector) statusCheck(name string, problem func(Status) *cdc.Problem) Check {
	return Check{Name: name, Func: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, CheckTime-CheckTime/10) // before the check's own time: the answer names the part
		defer cancel()
		s, err := c.Status(ctx)
		if err != nil {
			away := cdc.Failed("not known").Because(err) // not what the check says of a table that is wrong
			away.Try = cdc.Explain(err).Remedies()
			return away
		}
		if p := problem(s); p != nil {
			return p
		}
		return nil
	}}
}

// tablesProblem names the tables that are quarantined, wait or are not captured, and topics to which others have
// written; nil if there are none.
func (s Status) tablesProblem() *cdc.Problem {
	var bad, left, wait, what []string
	var only *cdc.Problem // of the last one that is not captured
	for _, t := range s.Tables {
		switch t.Phase {
		case quarantined:
			bad = append(bad, t.Table+t.inBrackets())
		case notCaptured:
			left, only = append(left, t.Table+t.inBrackets()), t.problem()
		default:
			if t.Waits {
				wait = append(wait, t.Table+t.inBrackets())
			}
		}
	}
	if len(bad) > 0 {
		what = append(what, cdc.OfTables(len(bad), len(s.Tables))+" quarantined: "+strings.Join(bad, ", "))
	}
	if len(wait) > 0 {
		what = append(what, cdc.OfTables(len(wait), len(s.Tables))+" wait: "+strings.Join(wait, ", "))
	}
	if len(left) > 0 {
		what = append(what, uncaptured+": "+strings.Join(left, ", "))
	}
	foreign := s.foreign()
	switch {
	case len(what) == 0:
		return foreign
	case foreign != nil:
		what = append(what, foreign.What)
	}
	p := cdc.Failed("%s", strings.Join(what, "; "))
	if len(bad)+len(wait) == 0 && len(left) == 1 && only != nil {
		p.Try = only.Try
	}
	return p.OrFix("dirtbike status, which says what to do for each")
}

// inBrackets says why the table is quarantined or new, for a list of several; empty if it is not known.
func (t *TableStatus) inBrackets() string {
	p := t.problem()
	if p == nil {
		return ""
	}
	if t.Phase == notCaptured { // that is what the list says already
		p = cdc.Explain(t.problems[0].Cause)
	}
	if p == nil {
		return ""
	}
	return " (" + p.What + ")"
}

// exactProblem names the tables that are not equal to the source; nil if all are.
func (s Status) exactProblem() *cdc.Problem {
	var bad []string
	try := "dirtbike wait"
	for _, t := range s.Tables {
		switch {
		case t.Exact, t.Excluded():
		case t.Stuck():
			bad, try = append(bad, t.Table+" ("+t.Phase+")"), "dirtbike status"
		default:
			bad = append(bad, t.Table)
		}
	}
	switch {
	case s.LagBytes == nil:
		return cdc.Failed("ClickHouse is not complete up to anything yet").Fix("dirtbike wait")
	case len(bad) > 0:
		return cdc.Failed("not equal to the source: %s", strings.Join(bad, ", ")).Fix("%s", try)
	}
	return nil
}

const (
	// CheckTime is how long one check may take.
	CheckTime = 3 * time.Second
	// CheckCache is for how long its answer is used again, so that probes cost the parts nothing.
	CheckCache = time.Second
)

// Check is one named condition of readiness. Func returns nil if it holds; its error says what is wrong. It runs while
// other checks do, never twice at once, and should end when ctx does.
type Check struct {
	Name string
	Func func(ctx context.Context) error
	// Note says more where the check holds, in one line; nil says nothing.
	Note func(ctx context.Context) string
}

// Reachable is a check that a part answers.
func Reachable(name string, ping func(ctx context.Context) error) Check {
	return Check{Name: name, Func: func(ctx context.Context) error {
		err := ping(ctx)
		if err == nil || len(cdc.Explain(err).Remedies()) > 0 {
			return err
		}
		return cdc.Failed("no answer").Because(err)
	}}
}

// Explain gives an error of the check a way out, and what is safe, as package checks says it; nil for nil.
func (c Check) Explain(err error) *cdc.Problem {
	p := cdc.Explain(err)
	if p == nil || len(p.Try) > 0 {
		return p
	}
	said, _ := checks.Find(c.Name) // without an entry there is nothing more to say
	p.Safe = cmp.Or(p.Safe, firstSentence(said.Safe))
	try := firstSentence(said.Do)
	if try != "" {
		try = strings.ToLower(try[:1]) + try[1:]
	}
	return p.Fix("%s", cmp.Or(try, "see the log of this process"))
}

// firstSentence gives the first sentence of Markdown as plain text, without its full stop.
func firstSentence(markdown string) string {
	sentence, _, _ := strings.Cut(markdown+" ", ". ")
	return strings.ReplaceAll(strings.TrimSpace(sentence), "`", "")
}
