package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestListCaptured: what List would refuse as a whole is refused table by table.
func TestListCaptured(t *testing.T) {
	d := newDatabase(t, "18")
	d.fresh(t, "CREATE TABLE good (id int PRIMARY KEY)", "CREATE TABLE keyless (id int)", "CREATE UNLOGGED TABLE quick (id int PRIMARY KEY)",
		"CREATE TABLE named (id int)", "CREATE TABLE unnamed (id int)", "CREATE TABLE late (id int PRIMARY KEY)")
	relations, refused, err := ListCaptured(t.Context(), d.conn, all{"unnamed"}, map[string][]string{"public.named": {"id"}})
	require.NoError(t, err)
	require.Len(t, relations, 2)
	require.Equal(t, []string{"public.good", "public.late"}, []string{relations[0].FullName(), relations[1].FullName()})
	require.Len(t, refused, 3)
	require.Equal(t, "it has no primary key", refused["public.keyless"].What)
	require.Contains(t, refused["public.quick"].What, "UNLOGGED")
	require.Contains(t, refused["public.named"].What, "no unique, non-deferrable, NOT NULL index")
	for name, why := range refused {
		require.NotEmpty(t, why.Try, name)
		require.NotContains(t, why.Error(), "\n", name)
	}

	d.fresh(t, "CREATE TABLE good (id int PRIMARY KEY)")
	_, _, err = ListCaptured(t.Context(), d.conn, allBut{"good"}, nil)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: `tables: ["public.*"]`}}, cdc.Explain(err).Try)
	relations, _, err = ListCaptured(t.Context(), d.conn, all{}, nil) // as that says
	require.NoError(t, err)
	require.Len(t, relations, 1)
	d.fresh(t)
	_, _, err = ListCaptured(t.Context(), d.conn, all{}, nil)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.NoError(t, d.conn.Close(t.Context()))
	_, _, err = ListCaptured(t.Context(), d.conn, all{}, nil)
	require.Error(t, err)
}
