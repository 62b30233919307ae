package ledger

import (
	"context"
	"errors"
	"hash/crc32"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Durable are the settings of a table whose inserts survive a crash of the host (rule 21).
const Durable = " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"

// tables are the bookkeeping tables; RAW is their database. `complete` is not fsynced: what it says has been made
// durable before it is written, and losing its last rows only repeats them. `notices` is for people, for a day.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS RAW.applied (topic_id UUID, topic String, partition UInt32, next UInt64)
		ENGINE = ReplacingMergeTree(next) ORDER BY (topic_id, partition)` + Durable,
	`CREATE TABLE IF NOT EXISTS RAW.generations (topic_id UUID, topic String, partition UInt32, generation UInt32,
		kind LowCardinality(String), offset UInt64, version UInt128)
		ENGINE = ReplacingMergeTree(version) ORDER BY (topic_id, partition, generation, kind)` + Durable,
	`CREATE TABLE IF NOT EXISTS RAW.cuts (topic String, generation UInt32, leaf UInt32, version UInt128)
		ENGINE = ReplacingMergeTree ORDER BY (topic, generation, leaf, version)` + Durable,
	"CREATE TABLE IF NOT EXISTS RAW.complete (`table` String, epoch UInt32, commit_lsn UInt64, ordinal UInt32, lsn UInt64," +
		" time DateTime64(6, 'UTC'), at DateTime64(6, 'UTC'), version UInt256)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY `table`",
	"CREATE TABLE IF NOT EXISTS RAW.quarantine (`table` String, leg LowCardinality(String), reason String, open UInt8, version UInt64, generation UInt32)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY (`table`, leg)" + Durable,
	"CREATE TABLE IF NOT EXISTS RAW.gone (`table` String, topic_id UUID, partition UInt32, key String, version UInt128, open UInt8)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY (topic_id, partition, key)" + Durable,
	"CREATE TABLE IF NOT EXISTS RAW.shown (`table` String, topic String, generation UInt32)" +
		" ENGINE = ReplacingMergeTree(generation) ORDER BY `table`" + Durable,
	`CREATE TABLE IF NOT EXISTS RAW.notices (kind LowCardinality(String), name String, loader String, reason String, records UInt64, open UInt8,
		at DateTime64(6, 'UTC')) ENGINE = ReplacingMergeTree(at) ORDER BY (kind, name, loader) TTL toDateTime(at) + INTERVAL 1 DAY`,
}

// publicDatabase makes the database that people query.
const publicDatabase = "CREATE DATABASE IF NOT EXISTS DB ENGINE = Atomic"

// CompleteName is the name of the public view of `complete`.
const CompleteName = "complete_up_to"

// completeSelect is the query of the public view of `complete`; see Complete. A table is not exact before it has a
// view, while a newer generation than the view's is open (some partition has its open record) or named by the progress
// topic, while a leg has it quarantined, and while a row of it is known to be missing. A table that capture no longer
// follows has no row.
//
// Sets after IN are read later than the rows of `complete`, so that older data call no new point exact; the row for
// everything uses the same data as those of its tables.
const completeSelect = "SELECT `table`, epoch, lsn, time AS commit_time," +
	" toUInt8(if(`table` = '', max(inexact) OVER () = 0, inexact = 0)) AS exact, toUInt64(0) AS dead_letters FROM (" +
	"SELECT `table`, epoch, lsn, time, `table` != '' AND (`table` NOT IN (SELECT `table` FROM RAW.shown)" +
	" OR `table` IN (SELECT q.`table` FROM RAW.quarantine AS q FINAL LEFT JOIN" +
	" (SELECT `table`, max(generation) AS generation FROM RAW.shown GROUP BY `table`) AS s ON s.`table` = q.`table`" + // the old analyzer forgets a FINAL here
	" WHERE q.open = 1 OR q.leg = 'capture' AND q.generation > ifNull(s.generation, 0))" +
	" OR `table` IN (SELECT s.`table` FROM RAW.shown AS s FINAL INNER JOIN" +
	" (SELECT topic, max(generation) AS newest FROM RAW.generations WHERE kind = 'open' GROUP BY topic) AS g ON g.topic = s.topic WHERE g.newest > s.generation)" +
	" OR `table` IN (SELECT `table` FROM RAW.gone FINAL WHERE open = 1)) AS inexact" +
	" FROM RAW.complete FINAL WHERE WHOLE AND `table` NOT IN (SELECT `table` FROM RAW.quarantine FINAL WHERE open = 3))BOOKS"

// Bootstrap makes the two databases, the bookkeeping tables and the view complete_up_to. It is idempotent, and several
// loaders may do it at once.
func (l *Ledger) Bootstrap(ctx context.Context) error {
	databases := []string{publicDatabase, "CREATE DATABASE IF NOT EXISTS RAW ENGINE = Atomic"}
	if err := l.checkTables(ctx); err != nil {
		return err
	}
	for _, s := range slices.Concat(databases, tables) {
		if err := l.Exec(ctx, "prepare ClickHouse databases "+l.database+" and "+schemas.StorageDatabase(l.database), l.named(s)); err != nil {
			return err
		}
	}
	views, err := l.Views(ctx)
	if err != nil {
		return err
	}
	_, err = l.ShowComplete(ctx, views) // a loader that runs says what is in the way
	return err
}

// ErrBookkeeping says that a bookkeeping table is not there or stayed away, so that nobody knows what is loaded.
var ErrBookkeeping = errors.New("ClickHouse's bookkeeping was dropped or changed")

// checkTables refuses, with ErrBookkeeping, to make a table again that was there: it would be empty, so that truncated
// rows would show again, or quarantined tables be called exact. Only `complete` and `notices` repeat what is known
// elsewhere.
func (l *Ledger) checkTables(ctx context.Context) error {
	if err := l.checkShapes(ctx); err != nil {
		return err
	}
	raw := schemas.StorageDatabase(l.database)
	kept := []string{"applied", "generations", "cuts", "quarantine", "gone", "shown"}
	var there []string
	var rows uint64
	err := l.Ask(ctx, "list the bookkeeping tables", "SELECT groupArray(name), toUInt64(sum(ifNull(total_rows, 0))) FROM system.tables WHERE database = "+
		schemas.ClickHouseLiteral(raw)+" AND name IN ("+schemas.ClickHouseLiterals(kept)+")", &there, &rows)
	if err != nil || rows == 0 {
		return err
	}
	for _, name := range kept {
		if !slices.Contains(there, name) {
			return cdc.Failed("table %s.%s is not there: it was dropped or renamed", raw, name).Of(ErrBookkeeping).
				Keeps("nothing was changed, changes wait in Kafka").
				Fix("put it back, from a backup too").Fix("DROP DATABASE %s, then %s", schemas.ClickHouseIdent(raw), cdc.ResnapshotAllCommand)
		}
	}
	return nil
}

// columnName finds the columns in a statement of tables: a name before a type.
var columnName = regexp.MustCompile("[(,]\\s*`?([a-z_]+)`? [A-Z]")

// checkShapes refuses, with ErrBookkeeping, what has the name of a bookkeeping table and is none: its columns are
// others.
func (l *Ledger) checkShapes(ctx context.Context) error {
	type shape struct{ name, columns string }
	raw, names, wants := schemas.StorageDatabase(l.database), []string(nil), map[string]string{}
	for _, ddl := range tables {
		_, name, _ := strings.Cut(ddl, "RAW.")
		name, _, _ = strings.Cut(name, " ")
		var columns []string
		for _, m := range columnName.FindAllStringSubmatch(ddl, -1) {
			columns = append(columns, m[1])
		}
		names, wants[name] = append(names, name), strings.Join(columns, ",")
	}
	have, err := query(ctx, l, "the columns of the bookkeeping tables", "SELECT table, arrayStringConcat(groupArray(name), ',') FROM (SELECT table, name FROM system.columns"+
		" WHERE database = "+schemas.ClickHouseLiteral(raw)+" AND table IN ("+schemas.ClickHouseLiterals(names)+") ORDER BY table, position) GROUP BY table",
		func(s *shape) []any { return []any{&s.name, &s.columns} })
	for _, s := range have {
		if in := schemas.ClickHouseIdent(raw) + "."; s.columns != wants[s.name] {
			return cdc.Failed("%s%s is not the bookkeeping table of that name: it has other columns", in, s.name).Of(ErrBookkeeping).
				Keeps("nothing was changed, changes wait in Kafka").Fix("RENAME TABLE %s%s TO %[1]s%[2]s_former", in, s.name)
		}
	}
	return err
}

// named puts the names of the databases into a statement.
func (l *Ledger) named(sql string) string {
	return strings.NewReplacer("DB", schemas.ClickHouseIdent(l.database), "RAW", schemas.ClickHouseIdent(schemas.StorageDatabase(l.database)),
		"WHOLE", Whole, "BOOKS", BooksSettings).Replace(sql)
}

// completeMark says in the view complete_up_to which text it was made from.
var completeMark = CompleteName + " " + strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(completeSelect+Whole+BooksSettings))), 16)

// ShowComplete makes the view complete_up_to, unless it is among views as this release makes it, and the database that
// people query, if somebody has dropped that. A person's comment on it stays. taken says that something of somebody's
// has its name, and stays.
func (l *Ledger) ShowComplete(ctx context.Context, views []View) (taken *cdc.Problem, err error) {
	made := ViewDefinition{Name: CompleteName, Query: l.named(completeSelect)}
	if at := slices.IndexFunc(views, func(v View) bool { return v.Name == CompleteName }); at >= 0 {
		switch v := views[at]; {
		case v.CompleteUp:
			return nil, nil
		case !v.Ours:
			return l.Taken(v), nil
		default:
			made.Comment = " COMMENT " + schemas.ClickHouseLiteral(v.Comment)
		}
	}
	if len(views) == 0 {
		if err := l.Exec(ctx, "create database "+l.database, l.named(publicDatabase)); err != nil {
			return nil, err
		}
	}
	return nil, l.createView(ctx, made, completeMark)
}
