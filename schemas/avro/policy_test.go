package avro

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// upper is a policy that makes text upper case.
type upper struct{ fail bool }

func (upper) Policy() string       { return "hash" }
func (upper) Output() schemas.Type { return schemas.Type{Kind: schemas.KindText, Name: "text"} }
func (upper) Print() string        { return "upper" }
func (u upper) Apply(dst, text []byte, _ int64) ([]byte, error) {
	if u.fail {
		return dst, errors.New("cannot be made upper case")
	}
	return append(append(dst, "K:"...), bytes.ToUpper(text)...), nil
}

// year is the policy of that name, as far as it matters here.
type year struct{}

func (year) Policy() string       { return "year" }
func (year) Output() schemas.Type { return schemas.Type{Kind: schemas.KindYear, Name: "integer"} }
func (year) Print() string        { return "year" }
func (year) Apply(dst, text []byte, at int64) ([]byte, error) {
	if bytes.HasSuffix(text, []byte("infinity")) {
		return append(dst, text...), nil
	}
	y, err := strconv.ParseInt(string(text[:4]), 10, 64)
	return strconv.AppendInt(dst, max(y, schemas.EarliestYear(at)), 10), err
}

func people(identity cdc.ReplicaIdentity) *schemas.Relation {
	return relation(identity, 1, col("mrn", schemas.KindInt4), col("born", schemas.KindDate), col("note", schemas.KindJSONB), col("ssn", schemas.KindText))
}

func withPolicies(t *testing.T, identity cdc.ReplicaIdentity) *bench {
	return newBench(t, people(identity), policies{"mrn": upper{}, "born": year{}, "note": upper{}, "ssn": nil}, nil)
}

// TestPolicies: text and binary give the same, key and value agree, and a withheld column is nowhere.
func TestPolicies(t *testing.T) {
	b := withPolicies(t, cdc.IdentityFull)
	note := append([]byte{1}, `{"a": "x"}`...)
	require.NoError(t, b.enc.Insert(&b.chunk, meta(), texts("77", "2000-01-02", `{"a": "x"}`, secret)))
	require.NoError(t, b.enc.Insert(&b.chunk, meta(), cdc.Tuple{raw(int4(77)), raw(int4(1)), raw(note), text(secret)}))
	require.Equal(t, b.chunk.Value(0), b.chunk.Value(1))
	require.Equal(t, b.chunk.Key(0), b.chunk.Key(1))
	require.Equal(t, map[string]any{"mrn": "K:77"}, b.keyAt(0))
	after := b.valueAt(0)["after"]
	require.Equal(t, "K:77", field(after, "mrn"))
	require.Equal(t, 2000, field(after, "born"))
	require.Equal(t, `K:{"A": "X"}`, field(after, "note"))
	require.NotContains(t, string(b.chunk.Bytes), secret)
	require.NotContains(t, string(b.chunk.Bytes), "ssn")
}

// TestPolicyByTheRecordsTime: the commit's time caps years, in the row and in before; an image that is made before the
// commit has the time that it is given, and sealing it later changes nothing.
func TestPolicyByTheRecordsTime(t *testing.T) {
	b := withPolicies(t, cdc.IdentityFull)
	old, row := texts("77", "1930-01-01", "{}", secret), texts("77", "1931-01-01", "{}", secret)
	m := meta()
	m.CommitTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	require.NoError(t, b.enc.Update(t.Context(), &b.chunk, m, cdc.OldFull, old, row))
	require.NoError(t, b.enc.Delete(&b.chunk, m, cdc.OldFull, old))
	require.NoError(t, b.enc.Read(&b.chunk, m, row))
	for i, which := range map[int]string{0: "before", 1: "before", 3: "after"} { // 2 is the delete's tombstone
		require.Equal(t, 1936, field(b.valueAt(i)[which], "born"))
	}
	require.Equal(t, 1936, field(b.valueAt(0)["after"], "born"))
	image, err := b.enc.Image(t.Context(), nil, cdc.RowChange{Op: cdc.OpCreate, New: row, At: time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro()})
	require.NoError(t, err)
	require.NoError(t, b.enc.Seal(&b.chunk, m, image))
	require.Equal(t, 1935, field(b.valueAt(4)["after"], "born"))
}

func TestPolicyOfNullUnchangedAndInfinity(t *testing.T) {
	b := withPolicies(t, cdc.IdentityDefault)
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldNone, nil, cdc.Tuple{text("77"), null(), unchanged(), unchanged()}))
	require.NoError(t, b.enc.Insert(&b.chunk, meta(), cdc.Tuple{text("77"), text("infinity"), null(), null()}))
	require.Equal(t, []int{2}, b.envelopeAt(0).Unchanged, "a withheld column is not listed")
	require.Nil(t, field(b.valueAt(0)["after"], "born"))
	require.Equal(t, map[string]any{"born": "infinity"}, b.valueAt(1)["inexact"])
	require.Nil(t, field(b.valueAt(1)["after"], "born"))
}

func TestPolicyFails(t *testing.T) {
	b := newBench(t, people(cdc.IdentityFull), policies{"mrn": upper{}, "note": upper{fail: true}}, nil)
	err := b.enc.Insert(&b.chunk, meta(), texts("77", "2000-01-02", secret, ""))
	require.Contains(t, cdc.Explain(err).What, "column note")
	require.NotContains(t, err.Error(), secret)
}

// TestNoAllocationWithPolicies covers the way through Postgres' text.
func TestNoAllocationWithPolicies(t *testing.T) {
	b := newBench(t, people(cdc.IdentityFull), policies{"mrn": plain{}, "note": plain{}}, nil)
	row := cdc.Tuple{raw(int4(77)), raw(int4(1)), raw(append([]byte{1}, "{}"...)), text("x")}
	m := meta()
	insert := func() {
		b.chunk.Reset()
		if err := b.enc.Insert(&b.chunk, m, row); err != nil {
			t.Error(err)
		}
	}
	insert()
	require.Zero(t, testing.AllocsPerRun(100, insert))
}

// plain is upper without its allocation.
type plain struct{ upper }

func (plain) Apply(dst, text []byte, _ int64) ([]byte, error) { return append(dst, text...), nil }

// TestInexactKeysAndBefore: a date key is Postgres' integer in the key and null in the row; an update says whose text
// is whose.
func TestInexactKeysAndBefore(t *testing.T) {
	rel := relation(cdc.IdentityFull, 1, col("day", schemas.KindDate), col("until", schemas.KindTimestamp))
	b := newBench(t, rel, nil, nil)
	old, row := texts("infinity", "-infinity"), texts("infinity", "2024-01-01 00:00:00")
	require.NoError(t, b.enc.Update(context.Background(), &b.chunk, meta(), cdc.OldFull, old, row))
	require.NoError(t, b.enc.Delete(&b.chunk, meta(), cdc.OldFull, old))
	require.Equal(t, map[string]any{"day": 2147483647}, b.keyAt(0))
	require.Equal(t, map[string]any{"day": "infinity", "before.day": "infinity", "before.until": "-infinity"}, b.valueAt(0)["inexact"])
	e := b.envelopeAt(0)
	require.Equal(t, []InexactValue{{0, []byte("infinity")}}, e.Inexact)
	require.Equal(t, []InexactValue{{0, []byte("infinity")}, {1, []byte("-infinity")}}, e.BeforeInexact)
	require.Equal(t, map[string]any{"day": "infinity", "until": "-infinity"}, b.valueAt(1)["inexact"])
}
