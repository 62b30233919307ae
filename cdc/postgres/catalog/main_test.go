package catalog

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
)

// servers are shared by all tests: versions of Postgres between which the catalog differs.
var servers = map[string]*embeddedtest.Shared[*embedded.Stack]{
	"14": embeddedtest.ShareEmbedded(embedded.Options{Parts: embedded.Parts{Postgres: true}, PostgresVersion: "14"}),
	"18": embeddedtest.ShareEmbedded(embedded.Options{Parts: embedded.Parts{Postgres: true}, PostgresVersion: "18"}),
}

func TestMain(m *testing.M) { embeddedtest.Main(m, servers["14"], servers["18"]) }

// onEach runs the test in a database of its own on each version.
func onEach(t *testing.T, test func(t *testing.T, d *database)) {
	for version := range servers {
		t.Run(version, func(t *testing.T) { test(t, newDatabase(t, version)) })
	}
}

type database struct {
	url   string
	conn  *pgx.Conn
	major int
}

func newDatabase(t *testing.T, version string) *database {
	t.Helper()
	d := &database{url: embeddedtest.Database(t, servers[version].Get(t).Postgres)}
	d.conn = embeddedtest.Connect(t, d.url)
	require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&d.major))
	return d
}

// fresh empties schema public.
func (d *database) fresh(t *testing.T, sql ...string) {
	t.Helper()
	d.exec(t, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
	d.exec(t, sql...)
}

func (d *database) exec(t *testing.T, sql ...string) {
	t.Helper()
	embeddedtest.ExecOn(t, d.conn, sql...)
}

// all selects every table of schema public but those named.
type all []string

func (a all) Match(schema, table string) bool {
	return schema == "public" && !slices.Contains(a, table)
}
func (all) Names(string, string) bool       { return false }
func (all) Check([]*schemas.Relation) error { return nil }

// allBut selects every table of any schema but those named.
type allBut struct{ name string }

func (a allBut) Match(_, table string) bool      { return table != a.name }
func (allBut) Names(_, _ string) bool            { return false }
func (allBut) Check(_ []*schemas.Relation) error { return nil }

// excludes takes a way out that says which table source.tables is to leave out.
func excludes(t *testing.T, way string) allBut {
	t.Helper()
	m := regexp.MustCompile(`"!public\.(\w+)"`).FindStringSubmatch(way)
	require.NotNil(t, m, way)
	return allBut{m[1]}
}

// keep carries every column but those it names: as nothing, or under another policy.
type keep map[string]schemas.Transform

func (k keep) For(rel *schemas.Relation, column int) (schemas.Transform, bool, error) {
	transform, ok := k[rel.Columns[column].Name]
	return transform, !ok || transform != nil, nil
}

// mask is a policy.
type mask struct{ print string }

func (mask) Policy() string                               { return "mask" }
func (mask) Output() schemas.Type                         { return schemas.Type{Kind: schemas.KindText, Name: "text"} }
func (mask) Apply(dst, _ []byte, _ int64) ([]byte, error) { return append(dst, "***"...), nil }
func (m mask) Print() string                              { return m.print }

// ids is a registry that numbers what it is given.
type ids struct{ subjects []string }

func (r *ids) Register(_ context.Context, subject, _ string) (int, error) {
	r.subjects = append(r.subjects, subject)
	return len(r.subjects), nil
}

func (*ids) Schema(context.Context, int) (string, error) { return "", fmt.Errorf("not asked for") }

func (d *database) tables(o Options) *Tables {
	o.Login.URL, o.Prefix, o.Partitions = d.url, "clinic", 3
	if o.Selection == nil {
		o.Selection = all{}
	}
	if o.Policies == nil {
		o.Policies = keep{}
	}
	if o.Registry == nil {
		o.Registry = &ids{}
	}
	return New(o)
}

// list gives the captured tables by name.
func (d *database) list(t *testing.T, o Options) map[string]*cdc.Table {
	t.Helper()
	tables, err := d.tables(o).List(t.Context())
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(tables, func(a, b *cdc.Table) int { return compare(a.FullName(), b.FullName()) }))
	out := map[string]*cdc.Table{}
	for _, table := range tables {
		require.NoError(t, table.Refused)
		out[table.Name] = table
	}
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// relation describes one captured table.
func (d *database) relation(t *testing.T, name string) *schemas.Relation {
	t.Helper()
	entries, err := read(t.Context(), d.conn, "postgres")
	require.NoError(t, err)
	for _, e := range entries {
		if e.rel.Name == name {
			require.Empty(t, refusal(e), name)
			return e.rel
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}
