package clickhouse

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
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

// TestUnknownSchema: a record whose schema the registry does not have, or has as another kind, or which is another
// table's, quarantines its table; the others go on. Written by a stranger it does nothing.
func TestUnknownSchema(t *testing.T) {
	w := newWorld(t)
	good, quiet := twoColumns(w, "good"), twoColumns(w, "quiet")
	ids := map[string]int{"lost": 32767, "crossed": w.schemaID(good), "other": w.otherKind("JSON", `{"type":"object"}`), "third": w.otherKind("PROTOBUF", `syntax = "proto3"; message M {}`)}
	tables := map[string]*sourceTable{}
	for name := range ids {
		tables[name] = twoColumns(w, name)
	}
	x := w.begin().insert(good, "1", "a").insert(quiet, "1", "a")
	for _, tab := range tables {
		x.insert(tab, "1", "a")
	}
	x.commit()
	l := w.load()
	w.wait()
	l.stop(t)

	with := func(id int, records []*kgo.Record) []*kgo.Record {
		for _, r := range records {
			binary.BigEndian.PutUint32(r.Value[1:5], uint32(id))
		}
		return records
	}
	var records []*kgo.Record
	for name, id := range ids {
		records = append(records, with(id, w.begin().insert(tables[name], "2", "b").insert(tables[name], "3", "b").records())...)
		w.foreignProducer(w.prefix+".stranger", with(id, w.begin().insert(quiet, "9", "forged").records())...)
	}
	w.produce(append(records, w.begin().insert(good, "2", "b").insert(quiet, "2", "b").records()...), true)
	l = w.load()
	w.wait()
	for _, name := range []string{"good", "quiet"} {
		require.Equal(t, []string{"1\ta", "2\tb"}, w.query("SELECT * FROM DB."+name+" ORDER BY id"))
		require.True(t, w.complete("public."+name).Exact)
	}
	quarantine := schemas.ClickHouseIdent(w.database+"_raw") + ".quarantine FINAL WHERE leg = 'load'"
	require.Equal(t, []string{"4"}, w.query("SELECT count() FROM "+quarantine))
	for name, id := range ids {
		require.Equal(t, []string{"1\ta"}, w.query("SELECT * FROM DB."+name))
		require.False(t, w.complete("public."+name).Exact)
		reason := w.query("SELECT reason FROM " + quarantine + " AND table = 'public." + name + "'")
		require.Len(t, reason, 1)
		require.Contains(t, reason[0], strconv.Itoa(id))
		require.Contains(t, cdc.WriteRemedies(cdc.ParseProblem(reason[0]).Try), cdc.ResnapshotCommand("public."+name))
	}
	require.Empty(t, l.LastError(), "what quarantines a table is not tried again")
	w.begin().insert(good, "3", "c").commit()
	w.wait()
	require.Equal(t, []string{"3"}, w.query("SELECT count() FROM DB.good"))
}

// schemaID is that of the table's values.
func (w *world) schemaID(tab *sourceTable) int {
	w.t.Helper()
	schema, err := avro.EnvelopeSchema(tab.table)
	require.NoError(w.t, err)
	id, err := w.registry.Register(w.ctx, tab.topic.Name+"-value", schema)
	require.NoError(w.t, err)
	return id
}

// otherKind registers a schema that is not Avro.
func (w *world) otherKind(kind, schema string) (id int) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"schemaType": kind, "schema": schema})
	require.NoError(w.t, err)
	request, err := http.NewRequestWithContext(w.ctx, http.MethodPost, stack.Get(w.t).Registry.URL()+"/subjects/"+w.prefix+"-"+kind+"/versions", bytes.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	require.Equal(w.t, http.StatusOK, answer.StatusCode)
	var is struct {
		ID int `json:"id"`
	}
	require.NoError(w.t, json.NewDecoder(answer.Body).Decode(&is))
	return is.ID
}

// TestSchemaLate: a schema that the registry's replica learns of a little later quarantines nothing.
func TestSchemaLate(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "late")
	w.begin().insert(tab, "1", "a").commit()
	r := &withholding{Registry: w.registry, ids: map[int]bool{w.schemaID(tab): true}}
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
