package schemas

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var avroName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{
		"claims": "claims", "Claims_2": "Claims_2", "2nd": "_x0032_nd", "a.b": "a_x002E_b", "a-b c": "a_x002D_b_x0020_c",
		"größe": "gr_x00F6__x00DF_e", "\U0001F6B2": "_x1F6B2_", "_x0041_": "_x005F_x0041_", "_x0041": "_x0041",
		"_x0041é": "_x005F_x0041_x00E9_", "_x00g1_": "_x00g1_", "_x41_": "_x41_", "_x0041b": "_x0041b", "__": "__", "_x1234567_": "_x1234567_",
	} {
		require.Equal(t, want, EscapeName(name))
		require.Equal(t, name, UnescapeName(want))
	}
}

// TestEscapeRoundTrip: every name comes back, and what it became is a name for Avro and for Kafka. So no two names
// meet.
func TestEscapeRoundTrip(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"_", "x", "_x", "_x0041", "_x0041_", "_x005F_", "0", "9", "A", "F", "G", "a", "z", ".", "-", "é", "\U0010FFFF", "�", "_xD800_", "_x110000_", "1F6B2", " ", "\""}
	for range 200_000 {
		var b strings.Builder
		for range 1 + r.IntN(6) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		name := b.String()
		escaped := EscapeName(name)
		if back := UnescapeName(escaped); back != name || !avroName.MatchString(escaped) {
			t.Fatalf("seed %d: %q became %q and then %q", seed, name, escaped, back)
		}
		requireClickHouseColumn(t, name)
	}
}

// requireClickHouseColumn checks that in a view nothing takes the name of its own column, and that changed names cannot
// meet others; in storage, that a name which begins with an underscore or has a dot is an escape from which it can be
// read back.
func requireClickHouseColumn(t *testing.T, name string) {
	t.Helper()
	got := ClickHouseColumn(name)
	if got == ColInexact || got != name && ClickHouseColumn(got) == got {
		t.Fatalf("%q becomes %q, which another column may have", name, got)
	}
	stored := ClickHouseStorageColumn(name)
	rest, underscore := strings.CutPrefix(stored, escapedUnderscore)
	if underscore {
		rest = "_" + UnescapeName(rest)
	} else if with, dot := strings.CutPrefix(stored, escapedDot); dot {
		rest = UnescapeName(with)
	}
	if rest != name || !underscore && strings.HasPrefix(name, "_") {
		t.Fatalf("%q is stored as %q, which is %q", name, stored, rest)
	}
}

// FuzzEscapeName: a name comes back from its escape, an escape from its name, and both are names for Avro and
// ClickHouse. Every text can be unescaped.
func FuzzEscapeName(f *testing.F) {
	f.Fuzz(func(t *testing.T, name string) {
		for _, name := range []string{name, UnescapeName(name)} {
			if name == "" || !utf8.ValidString(name) {
				continue // no such name in Postgres
			}
			escaped := EscapeName(name)
			if back := UnescapeName(escaped); back != name || !avroName.MatchString(escaped) {
				t.Fatalf("%q becomes %q and comes back as %q", name, escaped, back)
			}
			requireClickHouseColumn(t, name)
		}
	})
}

func TestClickHouseColumn(t *testing.T) {
	for name, want := range map[string]struct{ view, storage string }{
		"id": {"id", "id"}, "größe": {"größe", "größe"}, "_version": {"_version", "_x005F_version"}, "_row_exists": {"_row_exists", "_x005F_row_exists"},
		"_inexact": {"_x005F_inexact", "_x005F_inexact"}, "_x005F_inexact": {"_x005F_x005F_inexact", "_x005F_x005F_inexact"}, "_key_id": {"_key_id", "_x005F_key_id"},
		"_x005F_version": {"_x005F_version", "_x005F_x005F_version"}, "a.b": {"a.b", "_x002E_a_x002E_b"}, "_a.b": {"_a.b", "_x005F_a_x002E_b"},
		"a_x002E_b": {"a_x002E_b", "a_x002E_b"}, "_": {"_", "_x005F_"}, "é": {"é", "é"},
	} {
		require.Equal(t, want.view, ClickHouseColumn(name))
		require.Equal(t, want.storage, ClickHouseStorageColumn(name))
	}
}

