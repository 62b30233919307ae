package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/docker/embedded/embeddedtest"
)

func seesAll(cdc.Visibility) bool { return true }

// ranges lists the tables and gives a reader of t.
func (d *database) ranges(t *testing.T) cdc.RangeReader {
	t.Helper()
	tables := d.tables(Options{})
	list, err := tables.List(t.Context())
	require.NoError(t, err)
	require.NoError(t, list[0].Refused)
	r, err := tables.Ranges(list[0])
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(t.Context()) })
	return r
}

// readAll reads the table in ranges of at most limit rows.
func readAll(t *testing.T, r cdc.RangeReader, limit int) (rows []string) {
	t.Helper()
	var read cdc.Range
	for !read.End {
		before := len(rows)
		var err error
		read, err = r.Read(t.Context(), read.Last, limit, seesAll, func(row cdc.Tuple) error {
			rows = append(rows, fmt.Sprintf("%c%q", row[0].Kind, row))
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, read.Rows, len(rows)-before)
		require.NotZero(t, read.Log)
	}
	return rows
}

// TestRanges: ranges of the key give every row once, whatever the key's type and collation.
func TestRanges(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		for key, rows := range map[string]string{
			"a bigint PRIMARY KEY":                      "SELECT 7 - i FROM generate_series(1, 10) i",
			"a text PRIMARY KEY":                        `SELECT unnest(ARRAY['', 'b', 'B', 'é', 'a b', 'a''"', 'zz', '_', '0', E'\\'])`,
			`a text COLLATE "C" PRIMARY KEY`:            "SELECT chr(64 + i) FROM generate_series(1, 10) i",
			"a char(3) PRIMARY KEY":                     "SELECT i::text FROM generate_series(1, 10) i",
			"a smallint PRIMARY KEY":                    "SELECT 3 - i FROM generate_series(1, 10) i",
			"a date PRIMARY KEY":                        "SELECT unnest(ARRAY['infinity', '-infinity', '0044-03-15 BC', '2000-01-01', '1999-12-31']::date[])",
			"a uuid PRIMARY KEY":                        "SELECT md5(i::text)::uuid FROM generate_series(1, 10) i",
			"a mood PRIMARY KEY":                        "SELECT unnest(enum_range(NULL::mood))",
			"a small PRIMARY KEY":                       "SELECT i FROM generate_series(1, 10) i",
			"a int, b text, PRIMARY KEY (b, a)":         "SELECT i, chr(64 + i % 3) FROM generate_series(1, 10) i",
			"a bytea PRIMARY KEY":                       `SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 10) i`,
			"a bool, b timestamptz, PRIMARY KEY (a, b)": "SELECT i > 5, '2020-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 10) i",
			`"A ""x" int, b bigint PRIMARY KEY`:         "SELECT i, i FROM generate_series(1, 10) i",
			"a int PRIMARY KEY, c pair DEFAULT NULL":    "SELECT i FROM generate_series(1, 10) i",
		} {
			d.fresh(t, "CREATE TYPE mood AS ENUM ('z', 'a', 'm', 'b')", "CREATE DOMAIN small AS int CHECK (VALUE < 100)", "CREATE TYPE pair AS (x int, y text)",
				"CREATE TABLE t ("+key+")", "ALTER TABLE t ADD v inet DEFAULT '127.0.0.1', ADD w pair DEFAULT (NULL, NULL)", "INSERT INTO t "+rows)
			var count int
			require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&count))
			r := d.ranges(t)
			whole := readAll(t, r, 1000)
			require.Len(t, whole, count, key)
			for _, limit := range []int{1, 3, count} {
				require.Equal(t, whole, readAll(t, r, limit), "%s by %d", key, limit)
			}
			r.Close(t.Context())
		}
	})
}

