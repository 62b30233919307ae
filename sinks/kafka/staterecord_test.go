package kafka

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

func newState() *cdc.State { return &cdc.State{Tables: map[string]cdc.TableState{}} }

// The state's records are a format: this is what they look like.
func TestStateRecords(t *testing.T) {
	state := newState()
	source, table := sinktest.Source(cdc.PhaseCopying), sinktest.Table("claims", "clinic.public.claims")
	for _, test := range []struct {
		change     cdc.StateChange
		key, value string
	}{
		{source, "source", `{"format":2,"phase":"copying","epoch":1,"system":"7400000000000000001","timeline":1,"database":"clinic","slot":"dirtbike",` +
			`"partitions":3,"hash_keys":{"k1":"ab"},"consistent_point":"FFFFFFFF/10"}`},
		{table, "table:public.claims", `{"format":2,"schema":"public","table":"claims","oid":4242,"topic":"clinic.public.claims","phase":"copying","generation":1,` +
			`"controls":0,"rows":0,"key_print":"k","policy_print":"p","shape":"","columns":[{"n":1,"name":"id","type":"bigint"}],"members":["table 7","schema 8"]}`},
	} {
		key, value, err := encodeChange(test.change)
		require.NoError(t, err)
		require.Equal(t, test.key, string(key))
		require.Equal(t, test.value, string(value))
		require.NoError(t, foldState(state, key, value))
	}
	point := cdc.Point{Position: cdc.Position{Epoch: 2, CommitLSN: 0x1_0000_00AB, Ordinal: 4}, Partial: true, Reported: 0xA0, Time: -5}
	value := encodePoint(point)
	require.Equal(t, `{"format":2,"epoch":2,"commit_lsn":"1/AB","ordinal":4,"partial":true,"reported":"0/A0","time_us":-5}`, string(value))
	require.NoError(t, foldState(state, []byte("point"), value))
	require.Equal(t, &cdc.State{Source: source, Point: point, Tables: map[string]cdc.TableState{"public.claims": table}}, state)
}

func TestStateRecordsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		key, value string
		want       error // nil: its JSON
	}{
		{"point", `{"format":3}`, errNewerFormat},
		{"whatever", `{"format":3}`, errNewerFormat},
		{"whatever", `{"format":2}`, errUnknownKey},
		{"", `{"format":2}`, errUnknownKey},
		{"point", `{}`, errNoFormat},
		{"point", ``, nil},
		{"point", `{"format":2,"commit_lsn":"x"}`, nil},
		{"source", `{"format":2,"epoch":-1}`, nil},
		{"table:public.claims", `{"format":2,"schema":"public","table":"sites"}`, errOtherTable},
	} {
		err := foldState(newState(), []byte(test.key), []byte(test.value))
		p := requireRefused(t, err, "upgrade dirtbike")
		require.Equal(t, fmt.Sprintf("key %q", test.key), p.Where)
		if test.want != nil {
			require.ErrorIs(t, err, test.want, test.key)
		}
	}
}

// A state that a later release wrote stops Recover, and the error says what to do.
func TestStateFromTheFutureStopsRecover(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	o := options(seeds, "clinic")
	s := started(t, o, claims("clinic", 1))
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, forge(t, client, true, &kgo.Record{Topic: s.o.stateTopic(), Key: []byte("point"), Value: []byte(`{"format":9}`)}))
	_, err = s.Recover(t.Context())
	requireRefused(t, err, "upgrade dirtbike")
	require.ErrorIs(t, err, errNewerFormat)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.ErrorIs(t, err, errRecoverFirst)
}

// A state without its source is damaged, not a first start.
func TestStateWithoutSourceIsRefused(t *testing.T) {
	s := newSink(t, options(fakeCluster(t).ListenAddrs(), "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	require.NoError(t, err)
	_, err = s.Recover(t.Context())
	require.Equal(t, "topic _dirtbike.clinic.state", requireRefused(t, err, cdc.ResnapshotAllCommand).Where)
}

// TestWideStateBesideSmallMessages: the state of a table with many columns fits, however small the rows' messages have
// to be.
func TestWideStateBesideSmallMessages(t *testing.T) {
	o := options(fakeCluster(t).ListenAddrs(), "clinic")
	o.MaxMessageBytes, o.Compression = 64_000, "none"
	topic := claims("clinic", 1)
	s := started(t, o, topic)
	wide := sinktest.Table("claims", topic.Name)
	for i := range 1600 {
		wide.Columns = append(wide.Columns, cdc.Column{Number: int16(i + 1), Name: strings.Repeat("ü", 30) + strconv.Itoa(i), Type: "timestamp with time zone"})
	}
	_, err := s.Commit(t.Context(), sinktest.PointAt(2), wide)
	require.NoError(t, err)
	state, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(wide.Columns), len(state.Tables["public.claims"].Columns))
	_, err = s.Write(t.Context(), chunkOf(topic, "rows", 2000))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), sinktest.PointAt(3))
	require.NoError(t, err)
}
