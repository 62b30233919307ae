package status

import (
	"context"
	"slices"
	"strings"

	"dirtbike/cdc"
)

// again says of each quarantined table what becomes of its next copy: that it is made, and waits for load, or what
// would refuse it.
func (c *Collector) again(ctx context.Context, s Status) {
	if !slices.ContainsFunc(s.Tables, func(t TableStatus) bool { return t.Phase == quarantined }) {
		return
	}
	state, known := c.state.get(ctx, c.State)
	if known && state != nil {
		for i := range s.Tables {
			s.Tables[i].copiedAgain(state.Tables[s.Tables[i].Table])
		}
	}
	if !slices.ContainsFunc(s.Tables, func(t TableStatus) bool { return t.Phase == quarantined && !t.Copied }) {
		return
	}
	obstacles, _ := c.readObstacles(ctx)
	for i := range s.Tables {
		s.Tables[i].wouldBeRefused(obstacles[s.Tables[i].Table])
	}
}

// copiedAgain takes what capture has stored of the table: after a copy that is newer than what the quarantine concerns,
// the way out has been taken, and only waiting is left.
func (t *TableStatus) copiedAgain(stored cdc.TableState) {
	if t.Phase != quarantined || stored.Generation <= t.refused {
		return
	}
	p := cdc.Failed("it has been copied again, and waits for load")
	switch stored.Phase {
	case cdc.TableStreaming:
	case cdc.TableCopying:
		p = cdc.Failed("it is being copied again")
	case cdc.TableQuarantined, cdc.TableExcluded:
		return
	}
	t.Copied = true
	problems := []*cdc.Problem{p.Fix("dirtbike wait").Fix("dirtbike run, or dirtbike load, where none runs")}
	for _, was := range t.problems {
		problems = append(problems, cdc.Failed("before: %s", was.What))
	}
	t.because(problems...)
}

// wouldBeRefused adds what a copy that begins now would be refused for, unless the reason says it already.
func (t *TableStatus) wouldBeRefused(obstacle *cdc.Problem) {
	if t.Phase != quarantined || t.Copied || obstacle == nil || strings.Contains(t.Reason, obstacle.What) {
		return
	}
	t.because(append(t.problems, cdc.Failed("a new copy would be refused now").Because(obstacle).OrFix("dirtbike check, which says how"))...)
}

// captured are the tables as capture knows them while ClickHouse is away: the one of this process, or else by what is
// stored.
func (c *Collector) captured(ctx context.Context) []TableStatus {
	tables := []TableStatus{}
	add := func(name string, phase cdc.TablePhase, rows int64, reason string) {
		if phase == cdc.TableExcluded {
			return
		}
		t := TableStatus{Table: name, Phase: string(phase), Rows: rows, RowsEstimated: true}
		if reason != "" {
			t.because(cdc.ParseProblem(reason))
		}
		tables = append(tables, t)
	}
	if c.Capture != nil {
		for _, t := range c.Capture().Tables {
			add(t.Table, t.Phase, t.Rows, t.Reason)
		}
	} else if state, _ := c.state.get(ctx, c.State); state != nil {
		for name, t := range state.Tables {
			add(name, t.Phase, t.Rows, t.Reason)
		}
	}
	sortTables(tables)
	return tables
}
