package oracle

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// kv shortens the tests' key maps.
type kv = map[string]string

// summary is a change without its places in the log.
type summary struct {
	commit      int
	table, leaf string
	op          Op
	old, new    kv
}

// startLog begins a change log that is dropped with the test.
func startLog(t *testing.T, url, slot string) *ChangeLog {
	t.Helper()
	pg := embeddedtest.Connect(t, url)
	log, err := StartChangeLog(t.Context(), pg, slot)
	require.NoError(t, err)
	require.NotZero(t, log.Start)
	t.Cleanup(func() {
		_, err := pg.Exec(context.Background(), `SELECT pg_drop_replication_slot($1)`, slot)
		require.NoError(t, err)
	})
	return log
}

// The list is what a real Postgres committed: order, keys of nasty text, key changes, TRUNCATE of several tables,
// partitions, sub-transactions that aborted, transactions that rolled back.
func TestChangeLog(t *testing.T) {
	url := freshDatabase(t)
	pg := embeddedtest.Connect(t, url)
	embeddedtest.ExecOn(t, pg, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE full_id (id int PRIMARY KEY, v text); ALTER TABLE full_id REPLICA IDENTITY FULL;
		CREATE TABLE "B c" ("K 1" text, k2 char(3), v int, PRIMARY KEY ("K 1", k2));
		CREATE TABLE idx (u uuid NOT NULL, v text); CREATE UNIQUE INDEX idx_u ON idx (u); ALTER TABLE idx REPLICA IDENTITY USING INDEX idx_u;
		CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
		CREATE TABLE keyless (v int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		INSERT INTO a VALUES (0, 'before the slot'); INSERT INTO nothing VALUES (1)`)
	log := startLog(t, url, "oracle_changelog")
	embeddedtest.ExecOn(t, pg, `INSERT INTO a VALUES (1, 'x'), (2, NULL)`)
	embeddedtest.ExecOn(t, pg, `UPDATE a SET v = 'y' WHERE id = 1`)
	embeddedtest.ExecOn(t, pg, `UPDATE a SET id = 3 WHERE id = 2`)
	embeddedtest.ExecOn(t, pg, `BEGIN; INSERT INTO a VALUES (9); SAVEPOINT s; INSERT INTO a VALUES (10); ROLLBACK TO s; DELETE FROM a WHERE id = 9; COMMIT`)
	embeddedtest.ExecOn(t, pg, `BEGIN; INSERT INTO a VALUES (11); ROLLBACK`)
	embeddedtest.ExecOn(t, pg, `INSERT INTO "B c" VALUES (E'it''s [text]:''x''\n new-tuple: \\', 'é')`)
	embeddedtest.ExecOn(t, pg, `BEGIN; INSERT INTO full_id VALUES (1, repeat('x', 10)); UPDATE full_id SET v = 'y'; UPDATE full_id SET id = 2; DELETE FROM full_id; COMMIT`)
	embeddedtest.ExecOn(t, pg, `INSERT INTO idx VALUES ('00112233-4455-6677-8899-aabbccddeeff')`)
	embeddedtest.ExecOn(t, pg, `INSERT INTO p VALUES (1), (11)`)
	embeddedtest.ExecOn(t, pg, `TRUNCATE a, idx, p`)
	embeddedtest.ExecOn(t, pg, `INSERT INTO keyless VALUES (1); DELETE FROM nothing`)
	embeddedtest.ExecOn(t, pg, `SELECT pg_logical_emit_message(true, 'x', E'table public.a: DELETE: id[integer]:1\nCOMMIT 1')`)

	want := []summary{
		{commit: 0, table: "public.a", op: OpCreate, new: kv{"id": "1"}},
		{commit: 0, table: "public.a", op: OpCreate, new: kv{"id": "2"}},
		{commit: 1, table: "public.a", op: OpUpdate, old: kv{"id": "1"}, new: kv{"id": "1"}},
		{commit: 2, table: "public.a", op: OpUpdate, old: kv{"id": "2"}, new: kv{"id": "3"}},
		{commit: 3, table: "public.a", op: OpCreate, new: kv{"id": "9"}},
		{commit: 3, table: "public.a", op: OpDelete, old: kv{"id": "9"}},
		{commit: 4, table: "public.B c", op: OpCreate, new: kv{"K 1": "it's [text]:'x'\n new-tuple: \\", "k2": "é  "}},
		{commit: 5, table: "public.full_id", op: OpCreate, new: kv{"id": "1"}},
		{commit: 5, table: "public.full_id", op: OpUpdate, old: kv{"id": "1"}, new: kv{"id": "1"}},
		{commit: 5, table: "public.full_id", op: OpUpdate, old: kv{"id": "1"}, new: kv{"id": "2"}},
		{commit: 5, table: "public.full_id", op: OpDelete, old: kv{"id": "2"}},
		{commit: 6, table: "public.idx", op: OpCreate, new: kv{"u": "00112233-4455-6677-8899-aabbccddeeff"}},
		{commit: 7, table: "public.p", leaf: "public.p1", op: OpCreate, new: kv{"id": "1"}},
		{commit: 7, table: "public.p", leaf: "public.p2", op: OpCreate, new: kv{"id": "11"}},
		{commit: 8, table: "public.a", op: OpTruncate},
		{commit: 8, table: "public.idx", op: OpTruncate},
		{commit: 8, table: "public.p", leaf: "public.p1", op: OpTruncate},
		{commit: 8, table: "public.p", leaf: "public.p2", op: OpTruncate},
		{commit: 9, table: "public.keyless", op: OpCreate},
		{commit: 9, table: "public.nothing", op: OpDelete},
	}
	for range 2 { // it peeks: the second reading is the same
		changes, err := log.Read(t.Context(), pg)
		require.NoError(t, err)
		var got []summary
		for i, c := range changes {
			got = append(got, summary{c.Commit, c.FullName(), c.Leaf, c.Op, c.OldKey, c.NewKey})
			require.Less(t, c.LSN, c.CommitEnd)
			require.LessOrEqual(t, log.Start, c.LSN)
			require.NotZero(t, c.XID)
			require.True(t, i == 0 || changes[i-1].CommitEnd <= c.CommitEnd)
		}
		require.Equal(t, want, got)
	}
}

// What rule 1 calls the commit LSN (final_lsn of pgoutput's Begin) names the list's transaction, the xid is the same,
// and a transaction takes as many ordinals as pgoutput delivers rows, an UPDATE counting twice and each table of a
// TRUNCATE once.
func TestCommitLSN(t *testing.T) {
	url := freshDatabase(t)
	pg := embeddedtest.Connect(t, url)
	embeddedtest.ExecOn(t, pg, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY); CREATE PUBLICATION everything FOR ALL TABLES;
		CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)`)
	embeddedtest.ExecOn(t, pg, `SELECT pg_create_logical_replication_slot('oracle_pgoutput', 'pgoutput')`)
	t.Cleanup(func() {
		_, err := pg.Exec(context.Background(), `SELECT pg_drop_replication_slot('oracle_pgoutput')`)
		require.NoError(t, err)
	})
	log := startLog(t, url, "oracle_commit_lsn")
	embeddedtest.ExecOn(t, pg, `INSERT INTO a SELECT i, 'x' FROM generate_series(1, 3) i`)
	embeddedtest.ExecOn(t, pg, `BEGIN; UPDATE a SET v = 'y'; UPDATE a SET id = 10 WHERE id = 1; SAVEPOINT s; INSERT INTO a VALUES (11); ROLLBACK TO s; DELETE FROM a WHERE id = 2; COMMIT`)
	embeddedtest.ExecOn(t, pg, `BEGIN; INSERT INTO p VALUES (1), (11); INSERT INTO b VALUES (1); TRUNCATE a, p, b; INSERT INTO b VALUES (2); COMMIT`)
	embeddedtest.ExecOn(t, pg, `UPDATE b SET id = 3`)
	changes, err := log.Read(t.Context(), pg)
	require.NoError(t, err)

	rows, err := pg.Query(t.Context(), `SELECT data FROM pg_logical_slot_peek_binary_changes('oracle_pgoutput', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')`)
	require.NoError(t, err)
	messages, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(t, err)
	c := checker{txs: expectedTransactions(changes, CheckOptions{Tables: []string{"public.a", "public.b", "public.p"}})}
	require.Len(t, c.txs, 4)
	begun, ordinal := -1, uint64(0)
	for _, m := range messages {
		switch m[0] {
		case 'B':
			begun, ordinal = begun+1, 0
			tx := c.find(binary.BigEndian.Uint64(m[1:]))
			require.Same(t, c.txs[begun], tx)
			require.Equal(t, binary.BigEndian.Uint32(m[17:]), tx.xid)
		case 'I', 'D':
			ordinal++
		case 'U':
			ordinal += 2
		case 'T':
			ordinal += uint64(binary.BigEndian.Uint32(m[1:]))
		case 'C':
			require.Equal(t, c.txs[begun].ordinals[len(c.txs[begun].ordinals)-1], ordinal)
		}
	}
	require.Equal(t, 3, begun)
}

// Keys of date and timestamp types become exact integers, infinities the extremes.
func TestKeyText(t *testing.T) {
	const date, timestamp, timestamptz, bytea, float8 = 1082, 1114, 1184, 17, 701
	for _, c := range []struct {
		typ        pgType
		text, want string
	}{
		{builtin[date], "1970-01-02", "-10956"},
		{builtin[date], "2000-02-29", "59"},
		{builtin[date], "0001-12-31 BC", "-730120"},
		{builtin[date], "0001-02-29 BC", "-730426"},
		{builtin[date], "12345-01-01", "3778434"},
		{builtin[date], "infinity", "2147483647"},
		{builtin[date], "-infinity", "-2147483648"},
		{builtin[timestamp], "1970-01-01 00:00:00.000001", "-946684799999999"},
		{builtin[timestamptz], "2000-01-01 00:00:01.5+00", "1500000"},
		{builtin[timestamptz], "infinity", "9223372036854775807"},
		{builtin[bytea], `\x00ff`, "\x00\xff"},
		{builtin[float8], "1e+20", "1e+20"},
		{numericType((6<<16 | 2) + 4), "1.50", "1.50"},
		{textType, "infinity", "infinity"},
	} {
		got, err := c.typ.keyText(c.text)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.text)
	}
}
