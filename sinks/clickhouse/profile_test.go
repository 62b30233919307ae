package clickhouse

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
)

// TestProfiles: the views run under the profile of the login that made them, so that with any setting there everybody
// gets the right answer or an error, or load refuses the login. So it is with the profile of a reader.
func TestProfiles(t *testing.T) {
	r := newReaders(t)
	users := map[string]map[string]string{"p_true_filter": {"additional_result_filter": "1"}, "p_later": {}}
	for name, value := range embeddedtest.HostileClickHouse {
		if !strings.HasPrefix(name, "max_execution_speed") { // only slower
			users["p_"+name] = map[string]string{name: value}
		}
	}
	c := stack.Get(t).ClickHouse
	urls := embeddedtest.AddClickHouseUsers(t, c, users)
	plain := embeddedtest.ClickHouse(t, c.URL())
	r.conn = plain
	right := 0
	w := newWorld(t)
	later := w.load(func(o *Options) { o.URL, o.profileEvery = urls["p_later"], 50*time.Millisecond })
	w.claims("later")
	w.wait()
	embeddedtest.ChangeClickHouseProfile(t, c, "p_later", "limit", "1")
	err := <-later.done
	close(later.done)
	require.ErrorIs(t, err, cdc.ErrRefused, "it is noticed while load runs")
	require.NotEmpty(t, cdc.Explain(err).Try)
	for _, user := range slices.Sorted(maps.Keys(users)) {
		if user == "p_limit" || user == "p_offset" || user == "p_later" { // no view can help it
			l, err := New(r.optionsOf(urls[user]))
			require.NoError(t, err)
			err = l.Run(t.Context())
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.NotEmpty(t, cdc.Explain(err).Try)
			continue
		}
		r.madeBy(user)
		what, failed := r.wrong(nil)
		assert.Empty(t, what, "made by "+user)
		if !failed {
			right++
		}
	}
	require.Greater(t, right, len(users)/2)
	r.madeBy("dirtbike")
	for _, user := range strings.Fields("limit offset final additional_result_filter true_filter join_use_nulls aggregate_functions_null_for_empty" +
		" transform_null_in max_rows_to_read max_result_rows enable_parallel_replicas use_query_cache") {
		r.conn = embeddedtest.ClickHouse(t, urls["p_"+user])
		what, _ := r.wrong(nil)
		assert.Empty(t, what, "read by "+user)
	}
}

func (r *readers) optionsOf(url string) Options {
	o := r.options()
	o.URL = url
	return o
}

// madeBy makes the user the one under whose profile the views run.
func (r *readers) madeBy(user string) {
	r.t.Helper()
	for _, view := range []string{"visits", "nothing", "complete_up_to"} {
		embeddedtest.ExecClickHouse(r.t, r.conn, "ALTER TABLE "+schemas.ClickHouseIdent(r.database)+"."+view+" MODIFY SQL SECURITY DEFINER DEFINER = "+user)
	}
}