// TestRangesNotice: what is not visible yet, locked, or not as it was described is told apart, and the next try works.
func TestRangesNotice(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		read := func(r cdc.RangeReader, sees func(cdc.Visibility) bool) (rows int, err error) {
			_, err = r.Read(t.Context(), nil, 100, sees, func(cdc.Tuple) error { rows++; return nil })
			return rows, err
		}
		d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t SELECT i, 'a', 'b' FROM generate_series(1, 10) i")
		r := d.ranges(t)
		rows, err := read(r, func(cdc.Visibility) bool { return false })
		require.ErrorIs(t, err, cdc.ErrNotVisible)
		require.Zero(t, rows)

		other := embeddedtest.Connect(t, d.url)
		tx, err := other.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "LOCK TABLE t")
		require.NoError(t, err)
		_, err = read(r, seesAll)
		require.ErrorIs(t, err, cdc.ErrTableLocked)
		require.NoError(t, tx.Rollback(t.Context()))
		rows, err = read(r, seesAll)
		require.NoError(t, err)
		require.Equal(t, 10, rows)

		for _, change := range [][]string{
			{"ALTER TABLE t RENAME a TO c", "ALTER TABLE t RENAME b TO a", "ALTER TABLE t RENAME c TO b"},
			{"ALTER TABLE t DROP b"}, {"ALTER TABLE t DROP b", "ALTER TABLE t ADD b text"}, {"ALTER TABLE t ALTER a TYPE varchar(9)"},
			{"ALTER TABLE t RENAME TO u"}, {"DROP TABLE t"}, {"DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, a text, b text)"},
		} {
			d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t VALUES (1, 'a', 'b')")
			r := d.ranges(t)
			d.exec(t, change...)
			rows, err := read(r, seesAll)
			require.ErrorIs(t, err, cdc.ErrTableChanged, "%v", change)
			require.Zero(t, rows)
			r.Close(t.Context())
		}
	})
}

// TestRangesOfRefusedTables: what is one table's trouble says so, with the way out that is enough; a policy that would
// hide rows is an error, not a gap. No error holds a value.
func TestRangesOfRefusedTables(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		as := "reader_" + d.conn.Config().Database
		d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t SELECT i, 'SECRET' FROM generate_series(1, 10) i",
			"CREATE ROLE "+as+" LOGIN PASSWORD 'pw'", "REVOKE USAGE ON SCHEMA public FROM public", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON t USING (id < 3)")
		config := d.conn.Config()
		tables := d.tables(Options{})
		list, err := tables.List(t.Context())
		require.NoError(t, err)
		k, err := tables.find(list[0].OID)
		require.NoError(t, err)
		url := fmt.Sprintf("postgres://%s:pw@%s:%d/%s?sslmode=disable", as, config.Host, config.Port, config.Database)
		reader := newRangeReader(postgres.Login{URL: url}, k.rel, list[0])
		read := func(way string) {
			_, err := reader.Read(t.Context(), nil, 100, seesAll, func(cdc.Tuple) error { return errors.New("a row") })
			require.NotNil(t, cdc.OfOneTable(err))
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.Equal(t, []cdc.Remedy{{By: "a superuser", Command: way}}, cdc.Explain(err).Try)
		}
		all := "ALTER ROLE " + as + " BYPASSRLS; GRANT USAGE ON SCHEMA public TO " + as + "; GRANT SELECT ON TABLE public.t TO " + as
		read(all)
		d.exec(t, all, "ALTER ROLE "+as+" NOBYPASSRLS")
		read("ALTER ROLE " + as + " BYPASSRLS")
		d.exec(t, "ALTER ROLE "+as+" BYPASSRLS")
		require.Len(t, readAll(t, reader, 3), 10)
		stop := errors.New("enough")
		_, err = reader.Read(t.Context(), nil, 100, seesAll, func(cdc.Tuple) error { return stop })
		require.ErrorIs(t, err, stop)
		d.exec(t, "INSERT INTO t VALUES (11, repeat('x', 40000000))")
		_, err = reader.Read(t.Context(), nil, 100, seesAll, func(cdc.Tuple) error { return nil })
		trouble := cdc.OfOneTable(err)
		require.NotNil(t, trouble, "%v", err)
		require.True(t, trouble.Lasting)
		require.NotEmpty(t, cdc.Explain(err).Remedies())
		d.exec(t, "DELETE FROM t WHERE id > 10")
		require.Len(t, readAll(t, reader, 3), 10)
		reader.Close(t.Context())
		d.exec(t, "DROP OWNED BY "+as, "DROP ROLE "+as)
	})
}

