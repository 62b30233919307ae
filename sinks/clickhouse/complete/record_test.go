package complete

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

const goodRecord = `{"format":2,"epoch":2,"commit_lsn":"0/10","ordinal":3,"lsn":"0/20","time_us":4,"full":true,` +
	`"offsets":{"p.public.a":{"0":5,"11":6}},"tables":{"public.a":{"phase":"streaming","generation":1}}}`

func TestParseRecord(t *testing.T) {
	r, err := ParseRecord("p", []byte(goodRecord))
	require.NoError(t, err)
	require.Equal(t, ledger.Point{Position: cdc.Position{Epoch: 2, CommitLSN: 0x10, Ordinal: 3}, LSN: 0x20, Time: 4}, r.point)
	require.ElementsMatch(t, []constraint{{partition{"p.public.a", 0}, 5}, {partition{"p.public.a", 11}, 6}}, r.constraints)
	for what, edit := range map[string][2]string{
		"format": {`"format":2`, `"format":3`}, "older format": {`"format":2`, `"format":1`}, "no format": {`"format":2,`, ``}, "commit_lsn": {`0/10`, `10`}, "lsn": {`0/20`, ``}, "partition": {`"11"`, `"x"`},
		"phase": {`streaming`, `dreaming`}, "topic": {`p.public.a`, `q.public.a`}, "type": {`5,`, `"5",`},
	} {
		_, err := ParseRecord("p", []byte(strings.Replace(goodRecord, edit[0], edit[1], 1)))
		require.Error(t, err, what)
	}
}

// FuzzParseRecord: no bytes make it panic, and what it accepts it accepts again after being written, with the same
// meaning.
func FuzzParseRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := ParseRecord("p", value)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		require.NoError(t, err)
		again, err := ParseRecord("p", text)
		require.NoError(t, err)
		require.Equal(t, r.point, again.point)
		require.ElementsMatch(t, r.constraints, again.constraints)
		require.LessOrEqual(t, r.version(5), r.version(6))
	})
}
