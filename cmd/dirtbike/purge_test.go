package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cmd/internal/status"
	"dirtbike/docker/oracle"
)

// TestPurge: after keep became drop, the former values stay in the topic until they are purged, and the signs say so;
// nothing is deleted before load has the new copy, and a ClickHouse that begins afterwards has every row.
func TestPurge(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{privacy: "privacy: {columns: {public.people: {id: keep, ssn: keep, note: keep}, public.things: {id: keep, v: keep}}}"},
		smallSchema+`; CREATE TABLE people (id int PRIMARY KEY, ssn text, note text); INSERT INTO people SELECT g, 'PURGESSN' || g, 'n' FROM generate_series(1, 20) g`)
	l := r.start("run")
	r.wait()
	r.exec(`UPDATE people SET ssn = 'PURGESSN-again' WHERE id < 5; DELETE FROM people WHERE id = 20`)
	r.wait()
	require.Zero(t, r.formerRecords("public.people"))
	code, out, errs := r.verb("purge", "public.people")
	require.Equal(t, exitGood, code, out+errs)
	l.stop()

	r.replaceInConfig("ssn: keep", "ssn: drop")
	code, out, errs = r.verb("purge", "public.people")
	require.Equal(t, exitWrong, code, "the copy that there is has every former value: "+out)
	require.Contains(t, errs, "Try: stop capture, then dirtbike resnapshot public.people")
	code, out, errs = r.verb("resnapshot", "public.people")
	require.Equal(t, exitGood, code, out+errs)
	said := regexp.MustCompile(`Try: once the copy is complete, dirtbike (purge [^\s"]+)`).FindStringSubmatch(errs)
	require.NotNil(t, said, "the log says what stays: %s", errs)
	purge := strings.Fields(said[1])
	code, _, errs = r.verb(append(purge, "--yes")...)
	require.Equal(t, exitWrong, code, "load has not seen the new copy: "+errs)
	require.True(t, r.topicHas("people", "PURGESSN"), "nothing was deleted")
	l = r.start("run")
	r.wait()
	require.Positive(t, r.formerRecords("public.people"))
	_, out, _ = r.verb("status")
	require.Contains(t, out, "dirtbike purge public.people")
	code, _, errs = r.verb(purge...)
	require.Equal(t, exitNo, code, errs)
	require.Contains(t, errs, unseen, "of whom it knows nothing")
	require.True(t, r.topicHas("people", "PURGESSN"))
	said = regexp.MustCompile(`Try: dirtbike (purge .* --yes), which cannot be undone`).FindStringSubmatch(errs)
	require.NotNil(t, said, errs)
	r.readsElsewhere("another-reader", "people")
	code, _, errs = r.verb(strings.Fields(said[1])...)
	require.Equal(t, exitWrong, code, errs)
	require.Contains(t, errs, "another-reader", "it has not passed them")
	require.True(t, r.topicHas("people", "PURGESSN"))
	said = regexp.MustCompile(`dirtbike (purge .* --despite-readers), by which`).FindStringSubmatch(errs)
	require.NotNil(t, said, errs)
	code, out, errs = r.verb(strings.Fields(said[1])...)
	require.Equal(t, exitGood, code, out+errs)
	require.Contains(t, out, unseen)
	require.False(t, r.topicHas("people", "PURGESSN"))
	var storages []string
	require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT groupArray(name) FROM system.tables WHERE database = '"+r.name+"_raw' AND name LIKE 'people%'").Scan(&storages))
	require.Equal(t, []string{"people__g2"}, storages, "load dropped the former one")
	require.Zero(t, r.formerRecords("public.people"))
	r.exec(`UPDATE people SET note = 'after' WHERE id = 7`)
	r.wait()
	l.stop()
	r.startsAnew()
}

// readsElsewhere makes a consumer group that has read nothing of a table's topic yet.
func (r *rig) readsElsewhere(group, table string) {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...))
	require.NoError(r, err)
	defer client.Close()
	offsets := kadm.Offsets{}
	offsets.AddOffset(r.name+".public."+table, 0, 0, -1)
	require.NoError(r, kadm.NewClient(client).CommitAllOffsets(r.Context(), group, offsets))
}

// startsAnew loads into another database, from what the topics still have.
func (r *rig) startsAnew() {
	r.Helper()
	r.replaceInConfig("database: "+r.name, "database: "+r.name+"_anew")
	l := r.start("run")
	r.wait()
	report, err := oracle.CompareAll(r.Context(), r.url, r.stack.ClickHouse.URL(), r.name+"_anew", oracle.Options{Tables: map[string]oracle.Table{"public.people": {Drop: []string{"ssn"}}}})
	require.NoError(r, err)
	require.True(r, report.Equal(), "%s", report)
	l.stop()
	for _, database := range []string{r.name + "_anew", r.name + "_anew_raw"} {
		require.NoError(r, r.ch().Exec(r.Context(), "DROP DATABASE IF EXISTS "+database))
	}
}

func (r *rig) formerRecords(table string) int64 {
	r.Helper()
	_, out, errs := r.verb("status", "--json")
	var s status.Status
	require.NoError(r, json.NewDecoder(strings.NewReader(out)).Decode(&s), errs)
	for _, one := range s.Tables {
		if one.Table == table {
			return one.FormerRecords
		}
	}
	r.T.Fatalf("no table %s", table)
	return 0
}

// topicHas reads a table's topic to its end and looks for a text in its records.
func (r *rig) topicHas(table, text string) (found bool) {
	r.Helper()
	topic := r.name + ".public." + table
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	require.NoError(r, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(r.Context(), topic)
	require.NoError(r, err)
	starts, err := kadm.NewClient(client).ListStartOffsets(r.Context(), topic)
	require.NoError(r, err)
	left := map[int32]bool{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		left[o.Partition] = start.Offset < o.Offset
	})
	remaining := func() (n int) {
		for _, is := range left {
			if is {
				n++
			}
		}
		return n
	}
	for remaining() > 0 {
		fetches := client.PollFetches(r.Context())
		require.NoError(r, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			found = found || bytes.Contains(record.Value, []byte(text))
			if end, _ := ends.Lookup(topic, record.Partition); record.Offset+1 >= end.Offset {
				left[record.Partition] = false
			}
		})
	}
	return found
}
