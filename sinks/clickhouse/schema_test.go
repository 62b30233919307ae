package clickhouse

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// withholding is a registry that does not know some ids.
type withholding struct {
	schemas.Registry
	mu    sync.Mutex
	ids   map[int]bool
	asked int
}

func (r *withholding) Schema(ctx context.Context, id int) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] {
		r.asked++
		id = 1 << 30 // as the registry itself answers for an id that was never registered
	}
	return r.Registry.Schema(ctx, id)
}

// TestUnknownSchema: a record whose schema the registry does not have quarantines its table; the others go on.
func TestUnknownSchema(t *testing.T) {
	w := newWorld(t)
	lost, good := twoColumns(w, "lost"), twoColumns(w, "good")
	w.begin().insert(lost, "1", "a").insert(good, "1", "a").commit()
	l := w.load()
	w.wait()
	l.stop(t)

	x := w.begin().insert(lost, "2", "b").insert(lost, "3", "b").insert(good, "2", "b")
	records := x.records()
	for _, r := range records[:2] {
		copy(r.Value[1:5], []byte{0, 0, 0x7f, 0xff}) // id 32767
	}
	w.produce(records, true)
	l = w.load()
	w.wait()
	require.Equal(t, []string{"1\ta", "2\tb"}, w.query("SELECT * FROM DB.good ORDER BY id"))
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.lost"))
	require.True(t, w.complete("public.good").Exact)
	require.False(t, w.complete("public.lost").Exact)
	reason := w.query("SELECT reason FROM " + schemas.ClickHouseIdent(w.database+"_raw") + ".quarantine FINAL WHERE leg = 'load'")
	require.Len(t, reason, 1)
	require.Contains(t, reason[0], "read schema 32767: ")
	require.Empty(t, l.LastError(), "what quarantines a table is not tried again")
	w.begin().insert(good, "3", "c").commit()
	w.wait()
	require.Equal(t, []string{"3"}, w.query("SELECT count() FROM DB.good"))
}

// TestSchemaLate: a schema that the registry's replica learns of a little later quarantines nothing.
func TestSchemaLate(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "late")
	w.begin().insert(tab, "1", "a").commit()
	schema, err := avro.EnvelopeSchema(tab.table)
	require.NoError(t, err)
	id, err := w.registry.Register(w.ctx, tab.topic.Name+"-value", schema)
	require.NoError(t, err)
	r := &withholding{Registry: w.registry, ids: map[int]bool{id: true}}
	w.load(func(o *Options) { o.Registry = r })
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.asked > 1 {
			clear(r.ids)
		}
		return len(r.ids) == 0
	}, 20*time.Second, 5*time.Millisecond)
	w.wait()
	require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB.late"))
	require.True(t, w.complete("").Exact)
}
