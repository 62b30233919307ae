package status

import (
	"context"
	"slices"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
)

// withUncaptured adds the named tables that are not known yet; capture is about to copy one that is published already.
func withUncaptured(tables []TableStatus, named []Named, capture capture.Status) []TableStatus {
	follows := capture.Phase == cdc.PhaseStreaming && len(capture.Tables) > 0 // then it has named all that it captures
	captured := len(tables)
	for _, n := range named {
		if slices.ContainsFunc(tables[:captured], func(t TableStatus) bool { return t.Table == n.Table }) {
			continue
		}
		t := TableStatus{Table: n.Table, Phase: string(cdc.TableCopying), assumed: true}
		if follows || !n.Published {
			t.Phase, t.assumed = notCaptured, false
		}
		tables = append(tables, t)
	}
	sortTables(tables)
	return tables
}

// Unseen says that a capture that streams has not begun the table, by what it has stored.
func Unseen(state *cdc.State, table string) bool {
	if state == nil || state.Source.Phase != cdc.PhaseStreaming {
		return false
	}
	t, known := state.Tables[table]
	return !known || t.Phase == cdc.TableExcluded
}

// unseen asks what capture has stored, if it runs elsewhere, before a published table is called copying: a publication
// has tables that capture has not begun, those of whole schemas, and a renamed one.
func (c *Collector) unseen(ctx context.Context, s Status) {
	if !slices.ContainsFunc(s.Tables, func(t TableStatus) bool { return t.assumed }) {
		return
	}
	state, _ := c.state.get(ctx, c.State)
	for i := range s.Tables {
		if t := &s.Tables[i]; t.assumed && Unseen(state, t.Table) {
			t.Phase = notCaptured
		}
		s.Tables[i].assumed = false
	}
}

// uncaptured begins the reason of a new table.
const uncaptured = "not captured"

// NotCaptured says why a new table is not captured, and what to do: capture considers it only at its next start. known
// says that the obstacle was asked for, so that a nil one means that only the restart is missing.
func NotCaptured(obstacle *cdc.Problem, known bool) *cdc.Problem {
	const restart = "restart capture to copy it"
	p := cdc.Failed(uncaptured)
	switch {
	case obstacle != nil:
		return p.Because(obstacle).OrFix("dirtbike check, which says how").Then("restart capture")
	case known:
		return p.Because(cdc.Failed("capture has not seen it yet")).Fix(restart)
	}
	return p.Fix(restart).Fix("dirtbike check, which says what keeps it out")
}

// explained gives each new table its reason: what keeps it out now, or what the capture in this process said. Of each
// quarantined one it says what becomes of its next copy.
func (c *Collector) explained(ctx context.Context, s Status) Status {
	c.again(ctx, s)
	c.unseen(ctx, s)
	isNew := func(t TableStatus) bool { return t.Phase == notCaptured }
	if !slices.ContainsFunc(s.Tables, isNew) {
		return s
	}
	obstacles, known := c.readObstacles(ctx)
	for i := range s.Tables {
		t := &s.Tables[i]
		if !isNew(*t) {
			continue
		}
		obstacle := t.problem()
		if known {
			obstacle = obstacles[t.Table]
		}
		t.because(NotCaptured(obstacle, known))
	}
	return s
}

// readObstacles says why tables are not captured, and keeps the answer; known is false if it cannot be asked.
func (c *Collector) readObstacles(ctx context.Context) (obstacles map[string]*cdc.Problem, known bool) {
	if c.Obstacles == nil {
		return nil, false
	}
	c.obstacles.Lock()
	defer c.obstacles.Unlock()
	if o := &c.obstacles; o.at.IsZero() || time.Since(o.at) > obstaclesCache {
		found, err := Within(ctx, c.Obstacles)
		if ctx.Err() != nil {
			return nil, false // the caller gave up
		}
		o.found, o.known, o.at = found, err == nil, time.Now() // the other queries report what is wrong with Postgres
	}
	return c.obstacles.found, c.obstacles.known
}

// Named is a table of Postgres that source.tables names.
type Named struct {
	// Table is "schema.table".
	Table string
	// Published says that the publication has it: capture puts a table there before it copies it.
	Published bool
}

// namedSQL lists what capture would consider, by name; temporary tables are in schemas of Postgres' own.
const namedSQL = `
SELECT c.oid, n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY n.nspname, c.relname`

// ReadNamed asks Postgres for the tables that match, ordered by schema and name.
func ReadNamed(ctx context.Context, pg postgres.Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	began := time.Now()
	out, err := readNamed(ctx, pg, publication, match)
	if err != nil {
		return nil, postgresError(ctx, "ask Postgres for its tables", began, err)
	}
	return out, nil
}

func readNamed(ctx context.Context, pg postgres.Querier, publication string, match func(schema, table string) bool) ([]Named, error) {
	var oids []uint32
	var out []Named
	var oid uint32
	var schema, table string
	err := postgres.Each(ctx, pg, "pg_class", []any{&oid, &schema, &table}, func() {
		if match(schema, table) {
			oids, out = append(oids, oid), append(out, Named{Table: schema + "." + table})
		}
	}, namedSQL)
	if err != nil {
		return nil, err
	}
	p, err := postgres.ReadPublication(ctx, pg, publication, oids)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Published = p.PublishedBy(oids[i]) != nil
	}
	return out, nil
}
