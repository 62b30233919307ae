package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestRefusalsAreFixed: what the refusal of a table says is done, and the table can be captured. Where it is a
// statement, that one is run as it is printed.
func TestRefusalsAreFixed(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		keys := Options{Keys: map[string][]string{"public.t": {"a"}}}
		list := func(o Options) map[string]*cdc.Table {
			tables, err := d.tables(o).List(t.Context())
			require.NoError(t, err)
			out := map[string]*cdc.Table{}
			for _, table := range tables {
				out[table.Name] = table
			}
			return out
		}
		for _, test := range []struct {
			sql, way string
			do       string // "" is the way itself
			options  Options
		}{
			{"CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING", "ALTER TABLE public.t REPLICA IDENTITY DEFAULT", "", Options{}},
			{"CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY USING INDEX t_b_key; ALTER TABLE t DROP CONSTRAINT t_b_key",
				"ALTER TABLE public.t REPLICA IDENTITY DEFAULT", "", Options{}},
			{"CREATE UNLOGGED TABLE t (a int PRIMARY KEY)", "ALTER TABLE public.t SET LOGGED", "", Options{}},
			{"CREATE TABLE t (a int)", "give public.t a primary key", "ALTER TABLE t ADD PRIMARY KEY (a)", Options{}},
			{"CREATE TABLE t (a int PRIMARY KEY DEFERRABLE)", "make the key of public.t NOT DEFERRABLE", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)", Options{}},
			{"CREATE TABLE t (x int NOT NULL UNIQUE, a int GENERATED ALWAYS AS (x + 1) STORED PRIMARY KEY)",
				"REPLICA IDENTITY USING INDEX with another unique index", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_x_key", Options{}},
			{"CREATE TABLE t (a int NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL", "CREATE UNIQUE INDEX ON public.t (a), and SET NOT NULL",
				"CREATE UNIQUE INDEX ON public.t (a)", keys},
			{"CREATE TABLE t (a int NOT NULL)", "CREATE UNIQUE INDEX ON public.t (a), and SET NOT NULL, and ALTER TABLE public.t REPLICA IDENTITY FULL",
				"CREATE UNIQUE INDEX ON public.t (a); ALTER TABLE public.t REPLICA IDENTITY FULL", keys},
			{"CREATE TABLE t (a int NOT NULL UNIQUE)", "ALTER TABLE public.t REPLICA IDENTITY FULL, or USING INDEX", "ALTER TABLE public.t REPLICA IDENTITY FULL", keys},
			{"CREATE TABLE t (a int NOT NULL UNIQUE)", "ALTER TABLE public.t REPLICA IDENTITY FULL, or USING INDEX", "ALTER TABLE public.t REPLICA IDENTITY USING INDEX t_a_key", keys},
		} {
			d.fresh(t, test.sql)
			refused := cdc.Explain(list(test.options)["t"].Refused)
			require.NotNil(t, refused, test.sql)
			require.Equal(t, test.way, refused.Try[0].Command, test.sql)
			if test.do == "" {
				test.do = refused.Try[0].Command
			}
			if refused.Try[len(refused.Try)-1].Command != test.way {
				left := test.options
				left.Selection = excludes(t, refused.Try[len(refused.Try)-1].Command)
				require.NotContains(t, list(left), "t")
			}
			d.exec(t, test.do)
			require.NoError(t, list(test.options)["t"].Refused, test.do)
		}
		if _, err := d.conn.Exec(t.Context(), "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false)"); err == nil { // built with ICU
			d.fresh(t, "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false)", "CREATE TABLE t (a text COLLATE loose PRIMARY KEY)")
			require.Equal(t, "give the key columns of public.t a deterministic collation", cdc.Explain(list(Options{})["t"].Refused).Try[0].Command)
			d.exec(t, `ALTER TABLE t ALTER a TYPE text COLLATE "C"`)
			require.NoError(t, list(Options{})["t"].Refused)
		}
		keyless(t, d, keys, list)
		// A publication of such a table would stop its updates, which the test sees before and after.
		d.fresh(t, "CREATE TABLE t (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a + 1) STORED)", "ALTER TABLE t REPLICA IDENTITY FULL", "INSERT INTO t VALUES (1)")
		refused := cdc.Explain(list(Options{})["t"].Refused)
		require.Equal(t, d.major >= 18, refused != nil)
		if refused != nil {
			d.exec(t, "CREATE PUBLICATION p FOR TABLE t")
			_, err := d.conn.Exec(t.Context(), "UPDATE t SET a = 2")
			require.Error(t, err)
			d.exec(t, refused.Try[0].Command, "UPDATE t SET a = 2", "DROP PUBLICATION p")
			require.NoError(t, list(Options{})["t"].Refused)
			d.fresh(t, "CREATE TABLE t (a int NOT NULL UNIQUE, b int GENERATED ALWAYS AS (a + 1) STORED)", "ALTER TABLE t REPLICA IDENTITY FULL")
			require.Equal(t, "give public.t a primary key and the replica identity DEFAULT", cdc.Explain(list(keys)["t"].Refused).Try[0].Command)
			d.exec(t, "ALTER TABLE t ADD PRIMARY KEY (a)", "ALTER TABLE t REPLICA IDENTITY DEFAULT")
			require.NoError(t, list(keys)["t"].Refused)
		}
		d.fresh(t, "CREATE TABLE whole (a int PRIMARY KEY) PARTITION BY RANGE (a)", "CREATE TABLE leaf PARTITION OF whole FOR VALUES FROM (1) TO (9)")
		listed := list(Options{})
		require.Equal(t, "name its leaves instead", cdc.Explain(listed["whole"].Refused).Try[0].Command)
		require.NoError(t, listed["leaf"].Refused)
	})
}

