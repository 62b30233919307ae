package status

import (
	"context"
	"slices"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
)

// withUncaptured adds the tables that source.tables names and that nobody has spoken of yet, in the order of the names. One that
// is published already has been taken on by a capture whose word has not reached ClickHouse.
func withUncaptured(tables []TableStatus, named []Named, capture capture.Status) []TableStatus {
	follows := capture.Phase == cdc.PhaseStreaming && len(capture.Tables) > 0 // then it has named all that it captures
	captured := len(tables)
	for _, n := range named {
		if slices.ContainsFunc(tables[:captured], func(t TableStatus) bool { return t.Table == n.Table }) {
			continue
		}
		t := TableStatus{Table: n.Table, Phase: string(cdc.TableCopying)}
		if follows || !n.Published {
			t.Phase = notCaptured
		}
		tables = append(tables, t)
	}
	sortTables(tables)
	return tables
}

// The ways out for a new table: only a restart looks at it.
const (
	restartToCopy = "restart capture to copy it"
	thenRestart   = "; then restart capture"
	uncaptured    = "not captured"
)

// NotCaptured says of a new table that it is not captured, why if something keeps it out, and what to do. known says that obstacle was
// asked for, so that an empty one means that only a restart is missing.
func NotCaptured(obstacle string, known bool) string {
	switch {
	case obstacle != "" && console.Way.MatchString(obstacle):
		return uncaptured + ": " + OneLine(obstacle) + thenRestart
	case obstacle != "":
		return uncaptured + ": " + OneLine(obstacle) + ". Try: dirtbike check, which says what mends it" + thenRestart
	case known:
		return uncaptured + ": capture has not seen it yet. Try: " + restartToCopy
	}
	return uncaptured + ". Try: " + restartToCopy + ", or dirtbike check, which says what keeps it out"
}

// explained gives each new table its reason: what keeps it out now, or else what the capture in this process said when it started.
func (c *Collector) explained(ctx context.Context, s Status) Status {
	isNew := func(t TableStatus) bool { return t.Phase == notCaptured }
	if !slices.ContainsFunc(s.Tables, isNew) {
		return s
	}
	obstacles, known := c.keepOut(ctx)
	for i := range s.Tables {
		t := &s.Tables[i]
		if !isNew(*t) {
			continue
		}
		obstacle := t.Reason
		if known {
			obstacle = obstacles[t.Table]
		}
		t.Reason = NotCaptured(obstacle, known)
	}
	return s
}

// keepOut asks what keeps tables out, and keeps the answer for obstaclesCache; known is false if it cannot be asked.
func (c *Collector) keepOut(ctx context.Context) (obstacles map[string]string, known bool) {
	if c.Obstacles == nil {
		return nil, false
	}
	c.obstacles.Lock()
	defer c.obstacles.Unlock()
	if o := &c.obstacles; o.at.IsZero() || time.Since(o.at) > obstaclesCache {
		found, err := Within(ctx, c.Obstacles)
		if ctx.Err() != nil {
			return nil, false // the asker gave up
		}
		o.found, o.known, o.at = found, err == nil, time.Now() // what is wrong with Postgres the other questions say
	}
	return c.obstacles.found, c.obstacles.known
}

// whyNot gives the reason of a new table for a list of several: without what all have in common.
func (t *TableStatus) whyNot() string {
	return strings.TrimPrefix(strings.TrimPrefix(withoutTry(t.Reason), uncaptured), ": ")
}
