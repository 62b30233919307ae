package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestRewrites: a rewrite that keeps names and types is seen, and one that leaves the rows alone is not.
func TestRewrites(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		for _, test := range []struct {
			sql       string
			rewritten bool
		}{
			{"ALTER TABLE t ALTER v TYPE int USING v + 1", true},
			{"ALTER TABLE t ALTER w TYPE text USING upper(w)", true}, // a column with a default
			{"ALTER TABLE t ALTER added TYPE int USING added + 1", true},
			{"ALTER TABLE t ALTER bare TYPE int USING bare + 1", true},
			{"ALTER TABLE t ALTER COLUMN v SET NOT NULL, ALTER w TYPE text USING upper(w)", true},
			{"BEGIN; TRUNCATE other; ALTER TABLE t ALTER v TYPE int USING v + 1; COMMIT", true},
			{"VACUUM FULL t; ALTER TABLE t ALTER v SET DEFAULT 7", true}, // the safe side
			{"VACUUM FULL /* with a bare column */ t", true},
			{"VACUUM FULL t", false},
			{"CLUSTER t USING t_pkey", false},
			{"TRUNCATE t", false},
			{"REINDEX TABLE t", false},
			{"ANALYZE t; VACUUM FREEZE t", false},
			{"VACUUM FULL pg_attribute; VACUUM FREEZE pg_attribute; VACUUM FULL pg_class; VACUUM FULL pg_attrdef", false},
			{"ALTER TABLE t ALTER v SET DEFAULT 7", false},
			{"ALTER TABLE t ALTER w DROP DEFAULT", false},
			{"ALTER TABLE t ALTER v SET STATISTICS 50", false},
			{"ALTER TABLE t ALTER v SET NOT NULL", false},
			{"GRANT SELECT (v) ON t TO public", false},
			{"UPDATE t SET v = 9; INSERT INTO t VALUES (3); DELETE FROM t", false},
			{"CREATE INDEX ON t (v); ALTER TABLE t SET (fillfactor = 50)", false},
			{"ALTER TABLE t ADD g int GENERATED ALWAYS AS (v + 1) STORED", false}, // it is not sent
			{"ALTER TABLE t ALTER v TYPE int USING v", false},                     // no row changes
			{"ALTER TABLE other ALTER v TYPE int USING v + 1", false},
		} {
			t.Run(test.sql, func(t *testing.T) {
				d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, v int, w text DEFAULT 'x')", "INSERT INTO t VALUES (1, 1)", "CREATE TABLE other (id int PRIMARY KEY, v int)",
					"ALTER TABLE t ADD added int DEFAULT 5", "INSERT INTO other VALUES (1, 1)")
				if strings.Contains(test.sql, "bare") {
					d.exec(t, "ALTER TABLE t ADD bare int DEFAULT 5", "ALTER TABLE t ALTER bare DROP DEFAULT")
				}
				tables := d.tables(Options{Selection: all{"other"}})
				_, err := tables.List(t.Context())
				require.NoError(t, err)
				d.exec(t, statements(test.sql)...)
				for range 2 { // it stays so
					got := drift(t, tables)
					if !test.rewritten {
						require.Empty(t, got)
						continue
					}
					require.Len(t, got, 1)
					require.Contains(t, cdc.Explain(got[0]).What, "was rewritten by an ALTER TABLE")
					require.Contains(t, cdc.Explain(got[0]).Try[0].Command, "dirtbike resnapshot ")
				}
			})
		}
	})
}

// TestRewriteBetweenLooks: file and description may change one after the other without harm, and what was seen once is
// not forgotten.
func TestRewriteBetweenLooks(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
	tables := d.tables(Options{})
	list := func() {
		_, err := tables.List(t.Context())
		require.NoError(t, err)
	}
	list()
	for _, sql := range []string{"VACUUM FULL t", "ALTER TABLE t ALTER v SET DEFAULT 7", "TRUNCATE t", "ALTER TABLE t ALTER v SET NOT NULL", "INSERT INTO t VALUES (1, 1)"} {
		d.exec(t, sql)
		require.Empty(t, drift(t, tables), sql)
	}
	d.exec(t, "ALTER TABLE t ALTER v TYPE int USING v + 1")
	list() // a session that was interrupted begins again
	require.Len(t, drift(t, tables), 1)
	list()
	require.Len(t, drift(t, tables), 1)
	tables = d.tables(Options{}) // another process, for which it was copied again
	list()
	require.Empty(t, drift(t, tables))
}

func drift(t *testing.T, tables *Tables) []error {
	t.Helper()
	found, err := tables.Drift(t.Context())
	require.NoError(t, err)
	var out []error
	for _, why := range found {
		out = append(out, why)
	}
	return out
}

// statements splits a script, because VACUUM must be a statement of its own; a transaction is one.
func statements(sql string) []string {
	if strings.HasPrefix(sql, "BEGIN") {
		return []string{sql}
	}
	return strings.Split(sql, "; ")
}
