package ledger

import (
	"context"
	"fmt"
	"strings"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/errcode"
)

// CheckOwner refuses, with cdc.ErrRefused, a database into which a pipeline with another prefix loads: the tables of
// two would be mixed in one view. A database into which nothing was loaded yet belongs to nobody.
func (l *Ledger) CheckOwner(ctx context.Context, prefix string) error {
	for _, table := range []string{"applied", "shown"} {
		var topics []string
		err := l.conn.QueryRow(ctx, "SELECT groupUniqArray(topic) FROM "+l.table(table)).Scan(&topics)
		switch {
		case errcode.Missing(err):
			continue
		case err != nil:
			return fmt.Errorf("read whose database %s is: %w", l.database, errcode.Explain(err))
		}
		for _, topic := range topics {
			if other := prefixOf(topic); other != "" && other != prefix {
				return cdc.Refused("database %s belongs to the pipeline with prefix %s, not %s", l.database, other, prefix).
					Keeps("nothing was changed").Fix("another clickhouse.database")
			}
		}
	}
	return nil
}

// prefixOf is the prefix of a topic: all but its last two parts, which are schema and table, or the middle of
// "_dirtbike.<prefix>.progress".
func prefixOf(topic string) string {
	parts := strings.Split(topic, ".")
	if parts[0] == "_dirtbike" && len(parts) > 2 {
		return strings.Join(parts[1:len(parts)-1], ".")
	}
	if len(parts) < 3 {
		return ""
	}
	return strings.Join(parts[:len(parts)-2], ".")
}
