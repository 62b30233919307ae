package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc/privacy"
	"dirtbike/schemas"
)

// shape is a table whose ten rows have keys made from their number.
type shape struct {
	key      string // the column of Postgres
	source   string // its value from n on Postgres
	sink     string // its value from n on ClickHouse
	policies schemas.Policies
}

// rules hashes the key and keeps the rest.
type rules struct{}

func (rules) For(_, _, column string) (string, bool) {
	if column == "id" {
		return "hash", true
	}
	return "keep", true
}
func (rules) Domain(_, _, column string) string { return column }

var shapes = map[string]shape{
	"integer": {"id bigint PRIMARY KEY", "n * 7 - 20", "toInt64(number) * 7 - 20", keepAll{}},
	"text":    {"id text PRIMARY KEY", "'Key ' || chr(64 + n) || n", "concat('Key ', char(64 + number), toString(number))", keepAll{}},
	"uuid": {
		"id uuid PRIMARY KEY", "('0000000' || n % 10 || '-0000-0000-0000-00000000000' || (10 - n))::uuid",
		"toUUID(concat('0000000', toString(number % 10), '-0000-0000-0000-00000000000', toString(10 - number)))", keepAll{},
	},
	"pair": {"a int, id smallint, PRIMARY KEY (id, a)", "n % 3, n", "toInt32(number % 3), toInt16(number)", keepAll{}},
	"date": {
		"id date PRIMARY KEY", "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '9999-12-31' WHEN 3 THEN '0044-03-15 BC' ELSE date '2020-01-01' + n END",
		"", keepAll{},
	},
	"hashed": {"id bigint PRIMARY KEY", "n", "", privacy.New(rules{}, privacy.HashKeys{ID: "k1", Key: []byte("0123456789abcdef")})},
}

// fill makes a table of ten equal rows on both sides, with versions long ago.
func (c *clinic) fill(table string, s shape) {
	c.t.Helper()
	c.source("CREATE TABLE " + table + " (" + s.key + ", note text, fee numeric(10,2))")
	c.source("INSERT INTO " + table + " SELECT " + s.source + ", CASE n WHEN 4 THEN NULL WHEN 5 THEN '' ELSE 'note ' || n END, n * 1.5 FROM generate_series(1, 10) n")
	rel := c.storage(table)
	if s.sink == "" {
		c.copyRows(rel)
		return
	}
	c.sink("INSERT INTO DB_raw." + table + "__g2 SELECT " + s.sink + ", multiIf(number = 4, NULL, number = 5, '', concat('note ', toString(number)))," +
		" toDecimal64(number, 2) * toDecimal64('1.5', 1), map(), " + version(100, 0) + ", 0 FROM numbers(1, 10)")
}

// copyRows brings rows whose keys ClickHouse's SQL cannot make.
func (c *clinic) copyRows(rel *schemas.Relation) {
	c.t.Helper()
	transform, _, err := c.policies.For(rel, 0)
	require.NoError(c.t, err)
	rows, err := c.pg.Query(c.t.Context(), "SELECT id::text, note, fee::text FROM "+rel.Name+" ORDER BY id")
	require.NoError(c.t, err)
	defer rows.Close()
	var values []string
	for rows.Next() {
		var id, fee string
		var note *string
		require.NoError(c.t, rows.Scan(&id, &note, &fee))
		exact, text := "map()", "NULL"
		switch id {
		case "infinity", "9999-12-31":
			id, exact = "2299-12-31", "map('id', '"+id+"')"
		case "0044-03-15 BC":
			id, exact = "1900-01-01", "map('id', '"+id+"')"
		}
		if transform != nil {
			token, err := transform.Apply(nil, []byte(id), 0)
			require.NoError(c.t, err)
			id = string(token)
		}
		if note != nil {
			text = "'" + *note + "'"
		}
		number := ""
		if schemas.KeyInteger(rel.Columns[0].Type) {
			number = fmt.Sprintf("%d, ", len(values)) // the real integers do not matter, only that they differ
		}
		values = append(values, fmt.Sprintf("('%s', %s, '%s', %s%s, %s, 0)", id, text, fee, number, exact, version(100, 0)))
	}
	require.NoError(c.t, rows.Err())
	c.sink("INSERT INTO DB_raw." + rel.Name + "__g2 VALUES " + strings.Join(values, ", "))
}

// damage is a difference: %s is the table's place. What changes in Postgres does not reach ClickHouse.
type damage struct {
	source, sink         string
	rowsSource, rowsSink int64
}

var damages = map[string]damage{
	"nothing":        {"", "", 10, 10},
	"changed_cell":   {"UPDATE %s SET fee = fee + 0.01 WHERE note = 'note 7'", "", 10, 10},
	"missing_row":    {"", "ALTER TABLE DB_raw.%s__g2 DELETE WHERE note = 'note 9' SETTINGS mutations_sync = 2", 10, 9},
	"extra_row":      {"DELETE FROM %s WHERE note = 'note 3'", "", 9, 10},
	"extra_last":     {"DELETE FROM %s WHERE note = 'note 10'", "", 9, 10},
	"empty_is_null":  {"UPDATE %s SET note = '' WHERE note IS NULL", "", 10, 10},
	"null_is_empty":  {"UPDATE %s SET note = NULL WHERE note = ''", "", 10, 10},
	"deleted_there":  {"", "INSERT INTO DB_raw.%[1]s__g2 SELECT * REPLACE (_version + 1 AS _version, 1 AS _deleted) FROM DB_raw.%[1]s__g2 WHERE note = 'note 2'", 10, 9},
	"beyond":         {"", "INSERT INTO DB_raw.%[1]s__g2 SELECT * REPLACE (" + version(far+1, 0) + " AS _version, toDecimal64('0.01', 2) AS fee) FROM DB_raw.%[1]s__g2 WHERE note = 'note 6'", 10, 10},
	"deleted_beyond": {"", "INSERT INTO DB_raw.%[1]s__g2 SELECT * REPLACE (" + version(far+1, 0) + " AS _version, 1 AS _deleted) FROM DB_raw.%[1]s__g2 WHERE note = 'note 8'", 10, 9},
	"all_gone":       {"DELETE FROM %s", "", 0, 10},
}

func TestPlantedDifferencesAreFound(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			c.policies = s.policies
			for table, d := range damages {
				c.fill(table, s)
				if d.source != "" {
					c.source(fmt.Sprintf(d.source, table))
				}
				if d.sink != "" {
					c.sink(fmt.Sprintf(d.sink, table))
				}
			}
			report, err := c.verify()
			require.NoError(t, err)
			require.False(t, report.Equal)
			require.Len(t, report.Tables, len(damages))
			for _, got := range report.Tables {
				d := damages[got.Table[len("public."):]]
				want := TableReport{Table: got.Table, RowsSource: d.rowsSource, RowsSink: d.rowsSink, DifferingKeys: 1}
				switch got.Table {
				case "public.nothing":
					want.Equal, want.DifferingKeys = true, 0
				case "public.all_gone":
					want.DifferingKeys = 10
				}
				require.Equal(t, want, got)
			}
		})
	}
}
