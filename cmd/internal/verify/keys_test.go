package verify

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeysOfEveryKind has a key of all kinds that may be in one: one row is equal, one is missing in ClickHouse, and
// one is there alone, with a label that Postgres does not know.
func TestKeysOfEveryKind(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TYPE mood AS ENUM ('well')")
	c.source("CREATE DOMAIN zip5 AS varchar(5)")
	c.source(`CREATE TABLE k (e mood, y bytea, n numeric(6,2), b bool, z timestamptz, ts timestamp, c char(3), d zip5, "_version" text, PRIMARY KEY (e, y, n, b, z, ts, c, d, "_version"))`)
	c.source(`INSERT INTO k VALUES ('well', '\x00ff', -1.5, 't', '2024-01-01 00:00:00.5+00', '0001-01-01 BC', 'a', '02139', 'a''"\,{}'),
		('well', '\x', 0, 'f', 'infinity', '2024-01-01', 'b', '', '')`)
	c.storage("k")
	row := func(e, y, n, b, z, ts, ch, d, q, exact string) string {
		return "(" + strings.Join([]string{e, y, n, b, z, ts, ch, d, q, "1, 2", exact, version(100, 0), "0"}, ", ") + ")"
	}
	c.sink("INSERT INTO DB_raw.k__g2 VALUES " +
		row("'well'", "unhex('00ff')", "-1.5", "true", "'2024-01-01 00:00:00.5'", "'1900-01-01 00:00:00'", "'a  '", "'02139'", `'a\'"\\,{}'`, "map('ts', '0001-01-01 00:00:00 BC')") +
		", " + row("'unheard of'", "'a'", "7", "true", "'2024-01-01 00:00:00'", "'2024-01-01 00:00:00'", "'a  '", "'021399'", "'x'", "map()"))
	report, err := c.verify()
	require.NoError(t, err)
	require.Equal(t, []TableReport{{Table: "public.k", RowsSource: 2, RowsSink: 2, DifferingKeys: 2}}, report.Tables)
}

// TestWideRowsAreReadInSmallerChunks has rows of which a chunk cannot hold as many as it was to.
func TestWideRowsAreReadInSmallerChunks(t *testing.T) {
	c := newClinic(t)
	c.source("CREATE TABLE wide (id int PRIMARY KEY, v text)")
	c.source("INSERT INTO wide SELECT n, repeat(n::text, 900000) FROM generate_series(1, 30) n")
	c.storage("wide")
	c.sink("INSERT INTO DB_raw.wide__g2 SELECT number, repeat(toString(number), 900000), " + version(100, 0) + ", 0 FROM numbers(1, 30) SETTINGS max_block_size = 5, min_insert_block_size_rows = 5, min_insert_block_size_bytes = 0")
	report, err := c.verify(func(o *Options) { o.ChunkRows, o.RowsPerSecond = 1000, 1000 })
	require.NoError(t, err)
	require.Equal(t, []TableReport{{Table: "public.wide", RowsSource: 30, RowsSink: 30, Equal: true}}, report.Tables)
}
