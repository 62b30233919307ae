package pgtext

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

var update = flag.Bool("update", false, "record the golden again from a real Postgres")

// golden holds the samples' values as a Postgres gives them, so that other packages' tests need no server: per line the
// kind, the element's kind, the SQL type, the text and the binary form.
const golden = "testdata/values.golden"

// TestServerValues compares with a living server, and the server with the golden.
func TestServerValues(t *testing.T) {
	conn := connect(t)
	_, err := conn.Exec(context.Background(), enumDDL).ReadAll()
	require.NoError(t, err)
	recorded := record(t, conn)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, recorded, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "Try: go test ./schemas/pgtext -update")
	require.Equal(t, string(want), string(recorded))
}

// record checks every sample against the server and writes down what it gave.
func record(t *testing.T, conn *pgconn.PgConn) []byte {
	var b bytes.Buffer
	for _, s := range samples {
		for i, v := range ask(t, conn, s.sql, s.literals) {
			got, err := AppendText(nil, s.typ(), v.binary)
			require.NoError(t, err, "%s %q", s.sql, s.literals[i])
			require.Equal(t, v.text, string(got), "%s %q: %x", s.sql, s.literals[i], v.binary)
			elem := "-"
			if s.elem != schemas.KindInvalid {
				elem = s.elem.String()
			}
			fmt.Fprintf(&b, "%s\t%s\t%s\t%q\t%x\n", s.kind, elem, s.sql, v.text, v.binary)
		}
	}
	return b.Bytes()
}

// eachGolden calls f with every recorded value.
func eachGolden(t testing.TB, f func(typ schemas.Type, text string, binary []byte)) {
	t.Helper()
	file, err := os.Open(golden)
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := bytes.Split(lines.Bytes(), []byte("\t"))
		require.Len(t, fields, 5)
		var s sample
		s.kind, err = schemas.ParseKind(string(fields[0]))
		require.NoError(t, err)
		if string(fields[1]) != "-" {
			s.elem, err = schemas.ParseKind(string(fields[1]))
			require.NoError(t, err)
		}
		s.sql = string(fields[2])
		var text string
		var binary []byte
		_, err = fmt.Sscanf(string(fields[3]), "%q", &text)
		require.NoError(t, err)
		if len(fields[4]) > 0 {
			_, err = fmt.Sscanf(string(fields[4]), "%x", &binary)
			require.NoError(t, err)
		}
		f(s.typ(), text, binary)
	}
	require.NoError(t, lines.Err())
}

func TestGoldenValues(t *testing.T) {
	seen := map[schemas.Kind]bool{}
	eachGolden(t, func(typ schemas.Type, text string, binary []byte) {
		seen[typ.Kind] = true
		got, err := AppendText([]byte("before "), typ, binary)
		require.NoError(t, err, typ.Name)
		require.Equal(t, "before "+text, string(got), typ.Name)
		requireBack(t, typ, text, binary)
	})
	for _, row := range schemas.TypeTable {
		if row.Binary && row.Kind != schemas.KindYear {
			require.True(t, seen[row.Kind], "the golden has no %s", row.Kind)
		}
	}
}

// requireBack reads dates and timestamps back.
func requireBack(t *testing.T, typ schemas.Type, text string, binary []byte) {
	t.Helper()
	if !schemas.KeyInteger(typ) {
		return
	}
	var again []byte
	if typ.Kind == schemas.KindDate {
		days, err := ParseDate([]byte(text))
		require.NoError(t, err, text)
		again = AppendDate(nil, days)
	} else {
		micros, err := ParseTimestamp([]byte(text))
		require.NoError(t, err, text)
		again = AppendTimestamp(nil, micros, typ.Kind == schemas.KindTimestampTZ)
	}
	require.Equal(t, text, string(again))
}

func TestNoAllocation(t *testing.T) {
	dst := make([]byte, 0, 4096)
	eachGolden(t, func(typ schemas.Type, text string, binary []byte) {
		require.Zero(t, testing.AllocsPerRun(10, func() {
			if _, err := AppendText(dst, typ, binary); err != nil {
				t.Error(err)
			}
		}), "%s %s", typ.Name, text)
	})
}

func TestRefusedValues(t *testing.T) {
	for name, c := range map[string]struct {
		typ schemas.Type
		b   []byte
	}{
		"short int":       {schemas.Type{Kind: schemas.KindInt4}, []byte{1}},
		"long uuid":       {schemas.Type{Kind: schemas.KindUUID}, make([]byte, 17)},
		"empty jsonb":     {schemas.Type{Kind: schemas.KindJSONB}, nil},
		"jsonb version 2": {schemas.Type{Kind: schemas.KindJSONB}, []byte("\x02{}")},
		"numeric digits":  {schemas.Type{Kind: schemas.KindNumeric}, []byte{0, 1, 0, 0, 0, 0, 0, 0}},
		"numeric sign":    {schemas.Type{Kind: schemas.KindNumeric}, []byte{0, 0, 0, 0, 1, 0, 0, 0}},
		"numeric digit":   {schemas.Type{Kind: schemas.KindNumeric}, []byte{0, 1, 0, 0, 0, 0, 0, 0, 255, 255}},
		"array size":      {schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindInt4}}, []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 127, 255, 255, 255, 0, 0, 0, 1}},
		"array rest":      {schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindInt4}}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 1}},
		"other":           {schemas.Type{Kind: schemas.KindOther}, []byte{1}},
		"year":            {schemas.Type{Kind: schemas.KindYear}, []byte{1}},
		"char":            {schemas.Type{Kind: schemas.KindText, OID: charOID}, []byte("ab")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AppendText([]byte("kept"), c.typ, c.b)
			require.Error(t, err)
			require.Equal(t, "kept", string(got))
		})
	}
}

func TestRefusedText(t *testing.T) {
	for _, s := range []string{"", "2024", "2024-01", "2024-01-01x", "2024-13-01", "2024-01-32", "0000-01-01", "99999999-01-01", "2024-01-01 BC BC", "x", " BC", "202-01-01"} {
		_, err := ParseDate([]byte(s))
		require.ErrorIs(t, err, ErrMalformed, s)
	}
	for _, s := range []string{"", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00", "2024-01-01 00:00:00.", "2024-01-01 25:00:00", "2024-01-01 00:00:00+", "2024-01-01 00:00:00+00:", "2024-01-01 00:00:00+00:00:00:00", "2024-01-01 00:00:00.1234567", "999999-01-01 00:00:00"} {
		_, err := ParseTimestamp([]byte(s))
		require.ErrorIs(t, err, ErrMalformed, s)
	}
	v, err := ParseTimestamp([]byte("2000-01-01 05:30:00.5+05:30"))
	require.NoError(t, err)
	require.EqualValues(t, 500_000, v)
}
