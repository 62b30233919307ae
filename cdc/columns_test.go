package cdc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShapeChange(t *testing.T) {
	before := []Column{{Number: 1, Name: "id", Type: "bigint"}}
	after := append([]Column{}, before...)
	for n := range int16(7) {
		after = append(after, Column{Number: n + 2, Name: "c" + string('a'+rune(n)), Type: "text"})
	}
	require.Empty(t, ShapeChange("p;1=a", "p;1=a,2=b", before, after), "an added label changes nothing")
	require.Equal(t, "the table's columns have changed (added ca text, added cb text, added cc text, added cd text, added ce text and 2 more)", ShapeChange("p", "q", before, after))
	require.Equal(t, "the table's columns have changed", ShapeChange("p", "q", nil, after), "a state of an older build")
	require.Contains(t, ShapeChange("p;1=a", "p;2=b", before, before), "a label of an enum")

	now := []Column{{Number: 2, Name: "postcode", Type: "char(9)"}, {Number: 3, Name: "id", Type: "bigint"}}
	was := []Column{{Number: 1, Name: "id", Type: "bigint"}, {Number: 2, Name: "zip", Type: "char(5)"}}
	require.Equal(t, []string{"dropped id", "renamed zip to postcode", "postcode is now char(9), was char(5)", "added id bigint"}, columnChanges(was, now, nil))

	require.Equal(t, "the publication's column list has changed (it leaves out zip)", ShapeChange("p", "q", was, was[:1], was[1]))
	require.Equal(t, "the publication's column list has changed (it now sends zip)", ShapeChange("p", "q", was[:1], was, was[1]))
	require.Equal(t, "the table's columns have changed (dropped zip)", ShapeChange("p", "q", was, was[:1]))
	require.Equal(t, []string{"dropped id", "it leaves out zip"}, columnChanges(was, nil, was[1:]), "both")
}

func TestSameShape(t *testing.T) {
	for _, c := range []struct {
		stored, now string
		same        bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a;1=x", "a;1=x", true},
		{"a;1=x", "a;1=x,2=y", true},      // a label was added
		{"a;1=x,2=y", "a;1=z,2=y", false}, // renamed
		{"a;1=x", "a", false},
		{"a", "a;1=x", true},
	} {
		require.Equal(t, c.same, SameShape(c.stored, c.now), "%s %s", c.stored, c.now)
	}
}

// TestOfTables: one table is not "1 tables".
func TestOfTables(t *testing.T) {
	require.Equal(t, []string{"1 of 1 table", "0 of 1 table", "0 of 0 tables", "1 of 2 tables"},
		[]string{OfTables(1, 1), OfTables(0, 1), OfTables(0, 0), OfTables(1, 2)})
}
