package ledger

import (
	"context"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Storage is the table of a generation of a source table.
type Storage struct {
	View        string // schemas.ClickHouseView of the source table
	Generation  uint32
	Rows, Parts int64 // Rows that are stored, outranked and deleted ones included; Parts that a query reads
}

// Storages lists the generations of all source tables, the newest first, without reading a row: it costs the same
// whatever they hold. None where a loader has never run.
func (l *Ledger) Storages(ctx context.Context) ([]Storage, error) {
	sql := "SELECT extract(name, '^(.*)__g[0-9]+$') AS view, toUInt32OrZero(extract(name, '__g([0-9]+)$')) AS generation," +
		" toUInt64(ifNull(total_rows, 0)), toUInt64(ifNull(active_parts, 0)) FROM system.tables WHERE database = " +
		schemas.ClickHouseLiteral(schemas.StorageDatabase(l.database)) + " AND generation > 0 ORDER BY generation DESC, view"
	return query(ctx, l, "what is stored", sql, func(s *Storage) []any { return []any{&s.View, &s.Generation, &s.Rows, &s.Parts} })
}

// HighWater gives the highest epoch and generations that ClickHouse has of the pipeline with this prefix; none where a
// loader has never run.
func (l *Ledger) HighWater(ctx context.Context, prefix string) (high cdc.HighWater, err error) {
	type row struct {
		topic, table      string // one of them, if the row is a table's
		epoch, generation uint32
	}
	for _, sql := range []string{
		"SELECT '', '', max(epoch), toUInt32(0) FROM " + l.table("complete"),
		"SELECT topic, '', toUInt32(bitShiftRight(max(version), 96)), max(generation) FROM " + l.table("generations") + " GROUP BY topic",
		"SELECT '', `table`, toUInt32(0), max(generation) FROM " + l.table("shown") + " GROUP BY `table`",
		"SELECT '', `table`, toUInt32(0), max(generation) FROM " + l.table("quarantine") + " GROUP BY `table`",
	} {
		rows, err := queryIfThere(ctx, l, "what ClickHouse knows of the pipeline", sql, func(r *row) []any { return []any{&r.topic, &r.table, &r.epoch, &r.generation} })
		if err != nil {
			return high, err
		}
		for _, r := range rows {
			high.Epoch = max(high.Epoch, r.epoch)
			if schema, table, is := schemas.SplitTopic(r.topic, prefix); is {
				r.table = schema + "." + table
			}
			if r.table != "" {
				high.Observe(r.table, r.generation)
			}
		}
	}
	return high, nil
}

// CheckOwner refuses, with cdc.ErrRefused, a database into which a pipeline with another prefix loads: the tables of
// two would be mixed in one view. A database into which nothing was loaded yet has no owner.
func (l *Ledger) CheckOwner(ctx context.Context, prefix string) error {
	for _, table := range []string{"applied", "shown"} {
		topics, err := queryIfThere(ctx, l, "whose database "+l.database+" is", "SELECT DISTINCT topic FROM "+l.table(table), func(s *string) []any { return []any{s} })
		if err != nil {
			return err
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

// Count is what was counted in a view.
type Count struct {
	Rows int64
	// Inexact has, by column, the values whose exact text is in `_inexact` (rule 31); nil is none.
	Inexact map[string]int64
}

// Count counts what a view shows; it reads every key. The view must be dirtbike's.
func (l *Ledger) Count(ctx context.Context, view string) (count Count, err error) {
	from := " FROM " + schemas.ClickHouseIdent(l.database) + "." + schemas.ClickHouseIdent(view)
	var exactTexts bool
	sql := "SELECT count() > 0 FROM system.columns WHERE database = " + schemas.ClickHouseLiteral(l.database) + " AND table = " + schemas.ClickHouseLiteral(view) +
		" AND name = '" + schemas.ColInexact + "'"
	if err := l.Ask(ctx, "read the columns of "+view, sql, &exactTexts); err != nil {
		return count, err
	}
	sql = "SELECT '' AS c, count() AS n" + from
	if exactTexts {
		sql += " UNION ALL SELECT arrayJoin(mapKeys(" + schemas.ColInexact + ")) AS c, count() AS n" + from + " GROUP BY c"
	}
	type counted struct {
		column string
		n      int64
	}
	rows, err := query(ctx, l, "what view "+view+" shows", sql, func(c *counted) []any { return []any{&c.column, &c.n} })
	for _, c := range rows {
		switch {
		case c.column == "":
			count.Rows = c.n
		case count.Inexact == nil:
			count.Inexact = map[string]int64{c.column: c.n}
		default:
			count.Inexact[c.column] = c.n
		}
	}
	return count, err
}

// FormerStorage names the storage tables that a view's table has of generations before this one.
func (l *Ledger) FormerStorage(ctx context.Context, view string, generation uint32) ([]string, error) {
	sql := "SELECT name FROM system.tables WHERE database = " + schemas.ClickHouseLiteral(schemas.StorageDatabase(l.database)) +
		" AND extract(name, '^(.*)__g[0-9]+$') = " + schemas.ClickHouseLiteral(view) + " AND toUInt32OrZero(extract(name, '__g([0-9]+)$')) < " +
		strconv.FormatUint(uint64(generation), 10) + " ORDER BY name"
	return query(ctx, l, "what is stored", sql, func(s *string) []any { return []any{s} })
}
