package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// durable makes an insert's rows survive a crash of the host (rule 21).
const durable = " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"

// bookkeeping are the tables beside the storage; RAW stands for their database. `complete` is not fsynced: what it says has
// been made durable before it is written, and losing its last rows only repeats them.
var bookkeeping = []string{
	`CREATE TABLE IF NOT EXISTS RAW.applied (topic_id UUID, topic String, partition UInt32, next UInt64)
		ENGINE = ReplacingMergeTree(next) ORDER BY (topic_id, partition)` + durable,
	`CREATE TABLE IF NOT EXISTS RAW.generations (topic_id UUID, topic String, partition UInt32, generation UInt32, kind LowCardinality(String), offset UInt64, version UInt128)
		ENGINE = ReplacingMergeTree(version) ORDER BY (topic_id, partition, generation, kind)` + durable,
	`CREATE TABLE IF NOT EXISTS RAW.cuts (topic String, generation UInt32, leaf UInt32, version UInt128)
		ENGINE = ReplacingMergeTree ORDER BY (topic, generation, leaf, version)` + durable,
	"CREATE TABLE IF NOT EXISTS RAW.complete (`table` String, epoch UInt32, commit_lsn UInt64, ordinal UInt32, lsn UInt64, time DateTime64(6, 'UTC'), at DateTime64(6, 'UTC'), version UInt256)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY `table`",
	"CREATE TABLE IF NOT EXISTS RAW.quarantine (`table` String, leg LowCardinality(String), reason String, open UInt8, version UInt64, generation UInt32)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY (`table`, leg)" + durable,
	"CREATE TABLE IF NOT EXISTS RAW.gone (`table` String, topic_id UUID, partition UInt32, key String, version UInt128, open UInt8)" +
		" ENGINE = ReplacingMergeTree(version) ORDER BY (topic_id, partition, key)" + durable,
	"CREATE TABLE IF NOT EXISTS RAW.shown (`table` String, topic String, generation UInt32)" +
		" ENGINE = ReplacingMergeTree(generation) ORDER BY `table`" + durable,
}

// completeView is the public view of `complete`; see Complete. A table is not exact before it has a view, while a newer generation
// than the view's is open (some partition has its open record) or spoken of by capture, while a leg has it quarantined, and while
// a row of it is known to be missing. A table that capture no longer follows has no row.
//
// Sets after IN are read later than the rows of `complete`, so that no new point is called exact by an old finding; "everything"
// looks at the very findings that its tables show.
const completeView = "CREATE OR REPLACE VIEW DB.complete_up_to DEFINER = CURRENT_USER SQL SECURITY DEFINER AS" +
	" SELECT `table`, epoch, lsn, time AS commit_time, toUInt8(if(`table` = '', max(inexact) OVER () = 0, inexact = 0)) AS exact, toUInt64(0) AS dead_letters FROM (" +
	"SELECT `table`, epoch, lsn, time, `table` != '' AND (`table` NOT IN (SELECT `table` FROM RAW.shown)" +
	" OR `table` IN (SELECT q.`table` FROM RAW.quarantine AS q FINAL LEFT JOIN RAW.shown AS s FINAL ON s.`table` = q.`table`" +
	" WHERE q.open = 1 OR q.leg = 'capture' AND q.generation > ifNull(s.generation, 0))" +
	" OR `table` IN (SELECT s.`table` FROM RAW.shown AS s FINAL INNER JOIN (SELECT topic, max(generation) AS newest FROM RAW.generations WHERE kind = 'open' GROUP BY topic) AS g ON g.topic = s.topic WHERE g.newest > s.generation)" +
	" OR `table` IN (SELECT `table` FROM RAW.gone FINAL WHERE open = 1)) AS inexact" +
	" FROM RAW.complete FINAL WHERE `table` NOT IN (SELECT `table` FROM RAW.quarantine FINAL WHERE open = 3))"

// Bootstrap makes the databases, the bookkeeping tables and the view complete_up_to. It is idempotent, and several loaders
// may do it at once.
func Bootstrap(ctx context.Context, conn driver.Conn, database string) error {
	raw := schemas.StorageDatabase(database)
	statements := []string{
		"CREATE DATABASE IF NOT EXISTS DB ENGINE = Atomic",
		"CREATE DATABASE IF NOT EXISTS RAW ENGINE = Atomic",
	}
	statements = append(append(statements, bookkeeping...), completeView)
	names := strings.NewReplacer("DB", ident(database), "RAW", ident(raw))
	for _, s := range statements {
		if err := conn.Exec(ctx, names.Replace(s)); err != nil {
			return fmt.Errorf("prepare ClickHouse databases %s and %s: %w", database, raw, err)
		}
	}
	return nil
}

// Complete is one row of complete_up_to (rule 24).
type Complete struct {
	// Table is the real name "schema.table"; "" stands for everything.
	Table string
	Epoch uint32
	// LSN: every commit that ends at or before it is queryable.
	LSN cdc.LSN
	// CommitTime: no later commit carries an earlier time, within clock skew.
	CommitTime time.Time
	// Exact is false while a table is quarantined on either leg or has no complete copy yet; for "" while any table is not.
	Exact bool
	// DeadLetters counts the open ones.
	DeadLetters uint64
}

// ReadComplete reads complete_up_to, ordered by table.
func ReadComplete(ctx context.Context, conn driver.Conn, database string) ([]Complete, error) {
	rows, err := conn.Query(ctx, "SELECT `table`, epoch, lsn, commit_time, exact, dead_letters FROM "+ident(database)+".complete_up_to ORDER BY `table`")
	if err != nil {
		return nil, fmt.Errorf("read %s.complete_up_to: %w", database, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	var out []Complete
	for rows.Next() {
		var c Complete
		var lsn uint64
		var exact uint8
		if err := rows.Scan(&c.Table, &c.Epoch, &lsn, &c.CommitTime, &exact, &c.DeadLetters); err != nil {
			return nil, fmt.Errorf("read %s.complete_up_to: %w", database, err)
		}
		c.LSN, c.Exact = cdc.LSN(lsn), exact == 1
		out = append(out, c)
	}
	return out, rows.Err()
}
