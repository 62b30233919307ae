package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// versions of Postgres that differ in what this package asks of them.
var versions = []string{"14", "18"}

var databases atomic.Int64

// rig is a new database with table t(id, v) and a source over it.
type rig struct {
	*Source
	url   string
	conn  *pgx.Conn
	table *cdc.Table
}

func newRig(t *testing.T, p *embedded.Postgres) *rig {
	t.Helper()
	name := fmt.Sprintf("clinic%d", databases.Add(1))
	require.NoError(t, p.CreateDatabase(t.Context(), name))
	r := &rig{url: p.DatabaseURL(name)}
	r.conn = embeddedtest.Connect(t, r.url)
	r.exec(t, "CREATE TABLE t (id bigint PRIMARY KEY, v text)")
	r.table = r.describe(t, "t")
	r.Source = r.source(r.url)
	return r
}

func (r *rig) source(url string) *Source {
	return New(Options{Login: Login{URL: url}, Slot: "slot_" + r.conn.Config().Database, Publication: `the "pub's" name`})
}

func (r *rig) exec(t *testing.T, sql ...string) {
	t.Helper()
	embeddedtest.ExecOn(t, r.conn, sql...)
}

func (r *rig) describe(t *testing.T, name string) *cdc.Table {
	t.Helper()
	table := &cdc.Table{Schema: "public", Name: name}
	require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT oid FROM pg_class WHERE relname = $1", name).Scan(&table.OID))
	return table
}

// role makes a login role and gives the URL of the database for it.
func (r *rig) role(t *testing.T, name, options string) string {
	t.Helper()
	r.exec(t, "DROP ROLE IF EXISTS "+name, "CREATE ROLE "+name+" LOGIN PASSWORD 'secret-of-"+name+"' "+options)
	config := r.conn.Config()
	return fmt.Sprintf("postgres://%s:secret-of-%s@%s:%d/%s?sslmode=disable", name, name, config.Host, config.Port, config.Database)
}

// text writes an event in short: "I 1,a", "U K1 2,b", "D K2", "T".
func text(e *cdc.Event) string {
	row := func(t cdc.Tuple) string {
		var parts []string
		for _, d := range t {
			switch d.Kind {
			case cdc.DatumText:
				parts = append(parts, string(d.Data))
			case cdc.DatumBinary:
				parts = append(parts, fmt.Sprintf("%x", d.Data))
			default:
				parts = append(parts, "<"+string(d.Kind)+">")
			}
		}
		return strings.Join(parts, ",")
	}
	old := ""
	if e.OldKind != cdc.OldNone {
		old = " " + string(e.OldKind) + "(" + row(e.Old) + ")"
	}
	switch e.Kind {
	case cdc.EventInsert:
		return "I " + row(e.New)
	case cdc.EventUpdate:
		return "U" + old + " " + row(e.New)
	case cdc.EventDelete:
		return "D" + old
	case cdc.EventTruncate:
		return fmt.Sprintf("T×%d", len(e.Relations))
	case cdc.EventBegin:
		return "B"
	case cdc.EventCommit:
		return "C"
	case cdc.EventKeepalive:
		return "K"
	case cdc.EventWake:
		return "W"
	case cdc.EventRelation:
		return "R"
	case cdc.EventNone:
	}
	return "?"
}

// within gives a context for what must happen soon.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// until reads events until ok, and gives them in short form, without wakes, keepalives and descriptions of tables.
func until(t *testing.T, st cdc.Stream, ok func(e *cdc.Event) bool) []string {
	t.Helper()
	ctx := within(t, time.Minute)
	defer context.AfterFunc(ctx, st.Wake)()
	var out []string
	for {
		e, err := st.Next(ctx)
		require.NoError(t, err)
		if s := text(e); s != "W" && s != "K" && s != "R" {
			out = append(out, s)
		}
		if ok(e) {
			return out
		}
	}
}

func commits(n int) func(e *cdc.Event) bool {
	return func(e *cdc.Event) bool {
		if e.Kind == cdc.EventCommit {
			n--
		}
		return n == 0
	}
}

// serverMajor gives the server's major version; 0 if it does not say.
func serverMajor(conn *pgx.Conn) int { return major(conn.PgConn().ParameterStatus("server_version")) }
