package wait

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// CompleteRow is a row of complete_up_to.
type CompleteRow struct {
	Position
	Exact bool
}

// CompleteUpTo reads the view complete_up_to and the quarantine beside it, for those who wait. It is safe for
// concurrent use.
type CompleteUpTo struct{ Ledger *ledger.Ledger }

// Read gives the rows by table; none where load has never run.
func (c CompleteUpTo) Read(ctx context.Context) (map[string]CompleteRow, error) {
	rows, err := c.Ledger.Complete(ctx)
	out := make(map[string]CompleteRow, len(rows))
	for _, r := range rows {
		out[r.Table] = CompleteRow{Position{r.Epoch, r.LSN}, r.Exact}
	}
	return out, ClickHouseError(err)
}

// Quarantine says why a table is quarantined; nil if it is not.
func (c CompleteUpTo) Quarantine(ctx context.Context, table string) (*cdc.Problem, error) {
	reasons, err := c.Ledger.Reasons(ctx, table)
	var problems []error
	for _, reason := range reasons {
		problems = append(problems, cdc.ParseProblem(reason))
	}
	return cdc.Together(problems...), ClickHouseError(err)
}

// Poll asks until done, an error, or the time is over (false).
func Poll(ctx context.Context, timeout time.Duration, done func() (bool, error)) (bool, error) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-over.C:
			return false, nil
		case <-tick.C:
		}
	}
}