// TestUntranslatableRows: a row that has no text in UTF-8 keeps its table from being copied; what is printed finds it,
// and once it is corrected the copy is whole.
func TestUntranslatableRows(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		d.exec(t, "DROP DATABASE IF EXISTS win", "CREATE DATABASE win ENCODING 'WIN1252' TEMPLATE template0 LOCALE 'C'")
		at, err := url.Parse(d.url)
		require.NoError(t, err)
		at.Path = "/win"
		config, err := pgx.ParseConfig(at.String())
		require.NoError(t, err)
		var notices []string
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Message) }
		conn, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		embeddedtest.ExecOn(t, conn, "CREATE TABLE t (id bigint PRIMARY KEY, v text)", `INSERT INTO t VALUES (1, 'a'), (2, convert_from('\x81', 'WIN1252')), (3, 'b')`)
		reader := (&database{url: at.String()}).ranges(t)
		_, err = reader.Read(t.Context(), nil, 100, seesAll, func(cdc.Tuple) error { return nil })
		require.True(t, cdc.OfOneTable(err).Lasting)
		ways := cdc.Explain(err).Try
		find, is := strings.CutPrefix(ways[0].Command, "find the row and correct it: ")
		require.True(t, is)
		require.Equal(t, `add "!public.t" to source.tables`, ways[1].Command)
		embeddedtest.ExecOn(t, conn, find)
		require.Equal(t, []string{"ctid (0,2)"}, notices)
		embeddedtest.ExecOn(t, conn, "UPDATE t SET v = 'corrected' WHERE ctid = '(0,2)'")
		require.Len(t, readAll(t, reader, 100), 3)
		reader.Close(t.Context())
		require.NoError(t, conn.Close(t.Context()))
		d.exec(t, "DROP DATABASE win")
	})
}

// TestRangesOfABrokenIndex: what the planner meets in a table's index is the table's trouble; what is printed shows it,
// and once it is put right the table can be read.
func TestRangesOfABrokenIndex(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		function := func(body string) string {
			return "CREATE OR REPLACE FUNCTION whole() RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN " + body + "; END $$"
		}
		d.fresh(t, function("RETURN true"), "CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE INDEX ON t (a) WHERE public.whole()", "INSERT INTO t VALUES (1, 'a')")
		reader := d.ranges(t)
		require.Len(t, readAll(t, reader, 10), 1)
		for _, state := range []string{"P0001", "53100", "55P03", "42703"} {
			d.exec(t, function("RAISE 'SECRET' USING ERRCODE = '"+state+"'"))
			_, err := reader.Read(t.Context(), nil, 100, seesAll, func(cdc.Tuple) error { return nil })
			require.NotNil(t, cdc.OfOneTable(err), "%s: %v", state, err)
			require.NotContains(t, err.Error(), "SECRET")
			sql := regexp.MustCompile(`SELECT .* LIMIT 1`).FindString(cdc.Explain(err).Try[0].Command)
			_, err = embeddedtest.Connect(t, d.url).Exec(t.Context(), sql)
			var shown *pgconn.PgError
			require.ErrorAs(t, err, &shown)
			require.Equal(t, "SECRET", shown.Message)
		}
		d.exec(t, function("RETURN true"))
		require.Len(t, readAll(t, reader, 10), 1)
	})
}
