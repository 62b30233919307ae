package schemas

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// rules decides by the column's name.
type rules struct {
	withheld map[string]bool
	into     map[string]Type
	err      error
}

func (r rules) For(rel *Relation, column int) (Transform, bool, error) {
	name := rel.Columns[column].Name
	if t, ok := r.into[name]; ok {
		return into{t}, true, nil
	}
	return nil, !r.withheld[name], r.err
}

// into is a Transform of which only the output matters.
type into struct{ typ Type }

func (into) Policy() string                               { return "hash" }
func (t into) Output() Type                               { return t.typ }
func (into) Apply(dst, _ []byte, _ int64) ([]byte, error) { return dst, nil }
func (into) Print() string                                { return "hash" }

func patients() *Relation {
	return &Relation{
		Schema: "public", Name: "patients", Database: "clinic", Identity: cdc.IdentityDefault, Key: []int{2, 0},
		Columns: []Column{
			{Name: "id", Attnum: 1, Type: Type{Kind: KindInt4, Name: "integer"}, NotNull: true},
			{Name: "ssn", Attnum: 2, Type: Type{Kind: KindText, Name: "text"}, Toastable: true},
			{Name: "clinic id", Attnum: 4, Type: Type{Kind: KindInt8, Name: "bigint"}, NotNull: true},
			{Name: "score", Attnum: 5, Type: Type{Kind: KindFloat8, Name: "double precision"}},
		},
	}
}

func TestNewTable(t *testing.T) {
	hashed := Type{Kind: KindText, Name: "text"}
	got, err := NewTable(patients(), "clinic.public.patients", rules{withheld: map[string]bool{"ssn": true}, into: map[string]Type{"id": hashed}})
	require.NoError(t, err)
	require.Equal(t, &Table{
		Topic: "clinic.public.patients", Database: "clinic", Schema: "public", Name: "patients", Key: []int{1, 0},
		Columns: []TableColumn{
			{Name: "id", Field: "id", Attnum: 1, Type: hashed, Declared: "integer", Policy: "hash", NotNull: true, Key: true, Source: 0, Transform: into{hashed}},
			{Name: "clinic id", Field: "clinic_x0020_id", Attnum: 4, Type: Type{Kind: KindInt8, Name: "bigint"}, Declared: "bigint", Policy: "keep", NotNull: true, Key: true, Source: 2},
			{Name: "score", Field: "score", Attnum: 5, Type: Type{Kind: KindFloat8, Name: "double precision"}, Declared: "double precision", Policy: "keep", Source: 3},
		},
	}, got)
	require.Equal(t, "public.patients", got.FullName())
}

func TestNewTableRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		change func(r *Relation)
		rules  rules
	}{
		"has no key": {func(r *Relation) { r.Key = nil }, rules{}},
		"key column id is withheld by the privacy policy":                          {func(*Relation) {}, rules{withheld: map[string]bool{"id": true}}},
		"key column score: type double precision: equal values may have different": {func(r *Relation) { r.Key = []int{3} }, rules{}},
		"key column id: type integer: equal values may have different encodings":   {func(*Relation) {}, rules{into: map[string]Type{"id": {Kind: KindYear, Name: "integer"}}}},
		"table public.patients, column id: mask does not suit a key column":        {func(*Relation) {}, rules{err: errors.New("mask does not suit a key column")}},
	} {
		rel := patients()
		c.change(rel)
		_, err := NewTable(rel, "t", c.rules)
		require.Contains(t, cdc.Explain(err).What, want)
	}
}

func TestCompactable(t *testing.T) {
	rel := patients()
	require.False(t, rel.Compactable())
	rel.Identity = cdc.IdentityFull
	require.True(t, rel.Compactable())
	rel.Identity, rel.Columns[1].Toastable = cdc.IdentityDefault, false
	require.True(t, rel.Compactable())
}

// TestLeaveOutIsALine: to follow the advice is to add a line to source.tables, and to keep the others.
func TestLeaveOutIsALine(t *testing.T) {
	for says, change := range map[string]func(*Relation){
		"give the column a type that can be a key": func(r *Relation) {
			r.Columns[0].Type = Type{Kind: KindNumericText, Name: "numeric"}
		},
		"give the table a primary key": func(r *Relation) { r.Key = nil },
	} {
		rel := patients()
		change(rel)
		_, err := NewTable(rel, "t", rules{})
		require.Equal(t, []cdc.Remedy{{Command: `add "!public.patients" to source.tables`}, {Command: says}}, cdc.Explain(err).Try)
	}
}

// TestComments: those of carried columns, in their order, as long as there is room for them.
func TestComments(t *testing.T) {
	rel := patients()
	rel.Comment = "who comes"
	for i := range rel.Columns {
		rel.Columns[i].Comment = "about " + rel.Columns[i].Name
	}
	withheld := rules{withheld: map[string]bool{"ssn": true}}
	got, err := NewTable(rel, "t", withheld)
	require.NoError(t, err)
	require.Equal(t, "who comes", got.Comment)
	require.Equal(t, []string{"about id", "about clinic id", "about score"}, []string{got.Columns[0].Comment, got.Columns[1].Comment, got.Columns[2].Comment})
	rel.Columns[2].Comment = strings.Repeat("x", commentsBytes)
	got, err = NewTable(rel, "t", withheld)
	require.NoError(t, err)
	require.Equal(t, []string{"about id", "", ""}, []string{got.Columns[0].Comment, got.Columns[1].Comment, got.Columns[2].Comment})
}
