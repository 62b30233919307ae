package oracle

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Lines as contrib/test_decoding writes them, and what they mean.
var decodedCases = []struct {
	name, line string
	want       decodedLine
}{
	{"begin", "BEGIN 735", decodedLine{}},
	{"commit", "COMMIT 735", decodedLine{commit: true}},
	{"message", "message: transactional: 1 prefix: p, sz: 30 content:table public.a: DELETE: id[int", decodedLine{}},
	{"insert", "table public.t: INSERT: id[integer]:1 v[text]:'x'", decodedLine{
		op: OpCreate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{{name: "id", text: "1"}, {name: "v", text: "x"}},
	}},
	{"null and the text null", "table public.t: INSERT: a[text]:null b[text]:'null' c[text]:''", decodedLine{
		op: OpCreate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{{name: "a", null: true}, {name: "b", text: "null"}, {name: "c"}},
	}},
	{"values that look like columns", `table public.t: INSERT: a[text]:'it''s b[text]:''x'' new-tuple: \' b[character varying]:' : '`, decodedLine{
		op: OpCreate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{{name: "a", text: `it's b[text]:'x' new-tuple: \`}, {name: "b", text: " : "}},
	}},
	{"newline, only quotes", "table public.t: INSERT: a[text]:'1\n2' b[text]:'''' c[text]:''''''", decodedLine{
		op: OpCreate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{{name: "a", text: "1\n2"}, {name: "b", text: "'"}, {name: "c", text: "''"}},
	}},
	{"types", `table public.t: INSERT: a[integer[]]:'{1,2}' b[timestamp with time zone]:'2024-01-01 00:00:00+00' c[public."odd]""type[]"]:'v' d[bit varying]:B'101' e[boolean]:true f[numeric]:NaN g[double precision]:-1e+20`, decodedLine{
		op: OpCreate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{
			{name: "a", text: "{1,2}"},
			{name: "b", text: "2024-01-01 00:00:00+00"},
			{name: "c", text: "v"},
			{name: "d", text: "101"},
			{name: "e", text: "true"},
			{name: "f", text: "NaN"},
			{name: "g", text: "-1e+20"},
		},
	}},
	{"quoted names", `table "My ""schema".": INSERT: ": INSERT: "new-tuple:"[text]:'x' "a[b]:c"[integer]:2`, decodedLine{
		op: OpCreate, tables: []relName{{`My "schema`, ": INSERT: "}},
		new: []decodedColumn{{name: "new-tuple:", text: "x"}, {name: "a[b]:c", text: "2"}},
	}},
	{"update", "table public.t: UPDATE: id[integer]:1 v[text]:unchanged-toast-datum w[text]:'unchanged-toast-datum'", decodedLine{
		op: OpUpdate, tables: []relName{{"public", "t"}},
		new: []decodedColumn{{name: "id", text: "1"}, {name: "v", unchanged: true}, {name: "w", text: "unchanged-toast-datum"}},
	}},
	{"update of the key", "table public.t: UPDATE: old-key: id[integer]:1 k[text]:' new-tuple: ' new-tuple: id[integer]:2 k[text]:'old-key:'", decodedLine{
		op: OpUpdate, tables: []relName{{"public", "t"}},
		old: []decodedColumn{{name: "id", text: "1"}, {name: "k", text: " new-tuple: "}},
		new: []decodedColumn{{name: "id", text: "2"}, {name: "k", text: "old-key:"}},
	}},
	{"delete", "table public.t: DELETE: id[integer]:1", decodedLine{
		op: OpDelete, tables: []relName{{"public", "t"}}, old: []decodedColumn{{name: "id", text: "1"}},
	}},
	{"delete without identity", "table public.t: DELETE: (no-tuple-data)", decodedLine{op: OpDelete, tables: []relName{{"public", "t"}}}},
	{"truncate", "table public.a, public.b: TRUNCATE: (no-flags)", decodedLine{op: OpTruncate, tables: []relName{{"public", "a"}, {"public", "b"}}}},
	{"truncate of odd names", `table public."a, public.c", s."b: TRUNCATE": TRUNCATE: restart_seqs cascade`, decodedLine{
		op: OpTruncate, tables: []relName{{"public", "a, public.c"}, {"s", "b: TRUNCATE"}},
	}},
}

func TestParseDecoded(t *testing.T) {
	for _, c := range decodedCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseDecoded(c.line)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// What the grammar does not know is an error, never a shorter list of columns.
func TestParseDecodedRefuses(t *testing.T) {
	for _, line := range []string{
		"", "hello", "table ", "table public", "table public.t", "table public.t: MERGE: id[integer]:1", "table public.t: INSERT: id", "table public.t: INSERT: id[integer",
		"table public.t: INSERT: id[integer]", "table public.t: INSERT: id[integer]:", "table public.t: INSERT: v[text]:'x", "table public.t: INSERT: v[text]:'x'y",
		"table public.t: UPDATE: old-key: id[integer]:1", "table public.t: INSERT: id[integer]:1 new-tuple: id[integer]:2", "table public.t: TRUNCATE: backwards",
		"table public.a, public.b: DELETE: id[integer]:1", `table "public.t: INSERT: id[integer]:1`, "table public.t: BEGIN: 1", "table public.t: INSERT: id[integer]:1  v[text]:'x'",
		"table public.t: INSERT: v[]:nullx",
	} {
		_, err := parseDecoded(line)
		require.Error(t, err, line)
	}
}

// No prefix of a line panics or gives more than the whole line.
func TestParseDecodedPrefixes(t *testing.T) {
	for _, c := range decodedCases {
		for i := range len(c.line) {
			got, err := parseDecoded(c.line[:i])
			if err == nil && strings.HasPrefix(c.line, "table") {
				require.LessOrEqual(t, len(got.new)+len(got.old)+len(got.tables), len(c.want.new)+len(c.want.old)+len(c.want.tables), c.line[:i])
			}
		}
	}
}
