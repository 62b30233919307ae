package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
)

// Checks are those that the collector's sources can answer, in the order in which they are read: clickhouse, slot, capture
// (only with a capture in this process), tables, exact. Kafka, the registry and load are added with Reachable or a Check of
// their own.
func (c *Collector) Checks() []Check {
	checks := []Check{
		Reachable("clickhouse", func(ctx context.Context) error { return pingError(c.ClickHouse.Ping(ctx)) }, ""),
		c.slotCheck(),
	}
	if c.Capture != nil {
		checks = append(checks, Check{Name: "capture", Func: func(context.Context) error { return captureHealth(c.Capture()) }})
	}
	return append(checks,
		Check{Name: "tables", Func: c.tablesHealth},
		Check{Name: "exact", Func: c.exactHealth},
	)
}

// slotCheck asks Postgres itself, so that it answers while ClickHouse is away: that is when the log piles up.
func (c *Collector) slotCheck() Check {
	var mu sync.Mutex
	var idle time.Time // when this check first saw nobody stream
	look := func(ctx context.Context) (forecast, error) {
		f, err := c.lookAtSlot(ctx)
		if err != nil {
			return forecast{}, err
		}
		fc := c.forecast(f, written{})
		if err := f.judge(c.Slot, fc); err != nil {
			return fc, err
		}
		mu.Lock()
		defer mu.Unlock()
		return c.streamed(ctx, f, fc, &idle)
	}
	return Check{Name: "slot", Func: func(ctx context.Context) error {
		fc, err := look(ctx)
		if err == nil || fc.limit == "" || fc.known {
			return err
		}
		select { // the first answer of a process, too, says how long there is
		case <-time.After(leastLook + leastLook/10):
		case <-ctx.Done():
			return err
		}
		_, err = look(ctx)
		return err
	}}
}

// idleGrace is how long a capture in this process may be between two sessions.
const idleGrace = 5 * time.Second

// streamed is an error if somebody should stream from the slot and nobody does. Without a capture here only ClickHouse knows how
// far a first copy is, so that nothing is said while it is away: then another check fails. The forecast is the one that was used.
func (c *Collector) streamed(ctx context.Context, f slotFacts, fc forecast, idle *time.Time) (forecast, error) {
	if f.active {
		*idle = time.Time{}
		return fc, nil
	}
	if c.Capture == nil {
		all, err := c.read(ctx)
		if err != nil {
			return fc, nil //nolint:nilerr // checks clickhouse, tables and exact say it
		}
		fc = c.forecast(f, all.written())
		if why, try := f.dead(c.status(all).Phase, 0); why != "" {
			return fc, fmt.Errorf("%s%s. Try: %s", why, fc.timeLeftText(), try)
		}
		return fc, nil
	}
	if c.Capture().Phase != cdc.PhaseStreaming {
		*idle = time.Time{}
		return fc, nil
	}
	if idle.IsZero() {
		*idle = f.at
	}
	if f.at.Sub(*idle) < idleGrace {
		return fc, nil
	}
	return fc, fmt.Errorf("the capture of this process has not streamed from slot %s for %s; Postgres keeps %s of log for it%s. Try: see check capture", f.name, f.at.Sub(*idle).Round(time.Second), size(&f.retained), fc.timeLeftText())
}

func captureHealth(s capture.Status) error {
	switch {
	case s.Healthy:
		return nil
	case s.LastError == "":
		return errors.New("capture is starting. Try: wait")
	case strings.Contains(s.LastError, "Try: "):
		return errors.New(s.LastError)
	}
	return fmt.Errorf("%s. Try: mend what it names; capture goes on by itself; what is committed to Kafka is safe", s.LastError)
}

func (c *Collector) tablesHealth(ctx context.Context) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return s.tablesHealth()
}

func (s Status) tablesHealth() error {
	var bad, left, what []string
	why := ""
	for _, t := range s.Tables {
		switch t.Phase {
		case quarantined:
			bad = append(bad, t.Table+" ("+withoutTry(t.Reason)+")")
		case notCaptured:
			reason := t.whyNot()
			if reason != "" {
				reason = " (" + reason + ")"
			}
			left, why = append(left, t.Table+reason), t.Reason
		}
	}
	if len(bad) > 0 {
		what = append(what, fmt.Sprintf("%d of %d tables quarantined: %s", len(bad), len(s.Tables), strings.Join(bad, ", ")))
	}
	if len(left) > 0 {
		what = append(what, uncaptured+": "+strings.Join(left, ", "))
	}
	switch at := console.Way.FindStringIndex(OneLine(why)); {
	case len(what) == 0:
		return nil
	case len(bad) == 0 && len(left) == 1 && at != nil:
		return errors.New(strings.Join(what, "; ") + "." + OneLine(why)[at[0]:])
	}
	return errors.New(strings.Join(what, "; ") + ". Try: dirtbike status, which says what to do for each")
}

// withoutTry leaves what to do out of a reason that stands among others.
func withoutTry(reason string) string {
	what := OneLine(reason)
	if at := console.Way.FindStringIndex(what); at != nil {
		what = what[:at[0]]
	}
	return strings.TrimRight(what, ".;,")
}

func (c *Collector) exactHealth(ctx context.Context) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return s.exactHealth()
}

func (s Status) exactHealth() error {
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
		return errors.New("ClickHouse is not complete up to anything yet. Try: dirtbike wait")
	case len(bad) > 0:
		return fmt.Errorf("not equal to the source: %s. Try: %s", strings.Join(bad, ", "), try)
	}
	return nil
}
