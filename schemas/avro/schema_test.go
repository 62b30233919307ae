package avro

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

var update = flag.Bool("update", false, "write the golden schemas again")

// TestGoldenSchemas: the registered schemas are a format; a change of one shows here.
func TestGoldenSchemas(t *testing.T) {
	rel := relation(cdc.IdentityDefault, 2, col("id", schemas.KindInt8), col("valid from", schemas.KindDate),
		col("paid", schemas.KindNumeric, decimal(12, 2)), col("codes", schemas.KindArray, of(schemas.Type{Kind: schemas.KindNumeric, Name: "numeric(5,1)", Precision: 5, Scale: 1})),
		col("born", schemas.KindDate), col("ssn", schemas.KindText))
	b := newBench(t, rel, policies{"born": year{}, "ssn": nil}, nil)
	for name, schema := range map[string]func() (string, error){
		"envelope": func() (string, error) { return EnvelopeSchema(b.table) },
		"key":      func() (string, error) { return KeySchema(b.table) },
	} {
		text, err := schema()
		require.NoError(t, err)
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, []byte(text), "", "  "))
		pretty.WriteByte('\n')
		file := "testdata/" + name + ".avsc"
		if *update {
			require.NoError(t, os.WriteFile(file, pretty.Bytes(), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err, "Try: go test ./schemas/avro -run TestGoldenSchemas -update")
		require.Equal(t, string(want), pretty.String())
	}
}

// TestEveryKindHasASchema: the schema of each kind is the type table's Avro column.
func TestEveryKindHasASchema(t *testing.T) {
	for _, row := range schemas.TypeTable {
		typ := randomType(rand.New(rand.NewPCG(1, 2)), row.Kind)
		text, err := json.Marshal(formOf(&typ).schema)
		require.NoError(t, err)
		for _, word := range strings.FieldsFunc(row.Avro, func(r rune) bool { return strings.ContainsRune(` ,()"[]PS`, r) }) {
			if word != "of" && word != "element" {
				require.Contains(t, string(text), word, row.Kind)
			}
		}
	}
}

// TestParseTable: a table comes back from its schema as it was, except what is not part of the contract.
func TestParseTable(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 500 {
		want := randomTable(r)
		text, err := EnvelopeSchema(want)
		require.NoError(t, err)
		got, err := ParseTable(text)
		require.NoError(t, err)
		require.Equal(t, want, got, "seed %d", seed)
		_, err = avro.ParseWithCache(text, "", &avro.SchemaCache{})
		require.NoError(t, err)
	}
}

var oddNames = []string{"id", "a b", "größe", "_x0041é", "Control", "2nd", `"quoted"`, "<&>", "_version", "\U0001F6B2", "dirtbike.name", "x\ny", "\\"}

func randomTable(r *rand.Rand) *schemas.Table {
	odd := func() string { return oddNames[r.IntN(len(oddNames))] }
	t := &schemas.Table{Database: odd(), Schema: odd(), Name: odd(), Compacted: r.IntN(2) == 0, Comment: odd()}
	t.Topic = schemas.TopicName("clinic", t.Schema, t.Name)
	for i, at := range r.Perm(len(oddNames))[:1+r.IntN(len(oddNames))] {
		c := schemas.TableColumn{
			Name: oddNames[at], Attnum: int16(i + 1), Type: randomType(r, schemas.TypeTable[r.IntN(len(schemas.TypeTable))].Kind), Declared: odd(),
			Policy: []string{"keep", "mask", "hash"}[r.IntN(3)], NotNull: r.IntN(2) == 0, Toastable: r.IntN(2) == 0, Comment: odd(),
		}
		c.Field = schemas.EscapeName(c.Name)
		c.Key = i == 0 || r.IntN(3) == 0
		if c.Key {
			t.Key = append(t.Key, i)
		}
		t.Columns = append(t.Columns, c)
	}
	r.Shuffle(len(t.Key), func(i, j int) { t.Key[i], t.Key[j] = t.Key[j], t.Key[i] })
	return t
}

func randomType(r *rand.Rand, k schemas.Kind) schemas.Type {
	t := schemas.Type{Kind: k, Name: oddNames[r.IntN(len(oddNames))]}
	if k == schemas.KindNumeric {
		t.Precision = 1 + r.IntN(maxPrecision)
		t.Scale = r.IntN(t.Precision + 1)
	}
	if k == schemas.KindArray {
		elem := schemas.KindArray
		for elem == schemas.KindArray {
			elem = schemas.TypeTable[r.IntN(len(schemas.TypeTable))].Kind
		}
		e := randomType(r, elem)
		t.Elem = &e
	}
	return t
}

