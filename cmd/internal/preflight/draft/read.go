package draft

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/schemas"
)

// Table is one table of the database, as people see it.
type Table struct {
	Schema, Name string
	// Bytes on disk with indexes and TOAST; -1 if unknown.
	Bytes int64
	// Rows is Postgres' own estimate; -1 if it was never analysed.
	Rows int64
	// Key are the columns of the table's key; empty if it has none.
	Key []string
	// Identity is the replica identity: default, full, nothing or index.
	Identity string
	// Obstacle says why the table cannot be captured, nil if it can.
	Obstacle *cdc.Problem
	// Notes say what has to be fixed before a start: a right that is missing.
	Notes []string

	relation *schemas.Relation // nil if the table has an obstacle
}

// FullName is "schema.table".
func (t *Table) FullName() string { return t.Schema + "." + t.Name }

// connectTime and readTime bound what the database may take.
const (
	connectTime = 8 * time.Second
	readTime    = 13 * time.Second
	// lockTime is how long to wait for the size of a locked table.
	lockTime = "500ms"
)

// database is what was read; oids are those of the tables.
type database struct {
	name   string
	tables []*Table
	oids   []uint32
}

const factsSQL = `
SELECT c.oid, n.nspname::text, c.relname::text, c.reltuples::bigint,
  (c.relpages + coalesce(t.relpages, 0))::bigint * pg_catalog.current_setting('block_size')::bigint, c.relreplident::text,
  c.relispartition,
  coalesce((SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.at) FROM pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, at)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n WHERE i.indrelid = c.oid AND k.at <= i.indnkeyatts
    AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname`

// read lists the tables, and what keeps each from being captured.
func read(ctx context.Context, url string) (database, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	conn, err := connect(ctx, url)
	if err != nil {
		return database{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var db database
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_database()").Scan(&db.name); err != nil {
		return db, readError("ask for the database's name", err)
	}
	if err := db.readFacts(ctx, conn); err != nil {
		return db, readError("list the tables", err)
	}
	if err := db.readRights(ctx, conn); err != nil {
		return db, readError("read the rights", err)
	}
	db.readSizes(ctx, conn)
	relations, refused, err := catalog.ListCaptured(ctx, conn, everything{}, nil)
	if err != nil && !errors.Is(err, cdc.ErrRefused) { // refused: there is no table at all
		return db, readError("read the tables", err)
	}
	for _, t := range db.tables {
		if at := slices.IndexFunc(relations, func(rel *schemas.Relation) bool { return rel.FullName() == t.FullName() }); at >= 0 {
			t.relation = relations[at]
		} else if t.Obstacle = refused[t.FullName()]; t.Obstacle == nil {
			t.Obstacle = cdc.Failed("it is gone by now")
		}
	}
	return db, nil
}

func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	login := postgres.Login{URL: url, Name: postgres.MonitorName, Settings: map[string]string{"lock_timeout": lockTime}, Key: "--source"}
	return login.ReadOnly().Connect(ctx)
}

func readError(doing string, err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return cdc.Refused("%s: %s", doing, postgres.ServerError(said.Code, said.Message)).Fix("a role that may read the catalog")
	}
	return cdc.Failed("%s", doing).Of(cdc.ErrUnreachable).Because(err).Fix("look at Postgres' load, and at the way to it")
}

var identities = map[string]string{"d": "default", "f": "full", "n": "nothing", "i": "index"}

func (db *database) readFacts(ctx context.Context, conn *pgx.Conn) error {
	var oid uint32
	var t Table
	var identity string
	var leaf bool
	return postgres.Each(ctx, conn, "pg_class", []any{&oid, &t.Schema, &t.Name, &t.Rows, &t.Bytes, &identity, &leaf, &t.Key}, func() {
		one := t
		one.Identity, t.Key = identities[identity], nil
		if leaf {
			one.Notes = []string{"a partition"}
		}
		db.tables, db.oids = append(db.tables, &one), append(db.oids, oid)
	}, factsSQL)
}

// readRights notes what our role may not do yet.
func (db *database) readRights(ctx context.Context, conn *pgx.Conn) error {
	rights, err := postgres.ReadRights(ctx, conn, "", "", db.oids)
	if err != nil {
		return err
	}
	for i, t := range db.tables {
		r := rights[db.oids[i]]
		if r == nil {
			continue // it is gone by now
		}
		var notes []string
		for _, lack := range []struct {
			is   bool
			note string
		}{{!r.Selects, "no SELECT on it"}, {!r.Uses, "no USAGE on its schema"}, {r.Hidden, "row-level security hides rows from this role"}} {
			if lack.is {
				notes = append(notes, lack.note)
			}
		}
		t.Notes = append(notes, t.Notes...)
	}
	return nil
}

// readSizes asks for exact sizes; where a table is locked, or has been dropped meanwhile, the catalog's pages must do.
func (db *database) readSizes(ctx context.Context, conn *pgx.Conn) {
	var sizes []*int64
	const sql = "SELECT pg_catalog.array_agg(pg_catalog.pg_total_relation_size(o.oid) ORDER BY o.at) FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY o(oid, at)"
	if err := conn.QueryRow(ctx, sql, db.oids).Scan(&sizes); err != nil || len(sizes) != len(db.tables) {
		return
	}
	for i, size := range sizes {
		if size != nil {
			db.tables[i].Bytes = *size
		}
	}
}

// everything selects every table.
type everything struct{}

func (everything) Match(schema, _ string) bool {
	return !strings.HasPrefix(schema, "pg_") && schema != "information_schema"
}
func (everything) Names(string, string) bool       { return false }
func (everything) Check([]*schemas.Relation) error { return nil }
