package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// TableError is an error of Selection.Check about one existing table; it does not affect the others.
type TableError struct {
	// Table is "schema.table".
	Table string
	// BlocksStart says that a table which is captured already may go on; without it the table cannot be captured at
	// all.
	BlocksStart bool
	Err         error // the place in the config and what to do
}

// Error is that of Err.
func (e *TableError) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *TableError) Unwrap() error { return e.Err }

// findings are the errors of Selection.Check, sorted by what they affect.
type findings struct {
	misnamed         []error
	unnamed          map[uint32]string // existing tables that the config does not select
	refused, blocked map[string]error  // by "schema.table"
}

func (f *findings) add(err error) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, so that nothing in it is passed over
	case nil:
	case *TableError:
		into := f.refused
		if e.BlocksStart {
			into = f.blocked
		}
		into[e.Table] = cdc.OneLine(into[e.Table], e.Err)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			f.add(one)
		}
	default:
		f.misnamed = append(f.misnamed, err)
	}
}

// wholes are the relations with the columns that are not sent: the config may name them.
func wholes(entries []*entry) []*schemas.Relation {
	out := make([]*schemas.Relation, len(entries))
	for i, e := range entries {
		out[i] = e.all()
	}
	return out
}

func relations(entries []*entry) []*schemas.Relation {
	out := make([]*schemas.Relation, len(entries))
	for i, e := range entries {
		out[i] = e.rel
	}
	return out
}

// named reads the catalog and picks the tables that the config names; whether they can be captured is not asked yet.
func (t *Tables) named(ctx context.Context, conn *pgx.Conn) (captured []*entry, found findings, err error) {
	all, _, err := readDatabase(ctx, conn)
	if err != nil {
		return nil, found, err
	}
	if err := t.narrow(ctx, conn, all); err != nil {
		return nil, found, err
	}
	found.refused, found.blocked, found.unnamed = map[string]error{}, map[string]error{}, map[uint32]string{}
	found.add(t.options.Selection.Check(wholes(all)))
	for _, e := range all {
		if t.options.Selection.Match(e.rel.Schema, e.rel.Name) {
			captured = append(captured, e)
		} else {
			found.unnamed[e.rel.OID] = e.rel.FullName()
		}
	}
	found.concern(captured)
	return captured, found, nil
}

// concern moves the errors about tables that are not captured to misnamed, since they affect no captured table.
func (f *findings) concern(captured []*entry) {
	for _, table := range slices.Sorted(maps.Keys(f.refused)) {
		if !slices.ContainsFunc(captured, func(e *entry) bool { return e.rel.FullName() == table }) {
			f.misnamed = append(f.misnamed, f.refused[table])
		}
	}
}

// capturable says why the table cannot be captured exactly, and gives it the key that the config names, if it does; err
// means that the catalog could not be read.
func (t *Tables) capturable(ctx context.Context, conn *pgx.Conn, e *entry) (why *cdc.Problem, err error) {
	if why, err = namedKey(ctx, conn, e, t.options.Keys); why != nil || err != nil {
		return why, err
	}
	cause := refusal(e)
	if cause == nil {
		return nil, nil
	}
	why = cdc.Failed("table %s cannot be captured", e.rel.FullName()).Because(cause)
	why.Try = append(cause.Try, cdc.Remedy{Command: fmt.Sprintf("exclude it with \"!%s\" under source.tables", e.rel.FullName())})
	return why, nil
}

// refusal says why the table, with the key that it has, cannot be captured; nil if it can.
func refusal(e *entry) *cdc.Problem {
	switch {
	case e.kind == "p":
		return cdc.Failed("it is partitioned, which this release does not capture yet").Fix("name its leaves instead")
	case e.persistence == "u":
		return cdc.Failed("it is UNLOGGED, so Postgres' log does not hold its changes").Fix("ALTER TABLE %s SET LOGGED", e.rel.SQLName())
	case e.noFull && e.rel.Identity == cdc.IdentityFull:
		return fullAndGenerated(e)
	}
	return cmp.Or(e.notKey, e.unlisted)
}

// fullAndGenerated: the application must be able to update a table that is published.
func fullAndGenerated(e *entry) *cdc.Problem {
	p := cdc.Failed("it has generated columns and its replica identity is FULL: from 18 on Postgres refuses updates and deletes once it is published")
	if e.index.columns == 0 {
		return p.Fix("give %s a primary key and the replica identity DEFAULT", e.rel.SQLName())
	}
	return p.Fix("ALTER TABLE %s REPLICA IDENTITY DEFAULT", e.rel.SQLName())
}

