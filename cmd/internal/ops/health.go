package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"dirtbike/cdc"
)

// Checks are those that the collector's sources can answer, in the order in which they are read: clickhouse, slot, capture
// (only with a capture in this process), tables, exact. Kafka, the registry and load are added with Reachable or a Check of
// their own.
func (c *Collector) Checks() []Check {
	checks := []Check{
		Reachable("clickhouse", c.ClickHouse.Ping, "see that ClickHouse runs and clickhouse.url is right; changes wait in Kafka meanwhile"),
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
	var g growth
	return Check{Name: "slot", Func: func(ctx context.Context) error {
		f, err := readSlot(ctx, c.Postgres, c.Slot)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		perSecond, known := g.rate(f)
		return f.judge(c.Slot, perSecond, known)
	}}
}

func captureHealth(s cdc.Status) error {
	switch {
	case s.Healthy:
		return nil
	case s.LastError == "":
		return errors.New("capture is starting. Try: wait")
	case strings.Contains(s.LastError, "Try: "):
		return errors.New(s.LastError)
	}
	return fmt.Errorf("%s. Try: mend what it names; capture goes on by itself, nothing is lost", s.LastError)
}

func (c *Collector) tablesHealth(ctx context.Context) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	var bad []string
	for _, t := range s.Tables {
		if t.Phase == quarantined {
			bad = append(bad, t.Table+" ("+t.Reason+")")
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d tables quarantined: %s. Try: dirtbike status", len(bad), len(s.Tables), strings.Join(bad, ", "))
	}
	return nil
}

func (c *Collector) exactHealth(ctx context.Context) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	var bad []string
	for _, t := range s.Tables {
		if !t.Exact && t.Phase != quarantined {
			bad = append(bad, t.Table)
		}
	}
	switch {
	case s.LagBytes == nil:
		return errors.New("ClickHouse is not complete up to anything yet. Try: dirtbike wait")
	case len(bad) > 0:
		return fmt.Errorf("not equal to the source yet: %s. Try: dirtbike wait", strings.Join(bad, ", "))
	}
	return nil
}
