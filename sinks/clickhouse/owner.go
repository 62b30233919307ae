package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// CheckOwner refuses, with cdc.ErrRefused, a database into which a pipeline with another prefix loads: the tables of two would be mixed
// in one view. Nothing where load never ran.
func CheckOwner(ctx context.Context, conn driver.Conn, database, prefix string) error {
	raw := ident(schemas.StorageDatabase(database))
	for _, table := range []string{"applied", "shown"} {
		var topics []string
		err := conn.QueryRow(ctx, "SELECT groupUniqArray(topic) FROM "+raw+"."+table).Scan(&topics)
		switch errorCode(err) {
		case codeUnknownTable, codeUnknownDatabase:
			continue
		}
		if err != nil {
			return fmt.Errorf("read whose database %s is: %w", database, withoutMessage(err))
		}
		for _, topic := range topics {
			if other := prefixOf(topic); other != "" && other != prefix {
				return fmt.Errorf("%w: database %s belongs to the pipeline with prefix %s, not %s; nothing was changed. Try: another clickhouse.database", cdc.ErrRefused, database, other, prefix)
			}
		}
	}
	return nil
}

// prefixOf is the prefix of a topic: all but its last two parts, which are schema and table, or the middle of "_dirtbike.<prefix>.progress".
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