func TestNames(t *testing.T) {
	require.Equal(t, "clinic.public.claims", TopicName("clinic", "public", "claims"))
	require.Equal(t, "clinic.a_x002E_b.c", TopicName("clinic", "a.b", "c"))
	require.Equal(t, "_dirtbike.clinic.state", StateTopic("clinic"))
	require.Equal(t, "_dirtbike.clinic.progress", ProgressTopic("clinic"))
	require.Equal(t, "claims", ClickHouseView("public", "claims"))
	require.Equal(t, "billing_claims", ClickHouseView("billing", "claims"))
	require.Equal(t, "billing_claims__g12", ClickHouseStorage("billing", "claims", 12))
	require.Equal(t, "clinic_raw", StorageDatabase("clinic"))
}

func TestCollisions(t *testing.T) {
	rel := func(schema, name string) *Relation { return &Relation{Schema: schema, Name: name} }
	for name, c := range map[string]struct {
		tables []*Relation
		want   []string
	}{
		"none":       {[]*Relation{rel("public", "claims"), rel("billing", "claims"), rel("public", "Claims")}, nil},
		"view":       {[]*Relation{rel("public", "billing_claims"), rel("billing", "claims")}, []string{`public.billing_claims and billing.claims would share the ClickHouse view "billing_claims"`}},
		"topic":      {[]*Relation{rel("a", "b_c"), rel("a_b", "c")}, []string{"a.b_c and a_b.c would share a topic (Kafka takes '.' and '_' for the same)", `a.b_c and a_b.c would share the ClickHouse view "a_b_c"`}},
		"reserved":   {[]*Relation{rel("public", "complete_up_to")}, []string{`public.complete_up_to would take the name of dirtbike's own view "complete_up_to"`}},
		"reserved 2": {[]*Relation{rel("complete", "up_to")}, []string{`complete.up_to would take the name of dirtbike's own view "complete_up_to"`}},
		"dots":       {[]*Relation{rel("a.b", "c"), rel("a", "b.c")}, []string{"two tables are both called a.b.c, by a dot in a name"}},
		"long":       {[]*Relation{rel("public", strings.Repeat("é", 31)), rel("s", strings.Repeat("é", 31)+"x")}, nil},
		"too long":   {[]*Relation{rel(strings.Repeat("é", 10), strings.Repeat("é", 31))}, []string{strings.Repeat("é", 10) + "." + strings.Repeat("é", 31) + " would have a topic name of 295 characters, Kafka takes 249"}},
		"too long for a file": {[]*Relation{rel(strings.Repeat("日", 12), strings.Repeat("本", 21))},
			[]string{strings.Repeat("日", 12) + "." + strings.Repeat("本", 21) + " would have storage in ClickHouse whose name takes 311 characters in a file's, 203 fit"}},
		"all escaped":    {[]*Relation{rel("public", strings.Repeat("-", 30))}, nil},
		"as long as any": {[]*Relation{rel(strings.Repeat("s", 63), strings.Repeat("t", 63))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, clash := range Collisions("clinic", "clinic", c.tables) {
				got = append(got, clash.Text)
				for _, at := range clash.Tables {
					require.Contains(t, clash.Text, c.tables[at].FullName())
				}
				require.Equal(t, strings.Contains(clash.Text, " share "), len(clash.Tables) == 2 && !strings.Contains(clash.Text, "both called"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestTopicNamesAreOneToOne: a topic that only looks like a table's is none; what capture names is always read back.
func TestTopicNamesAreOneToOne(t *testing.T) {
	for _, alias := range []string{
		"p.public.oth_x0065_r", "p.public.other_x0020", "p.publi_x0063_.other", "p.public._x00006F_range", "p.public.ot-her", "p.public.1st", "p.public._x005F_id",
		"p.public.é", "p.public.", "p..other", "q.public.other", "p.public.other.x",
	} {
		schema, table, ok := SplitTopic(alias, "p")
		require.Equal(t, ok, TopicName("p", schema, table) == alias && alias == "p.public.other_x0020", alias)
	}
	for _, table := range []string{"other", "oth_x0065_r", "é", "_x0065_", "1st", "a.b", "_x005F_id"} {
		schema, back, ok := SplitTopic(TopicName("p", "public", table), "p")
		require.True(t, ok)
		require.Equal(t, []string{"public", table}, []string{schema, back})
	}
}
