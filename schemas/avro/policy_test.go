package avro

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// upper is a policy that makes text upper case.
type upper struct{ fail bool }

func (upper) Policy() string       { return "hash" }
func (upper) Output() schemas.Type { return schemas.Type{Kind: schemas.KindText, Name: "text"} }
func (upper) Print() string        { return "upper" }
func (u upper) Apply(dst, text []byte) ([]byte, error) {
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
func (year) Apply(dst, text []byte) ([]byte, error) {
	if bytes.HasSuffix(text, []byte("infinity")) {
		return append(dst, text...), nil
	}
	return append(dst, text[:4]...), nil
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

func (plain) Apply(dst, text []byte) ([]byte, error) { return append(dst, text...), nil }

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
