package catalog

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// only carries the columns that it names.
type only []string

func (o only) For(rel *schemas.Relation, column int) (schemas.Transform, bool, error) {
	return nil, slices.Contains(o, rel.Columns[column].Name), nil
}

// secretly withholds all other columns.
var secretly = only{"id", "a", "size", "Size"}

// refusal says why table t is refused, nil if it is not.
func (d *database) refusal(t *testing.T, o Options) error {
	t.Helper()
	listed, err := d.tables(o).List(t.Context())
	require.NoError(t, err)
	require.Len(t, listed, 1)
	return listed[0].Refused
}

// TestColumnList: a table whose publication lists what leaves is the table of these columns. Nothing else of it is
// read, asked for or noticed, and the policies' print stays the same.
func TestColumnList(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		const table = "CREATE TABLE t (id int PRIMARY KEY, a text, secret text, size int)"
		d.fresh(t, table)
		without := d.list(t, Options{Policies: secretly})["t"]
		require.Equal(t, []int{0, 1, 3}, without.CopyInto, "what is withheld is not read")
		require.Equal(t, []int16{1, 2, 4}, without.Needs)
		require.Empty(t, without.Unsent)
		if d.major < 15 {
			return
		}
		d.exec(t, "DROP PUBLICATION IF EXISTS pub", "CREATE PUBLICATION pub FOR TABLE t (size, id, a)")
		tables := d.tables(Options{Policies: secretly, Publication: "pub"})
		listed, err := tables.List(t.Context())
		require.NoError(t, err)
		with := listed[0]
		require.NoError(t, with.Refused)
		require.Equal(t, []cdc.Column{{Number: 3, Name: "secret", Type: "text"}}, with.Unsent)
		require.Len(t, with.Columns, 3)
		require.Equal(t, []int{0, 1, 2}, with.CopyInto)
		require.Equal(t, [2]string{without.KeyPrint, without.PolicyPrint}, [2]string{with.KeyPrint, with.PolicyPrint})
		require.Equal(t, without.Topic.Compacted, with.Topic.Compacted)
		d.exec(t, "ALTER TABLE t RENAME secret TO hidden; ALTER TABLE t ADD other int; ALTER TABLE t DROP hidden")
		require.Empty(t, drift(t, tables), "what stays in Postgres is Postgres' own")
		d.exec(t, "ALTER TABLE t REPLICA IDENTITY FULL")
		require.Len(t, drift(t, tables), 1, "Postgres would refuse its updates")
		d.exec(t, "ALTER TABLE t REPLICA IDENTITY DEFAULT; ALTER TABLE t RENAME size TO width")
		require.Len(t, drift(t, tables), 1)
		d.exec(t, "DROP PUBLICATION pub")
	})
}

// TestColumnListsThatDoNotFit: a list without a column that leaves costs its table, and the way out is the one that
// works.
func TestColumnListsThatDoNotFit(t *testing.T) {
	onEach(t, func(t *testing.T, d *database) {
		major := d.major
		if major < 15 {
			return
		}
		for _, test := range []struct {
			list, more, says string
			from             int
		}{
			{"(id)", "", "lacks a, Size", 15},
			{"(id, a)", "", "lacks Size", 15},
			{`(a, "Size")`, "", "lacks id", 15},
			{`(id, a, "Size")`, "ALTER TABLE t REPLICA IDENTITY FULL", "replica identity is FULL", 15},
			{`(id, a, "Size")`, "ALTER TABLE t DROP made, DROP CONSTRAINT t_pkey, ALTER id SET NOT NULL, REPLICA IDENTITY FULL; CREATE UNIQUE INDEX ON t (id)",
				"replica identity is FULL", 15},
			{`(id, a, "Size", made)`, "", "has a generated column", 18},
			{`(id, a, "Size")`, "", "", 15},
			{`(id, a, "Size", secret)`, "", "", 15},
		} {
			if major < test.from {
				continue
			}
			d.fresh(t, `CREATE TABLE t (id int PRIMARY KEY, a text, secret text, "Size" int, made int GENERATED ALWAYS AS (id + 1) STORED)`)
			d.exec(t, "DROP PUBLICATION IF EXISTS pub", "CREATE PUBLICATION pub FOR TABLE t "+test.list+"; "+test.more)
			options := Options{Policies: secretly, Publication: "pub", Keys: map[string][]string{"public.t": {"id"}}}
			refused := d.refusal(t, options)
			if test.says == "" {
				require.NoError(t, refused, test.list)
				continue
			}
			said := cdc.Explain(refused)
			require.Contains(t, said.What, test.says)
			d.exec(t, said.Try[0].Command)
			require.NoError(t, d.refusal(t, options), said.Try[0].Command)
			d.exec(t, "UPDATE t SET a = 'x'; DELETE FROM t") // Postgres would refuse them, also without a row
		}
		d.exec(t, "DROP PUBLICATION pub")
	})
}

// TestListsOfOthers: the list of another publication, or of a table that is not captured, is nothing to this pipeline.
func TestListsOfOthers(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE TABLE other (id int PRIMARY KEY, a text)")
	d.exec(t, "CREATE PUBLICATION theirs FOR TABLE t (id)", "CREATE PUBLICATION pub FOR TABLE t, other (id)")
	listed := d.list(t, Options{Publication: "pub", Selection: all{"other"}})
	require.NoError(t, listed["t"].Refused)
	require.Len(t, listed["t"].Columns, 2)
	d.exec(t, "DROP PUBLICATION theirs, pub")
}
