package cdc

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParseControl: a control record comes back as it was, under a key that compaction keeps as long as it matters;
// what is not one is refused.
func TestParseControl(t *testing.T) {
	c := ControlRecord{
		Format: StateFormat, Kind: ControlTruncate, Topic: "clinic.public.t", TopicID: "id", Schema: "public", Table: "t", Generation: 3, Number: 4,
		Leaf: 5, Epoch: 1, CommitLSN: 0x1_0000_0002, Ordinal: 6, TxID: 7, TimeUS: 8, ValueSchema: 9, Offsets: map[int32]int64{0: 10, 11: 12},
	}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	require.JSONEq(t, `{"format":2,"kind":"truncate","topic":"clinic.public.t","topic_id":"id","schema":"public","table":"t","generation":3,"number":4,
		"leaf":5,"epoch":1,"commit_lsn":"1/2","ordinal":6,"tx_id":7,"time_us":8,"value_schema":9,"offsets":{"0":10,"11":12}}`, string(text))
	again, err := ParseControl(text)
	require.NoError(t, err)
	require.Equal(t, c, again)
	require.Equal(t, "truncate:3:5:clinic.public.t", string(c.Key()))
	require.Equal(t, Position{Epoch: 1, CommitLSN: 0x1_0000_0002, Ordinal: 6}, c.Position())
	require.Less(t, ControlSequence(3, 1<<32-1), ControlSequence(4, 1))
	for _, bad := range []string{
		`{`, `{}`, `{"format":1,"kind":"open"}`, `{"format":3,"kind":"open"}`, `{"format":2,"kind":"close"}`, `{"format":2,"kind":"open","commit_lsn":"x"}`,
		`{"format":2,"kind":"open","offsets":{"-1":0}}`, `{"format":2,"kind":"open","offsets":{"0":-1}}`, `{"format":2,"kind":"open","offsets":{"x":1}}`,
	} {
		_, err := ParseControl([]byte(bad))
		require.ErrorIs(t, err, ErrRefused, bad)
	}
}
