package clickhouse

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

func twoColumns(w *world, name string) *sourceTable {
	return w.table(name, 3, cdc.IdentityFull, []int{0}, plainColumn("id", schemas.KindInt4, true), plainColumn("v", schemas.KindText, false)).live()
}

func TestInsertUpdateDelete(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "things")
	w.begin().insert(tab, "1", "one").insert(tab, "2", "two").insert(tab, "3", `\N`).commit()
	w.load()
	w.wait()
	require.Equal(t, []string{"1\tone", "2\ttwo", "3\t\\N"}, w.query("SELECT * FROM DB.things ORDER BY id"))
	w.begin().update(tab, "1", "uno").delete(tab, "2", `\N`).insert(tab, "4", "").commit()
	w.begin().insert(tab, "5", "never").abort()
	w.idle()
	w.wait()
	require.Equal(t, []string{"1\tuno", "3\t\\N", "4\t"}, w.query("SELECT * FROM DB.things ORDER BY id"))
	require.True(t, w.complete("public.things").Exact)
	require.True(t, w.complete("").Exact)
}