// keyless: each way out that a table without a primary key is told gives it a key, and none is told that would not.
func keyless(t *testing.T, d *database, keys Options, list func(Options) map[string]*cdc.Table) {
	t.Helper()
	ways := func(o Options) (ways []string) {
		for _, r := range cdc.Explain(list(o)["t"].Refused).Remedies() {
			ways = append(ways, r.Command)
		}
		return ways
	}
	const plain = "CREATE TABLE t (x int NOT NULL UNIQUE, a int NOT NULL UNIQUE)"
	const generated = "CREATE TABLE t (x int NOT NULL UNIQUE, a int GENERATED ALWAYS AS (x + 1) STORED NOT NULL UNIQUE)"
	of := map[string][]string{"x": {"x"}, "a": {"a"}, "nope": {"nope"}}
	named := func(column string) Options { return Options{Keys: map[string][]string{"public.t": of[column]}} }
	for _, test := range []struct {
		made     string
		options  Options // what is refused
		at, ways int     // which of the ways is done, of how many
		says, do string
		then     Options // what can be captured
	}{
		{plain, Options{}, 0, 4, "give public.t a primary key", "ALTER TABLE t ADD PRIMARY KEY (a)", Options{}},
		{plain, Options{}, 1, 4, "ALTER TABLE public.t REPLICA IDENTITY USING INDEX", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_a_key", Options{}},
		{plain, Options{}, 2, 4, "in source.keys", "ALTER TABLE t REPLICA IDENTITY FULL", keys},
		{plain, named("nope"), 0, 1, "other columns of public.t in source.keys", "ALTER TABLE t REPLICA IDENTITY FULL", keys},
		{generated, Options{}, 1, d.ways(4), "ALTER TABLE public.t REPLICA IDENTITY USING INDEX", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_x_key", Options{}},
		{generated, named("a"), 0, 1, "other columns of public.t in source.keys", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_x_key", named("x")},
		{generated, named("x"), 0, 1, "REPLICA IDENTITY", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_x_key", named("x")},
		{generated + "; ALTER TABLE t DROP CONSTRAINT t_x_key", named("x"), 0, 1, "CREATE UNIQUE INDEX ON public.t (x)",
			"CREATE UNIQUE INDEX made ON t (x); ALTER TABLE t REPLICA IDENTITY USING INDEX made", named("x")},
	} {
		d.fresh(t, test.made)
		said := ways(test.options)
		require.Len(t, said, test.ways, "%s: %v", test.made, said)
		require.Contains(t, said[test.at], test.says)
		if d.major >= 18 && test.made != plain {
			require.NotContains(t, strings.Join(said, ", "), "FULL", "Postgres would refuse updates")
		}
		d.exec(t, test.do)
		require.NoError(t, list(test.then)["t"].Refused, test.do)
	}
}

// ways are one fewer where REPLICA IDENTITY FULL of a table with generated columns is none.
func (d *database) ways(n int) int {
	if d.major >= 18 {
		return n - 1
	}
	return n
}
