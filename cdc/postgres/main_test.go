package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
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
	return New(Options{
		Login: Login{URL: url}, Slot: "slot_" + r.conn.Config().Database, Publication: `the "pub's" name`,
		Frames: func() cdc.FrameDecoder { return frames{} },
		Snapshot: func(name string, point cdc.LSN, release func(context.Context) error) cdc.Snapshot {
			return &exported{name: name, point: point, release: release}
		},
	})
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

// exported is a snapshot that only remembers what it was made of.
type exported struct {
	name    string
	point   cdc.LSN
	release func(context.Context) error
}

func (e *exported) Point() cdc.LSN { return e.point }
func (e *exported) Copy(context.Context, *cdc.Table, func(cdc.Tuple) error) error {
	return fmt.Errorf("not asked for")
}
func (e *exported) Close(ctx context.Context) error { return e.release(ctx) }

// frames decodes by another decoder than the module's own.
type frames struct{}

func (frames) Decode(b []byte, e *cdc.Event) (ok, reply bool, err error) {
	*e = cdc.Event{}
	if b[0] == pglogrepl.PrimaryKeepaliveMessageByteID {
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(b[1:])
		e.Kind, e.WALEnd, e.ServerTime = cdc.EventKeepalive, cdc.LSN(k.ServerWALEnd), k.ServerTime.UnixMicro()
		return true, k.ReplyRequested, err
	}
	data, err := pglogrepl.ParseXLogData(b[1:])
	if err != nil {
		return false, false, err
	}
	m, err := pglogrepl.Parse(data.WALData)
	if err != nil {
		return false, false, err
	}
	e.LSN = cdc.LSN(data.WALStart)
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		e.Kind, e.CommitLSN, e.XID = cdc.EventBegin, cdc.LSN(m.FinalLSN), m.Xid
	case *pglogrepl.CommitMessage:
		e.Kind, e.CommitLSN, e.EndLSN = cdc.EventCommit, cdc.LSN(m.CommitLSN), cdc.LSN(m.TransactionEndLSN)
	case *pglogrepl.InsertMessage:
		e.Kind, e.Relation, e.New = cdc.EventInsert, m.RelationID, tuple(m.Tuple)
	case *pglogrepl.UpdateMessage:
		e.Kind, e.Relation, e.OldKind, e.Old, e.New = cdc.EventUpdate, m.RelationID, cdc.OldKind(m.OldTupleType), tuple(m.OldTuple), tuple(m.NewTuple)
	case *pglogrepl.DeleteMessage:
		e.Kind, e.Relation, e.OldKind, e.Old = cdc.EventDelete, m.RelationID, cdc.OldKind(m.OldTupleType), tuple(m.OldTuple)
	case *pglogrepl.TruncateMessage:
		e.Kind, e.Relations = cdc.EventTruncate, m.RelationIDs
	default:
		return false, false, nil
	}
	return true, false, nil
}

func tuple(t *pglogrepl.TupleData) cdc.Tuple {
	if t == nil {
		return nil
	}
	var out cdc.Tuple
	for _, c := range t.Columns {
		out = append(out, cdc.Datum{Kind: cdc.DatumKind(c.DataType), Data: c.Data})
	}
	return out
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
	case cdc.EventRelation, cdc.EventNone:
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

// until reads events until ok, and gives them all but wakes and keepalives in short form.
func until(t *testing.T, st cdc.Stream, ok func(e *cdc.Event) bool) []string {
	t.Helper()
	ctx := within(t, time.Minute)
	defer context.AfterFunc(ctx, st.Wake)()
	var out []string
	for {
		e, err := st.Next(ctx)
		require.NoError(t, err)
		if s := text(e); s != "W" && s != "K" {
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
