package wait

import (
	"context"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// ReadComplete gives the rows of complete_up_to by table; none where load has never run.
func ReadComplete(ctx context.Context, l *ledger.Ledger) (map[string]ledger.Complete, error) {
	rows, err := l.Complete(ctx)
	out := make(map[string]ledger.Complete, len(rows))
	for _, r := range rows {
		out[r.Table] = r
	}
	return out, ClickHouseError(err)
}

// ReadQuarantine says why a table is quarantined; nil if it is not.
func ReadQuarantine(ctx context.Context, l *ledger.Ledger, table string) (*cdc.Problem, error) {
	reasons, err := l.Reasons(ctx, table)
	var problems []error
	for _, reason := range reasons {
		problems = append(problems, cdc.ParseProblem(reason))
	}
	return cdc.Together(problems...), ClickHouseError(err)
}