// TestEvolution: adding and dropping a column keeps both directions of reading possible.
func TestEvolution(t *testing.T) {
	schema := func(columns ...schemas.Column) avro.Schema {
		return newBench(t, relation(cdc.IdentityFull, 1, columns...), nil, nil).value
	}
	small := schema(col("id", schemas.KindInt4))
	large := schema(col("id", schemas.KindInt4), col("d", schemas.KindDate), col("n", schemas.KindNumeric, decimal(5, 2)), col("a", schemas.KindArray, of(schemas.Type{Kind: schemas.KindInt4})))
	c := avro.NewSchemaCompatibility()
	require.NoError(t, c.Compatible(small, large))
	require.NoError(t, c.Compatible(large, small))
}

func TestNoSchema(t *testing.T) {
	good := randomTable(rand.New(rand.NewPCG(1, 1)))
	for name, c := range map[string]struct {
		typ  schemas.Type
		want string
	}{
		"no kind":     {schemas.Type{}, "the type has no kind"},
		"precision":   {schemas.Type{Kind: schemas.KindNumeric, Precision: 77}, "numeric(77,0) has no exact decimal"},
		"scale":       {schemas.Type{Kind: schemas.KindNumeric, Precision: 5, Scale: 6}, "numeric(5,6) has no exact decimal"},
		"no element":  {schemas.Type{Kind: schemas.KindArray}, "array without a scalar element type"},
		"nested":      {schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindArray}}, "array without a scalar element type"},
		"bad element": {schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindNumeric}}, "numeric(0,0) has no exact decimal"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := *good
			bad.Columns = append([]schemas.TableColumn{}, good.Columns...)
			bad.Columns[bad.Key[0]].Type = c.typ
			_, err := EnvelopeSchema(&bad)
			require.Contains(t, cdc.Explain(err).What, c.want)
			_, err = KeySchema(&bad)
			require.Error(t, err)
			_, err = NewReader(&bad)
			require.Error(t, err)
		})
	}
	_, err := KeySchema(&schemas.Table{Topic: "a.b.c"})
	require.Error(t, err, "it has no key")
}

func TestParseTableRefuses(t *testing.T) {
	b := newBench(t, claims(cdc.IdentityFull), nil, nil)
	text, err := EnvelopeSchema(b.table)
	require.NoError(t, err)
	for name, c := range map[string]struct{ schema, want string }{
		"no schema":   {"{", "it is no Avro schema"},
		"no record":   {`"string"`, "it is no record"},
		"no envelope": {`{"type":"record","name":"a.Key","fields":[]}`, "record a.Key is no envelope"},
		"no before":   {`{"type":"record","name":"a.Envelope","fields":[]}`, "it has no field before"},
		"newer":       {strings.Replace(text, `"dirtbike.format":1`, `"dirtbike.format":2`, 1), "it has format 2, this release reads 1"},
		"not ours":    {strings.Replace(text, `"dirtbike.format":1`, `"dirtbike.format":"x"`, 1), "its properties"},
		"no key":      {strings.Replace(text, `"dirtbike.key":["id"]`, `"dirtbike.key":[]`, 1), "it names no key"},
		"unknown key": {strings.Replace(text, `"dirtbike.key":["id"]`, `"dirtbike.key":["idd"]`, 1), "its key field idd does not exist"},
		"new kind":    {strings.Replace(text, `"dirtbike.kind":"date"`, `"dirtbike.kind":"epoch"`, 1), `field service_date: unknown kind "epoch"`},
		"bad decimal": {strings.Replace(text, `"dirtbike.precision":12`, `"dirtbike.precision":0`, 1), "field billed: numeric(0,2) has no exact decimal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseTable(c.schema)
			require.Contains(t, cdc.Explain(err).What, c.want)
		})
	}
}

// TestParseErrorIsShort: what is wrong with a schema of megabytes is said in a line.
func TestParseErrorIsShort(t *testing.T) {
	for _, text := range []string{strings.Repeat("{", 1<<20), `"` + strings.Repeat("x", 1<<20) + `"`, `{"type":"record","name":"` + strings.Repeat("y", 1<<20) + `"}`} {
		_, err := ParseTable(text)
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1000)
	}
}
