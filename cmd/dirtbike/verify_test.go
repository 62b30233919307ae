package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const verifySchema = `
CREATE TABLE things (id int PRIMARY KEY, v text, n numeric(10,2), at timestamptz);
INSERT INTO things SELECT g, 'v' || g, g, '2024-01-01' FROM generate_series(1, 1000) g;
CREATE TABLE words (w text PRIMARY KEY, v text);
INSERT INTO words SELECT 'w' || g, NULL FROM generate_series(1, 1000) g;`

// verifyReport is the documented JSON of verify.
type verifyReport struct {
	Equal  bool
	Epoch  uint32
	LSN    string
	Tables []struct {
		Table         string
		RowsSource    int64 `json:"rows_source"`
		RowsSink      int64 `json:"rows_sink"`
		Equal         bool
		DifferingKeys int64 `json:"differing_keys"`
	}
}

func (r *rig) verified() (int, verifyReport) {
	r.Helper()
	code, out, errs := r.verb("verify", "--json")
	var report verifyReport
	require.NoError(r, json.Unmarshal([]byte(out), &report), "%s%s", out, errs)
	return code, report
}

// TestVerifyFindsWhatIsPlanted damages the storage of the views of a running pipeline, in one way after the other.
func TestVerifyFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, verifySchema)
	l := r.start("run")
	r.wait()
	code, report := r.verified()
	require.Zero(t, code)
	require.True(t, report.Equal)
	require.Len(t, report.Tables, 2)
	require.EqualValues(t, 1000, report.Tables[0].RowsSource)
	require.EqualValues(t, 1000, report.Tables[0].RowsSink)
	// a row of the storage is copied with some columns replaced and a version one higher, as a wrong load would have
	// written it
	plant := func(table, replace, where string) string {
		return fmt.Sprintf("INSERT INTO `%[1]s_raw`.`%[2]s__g1` SELECT * REPLACE (_version + 1 AS _version, %[3]s) FROM (SELECT * FROM `%[1]s_raw`.`%[2]s__g1` FINAL WHERE %[4]s)", r.name, table, replace, where)
	}
	found := int64(0)
	for _, c := range []struct{ what, sql string }{
		{"a changed cell", plant("things", "toDecimal64('17.01', 2) AS n", "id = 17")},
		{"a missing row", plant("things", "1 AS _deleted", "id = 18")},
		{"an extra row", plant("things", "100000 AS id", "id = 19")},
		{"NULL against ''", plant("things", "'' AS v", "id = 20")},
		{"'' against NULL", plant("words", "'' AS v", "w = 'w21'")},
		{"a missing text key", plant("words", "1 AS _deleted", "w = 'w22'")},
		{"an extra text key", plant("words", "'extra' AS w", "w = 'w23'")},
		{"a microsecond", plant("things", "at + INTERVAL 1 MICROSECOND AS at", "id = 24")},
	} {
		if c.what == "NULL against ''" {
			r.exec(`UPDATE things SET v = NULL WHERE id = 20`)
			r.wait()
		}
		require.NoError(t, r.ch().Exec(t.Context(), c.sql), c.what)
		found++
		code, report = r.verified()
		require.Equal(t, exitNo, code, c.what)
		require.False(t, report.Equal, c.what)
		var differing int64
		for _, table := range report.Tables {
			differing += table.DifferingKeys
		}
		require.Equal(t, found, differing, c.what)
	}
	l.stop()
}

// TestVerifyNeedsTheHashKeyOfCapture, and no verb that only reads makes one.
func TestVerifyNeedsTheHashKeyOfCapture(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{privacy: "privacy: {mode: open, columns: {public.things: {v: hash}}}"}, smallSchema)
	key := filepath.Join(r.dir, "dirtbike.hash.key")
	code, _, errs := r.verb("verify")
	require.Equal(t, exitWrong, code)
	require.Equal(t, "Error: refused: hash key "+key+" is missing.\nTry: copy it from where capture runs, or set privacy.hash.keys\n", errs)
	r.verb("status")
	r.verb("wait", "--timeout", "1s")
	require.NoFileExists(t, key)
	r.start("run")
	r.wait()
	r.equalByVerb()
	another := make([]byte, 32)
	_, err := rand.Read(another)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte(hex.EncodeToString(another)), 0o600))
	code, out, errs := r.verb("verify")
	require.Equal(t, exitWrong, code)
	require.Empty(t, out)
	require.Contains(t, errs, "hash key k1 is not the one the topics were written with")
	require.Contains(t, errs, "\nTry: copy "+key+" from where capture runs\n")
}

func (r *rig) equalByVerb() {
	r.Helper()
	code, out, errs := r.verb("verify")
	require.Zero(r, code, "%s%s", out, errs)
}
