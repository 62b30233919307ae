package ledger

import (
	"context"
	"strings"

	"dirtbike/schemas"
)

// Count is what was counted in a view.
type Count struct {
	Rows int64
	// Inexact has, by column, the values whose exact text is in `_inexact` (rule 31); nil is none.
	Inexact map[string]int64
}

// Counts counts what the views show, by their names; it reads every key.
func (l *Ledger) Counts(ctx context.Context, views []View) (map[string]Count, error) {
	var selects []string
	for _, v := range views {
		name, from := "SELECT "+schemas.ClickHouseLiteral(v.Name)+" AS v, ", " FROM "+schemas.ClickHouseIdent(l.database)+"."+schemas.ClickHouseIdent(v.Name)
		selects = append(selects, name+"'' AS c, count() AS n"+from)
		if v.ExactTexts {
			selects = append(selects, name+"arrayJoin(mapKeys("+schemas.ColInexact+")) AS c, count() AS n"+from+" GROUP BY c")
		}
	}
	out := map[string]Count{}
	if len(selects) == 0 {
		return out, nil
	}
	type counted struct {
		view, column string
		n            int64
	}
	rows, err := queryIfThere(ctx, l, "what the views show", strings.Join(selects, " UNION ALL "), func(c *counted) []any { return []any{&c.view, &c.column, &c.n} })
	for _, c := range rows {
		count := out[c.view]
		switch {
		case c.column == "":
			count.Rows = c.n
		case count.Inexact == nil:
			count.Inexact = map[string]int64{c.column: c.n}
		default:
			count.Inexact[c.column] = c.n
		}
		out[c.view] = count
	}
	return out, err
}
