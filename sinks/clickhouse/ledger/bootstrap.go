package ledger

import (
	"context"
	"slices"
	"strings"

	"dirtbike/schemas"
)

// Durable are the settings of a table whose inserts survive a crash of the host (rule 21).
const Durable = " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"

// tables are the bookkeeping tables; RAW is their database. `complete` is not fsynced: what it says has been made
// durable before it is written, and losing its last rows only repeats them.
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
}

// completeView is the public view of `complete`; see Complete. A table is not exact before it has a view, while a newer
// generation than the view's is open (some partition has its open record) or named by the progress topic, while a leg
// has it quarantined, and while a row of it is known to be missing. A table that capture no longer follows has no row.
//
// Sets after IN are read later than the rows of `complete`, so that older data call no new point exact; the row for
// everything uses the same data as those of its tables.
const completeView = "CREATE OR REPLACE VIEW DB.complete_up_to DEFINER = CURRENT_USER SQL SECURITY DEFINER AS" +
	" SELECT `table`, epoch, lsn, time AS commit_time," +
	" toUInt8(if(`table` = '', max(inexact) OVER () = 0, inexact = 0)) AS exact, toUInt64(0) AS dead_letters FROM (" +
	"SELECT `table`, epoch, lsn, time, `table` != '' AND (`table` NOT IN (SELECT `table` FROM RAW.shown)" +
	" OR `table` IN (SELECT q.`table` FROM RAW.quarantine AS q FINAL LEFT JOIN RAW.shown AS s FINAL ON s.`table` = q.`table`" +
	" WHERE q.open = 1 OR q.leg = 'capture' AND q.generation > ifNull(s.generation, 0))" +
	" OR `table` IN (SELECT s.`table` FROM RAW.shown AS s FINAL INNER JOIN" +
	" (SELECT topic, max(generation) AS newest FROM RAW.generations WHERE kind = 'open' GROUP BY topic) AS g ON g.topic = s.topic WHERE g.newest > s.generation)" +
	" OR `table` IN (SELECT `table` FROM RAW.gone FINAL WHERE open = 1)) AS inexact" +
	" FROM RAW.complete FINAL WHERE `table` NOT IN (SELECT `table` FROM RAW.quarantine FINAL WHERE open = 3))"

// Bootstrap makes the two databases, the bookkeeping tables and the view complete_up_to. It is idempotent, and several
// loaders may do it at once.
func (l *Ledger) Bootstrap(ctx context.Context) error {
	raw := schemas.StorageDatabase(l.database)
	names := strings.NewReplacer("DB", schemas.ClickHouseIdent(l.database), "RAW", schemas.ClickHouseIdent(raw))
	databases := []string{"CREATE DATABASE IF NOT EXISTS DB ENGINE = Atomic", "CREATE DATABASE IF NOT EXISTS RAW ENGINE = Atomic"}
	for _, s := range slices.Concat(databases, tables, []string{completeView}) {
		if err := l.Exec(ctx, "prepare ClickHouse databases "+l.database+" and "+raw, names.Replace(s)); err != nil {
			return err
		}
	}
	return nil
}