// namedKey takes the key that the config names, if it names one (source.keys, by "schema.table"); a table that has a
// key keeps it, and naming another one is refused. err means that the catalog could not be read.
func namedKey(ctx context.Context, conn *pgx.Conn, e *entry, keys map[string][]string) (why *cdc.Problem, err error) {
	named, is := keys[e.rel.FullName()]
	own := keyNames(e.rel)
	switch {
	case !is || slices.Equal(own, named) && len(own) > 0:
		return nil, nil
	case len(own) == 0:
		return keyFromConfig(ctx, conn, e, named)
	case e.rel.Identity == cdc.IdentityIndex && slices.Equal(slices.Sorted(slices.Values(own)), slices.Sorted(slices.Values(named))):
		slices.SortFunc(e.rel.Key, func(a, b int) int { // the same key, in the config's order
			return cmp.Compare(slices.Index(named, e.rel.Columns[a].Name), slices.Index(named, e.rel.Columns[b].Name))
		})
		return nil, nil
	}
	return cdc.Failed("source.keys names (%s) for %s, whose key is (%s)", strings.Join(named, ", "), e.rel.FullName(), strings.Join(own, ", ")).
		Fix("leave it out of source.keys"), nil
}

// backedSQL asks whether a unique, immediate index without NULLs is on exactly these columns (rule 9).
const backedSQL = `
SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid
  AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = pg_catalog.cardinality($2::text[])
  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indcollation::oid[]) x(coll) JOIN pg_collation l ON l.oid = x.coll WHERE NOT l.collisdeterministic)
  AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname) FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, at)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n AND a.attnotnull WHERE k.at <= i.indnkeyatts)
  = (SELECT pg_catalog.array_agg(x ORDER BY x) FROM pg_catalog.unnest($2::text[]) x))`

// keyFromConfig takes the key that the config names, if an index backs it.
func keyFromConfig(ctx context.Context, conn *pgx.Conn, e *entry, named []string) (why *cdc.Problem, err error) {
	table := e.rel.FullName()
	if at := slices.IndexFunc(named, e.lacks); at >= 0 {
		return cdc.Failed("source.keys names column %s of %s, which Postgres does not send: it is not there, or is generated", named[at], table).
			Fix("other columns of %s in source.keys, which are NOT NULL and have a unique index", table), nil
	}
	var backed bool
	if err := conn.QueryRow(ctx, backedSQL, e.rel.OID, named).Scan(&backed); err != nil {
		return nil, fmt.Errorf("read pg_index: %w", err)
	}
	if !backed {
		p := cdc.Failed("source.keys names (%s) for %s, but no unique, non-deferrable, NOT NULL index of deterministic collation backs it",
			strings.Join(named, ", "), table)
		switch { // both steps at once
		case e.noFull:
			return p.Fix("CREATE UNIQUE INDEX ON %s (%s), and SET NOT NULL, and ALTER TABLE %[1]s REPLICA IDENTITY USING INDEX with it", e.rel.SQLName(), sqlNames(named)), nil
		case e.rel.Identity != cdc.IdentityFull:
			return p.Fix("CREATE UNIQUE INDEX ON %s (%s), and SET NOT NULL, and ALTER TABLE %[1]s REPLICA IDENTITY FULL", e.rel.SQLName(), sqlNames(named)), nil
		}
		return p.Fix("CREATE UNIQUE INDEX ON %s (%s), and SET NOT NULL", e.rel.SQLName(), sqlNames(named)), nil
	}
	if e.rel.Identity != cdc.IdentityFull {
		p := cdc.Failed("%s has no primary key, so Postgres sends no key with its deletes", table)
		if e.noFull {
			return p.Fix("ALTER TABLE %s REPLICA IDENTITY USING INDEX with the unique index on (%s)", e.rel.SQLName(), sqlNames(named)), nil
		}
		return p.Fix("ALTER TABLE %s REPLICA IDENTITY FULL, or USING INDEX", e.rel.SQLName()), nil
	}
	e.rel.Key, e.notKey = nil, nil
	for _, name := range named {
		e.rel.Key = append(e.rel.Key, slices.IndexFunc(e.rel.Columns, func(c schemas.Column) bool { return c.Name == name }))
	}
	return nil, nil
}

// lacks reports whether the table sends no column of that name.
func (e *entry) lacks(name string) bool {
	return !slices.ContainsFunc(e.rel.Columns, func(c schemas.Column) bool { return c.Name == name })
}

// sqlNames are columns as SQL takes them.
func sqlNames(columns []string) string {
	out := make([]string, len(columns))
	for i, name := range columns {
		out[i] = schemas.SQLIdentifier(name)
	}
	return strings.Join(out, ", ")
}
