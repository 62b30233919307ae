package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
)

type entries []*entry

func (e entries) relations() []*schemas.Relation {
	out := make([]*schemas.Relation, len(e))
	for i := range e {
		out[i] = e[i].rel
	}
	return out
}

// Relations reads the captured tables, for those who need no encoder (verify, status).
func Relations(ctx context.Context, conn *pgx.Conn, sel Selection, keys map[string][]string) ([]*schemas.Relation, error) {
	captured, err := Captured(ctx, conn, sel, keys)
	return captured.relations(), err
}

// Captured reads the catalog and picks the tables that the config names; it refuses those that cannot be captured exactly.
func Captured(ctx context.Context, conn *pgx.Conn, sel Selection, keys map[string][]string) (entries, error) {
	var database string
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return nil, fmt.Errorf("ask Postgres for the database's name: %w", err)
	}
	all, err := read(ctx, conn, database)
	if err != nil {
		return nil, err
	}
	if err := sel.Check(entries(all).relations()); err != nil {
		return nil, fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	var out entries
	var refused []error
	for _, e := range all {
		if !sel.Match(e.rel.Schema, e.rel.Name) {
			continue
		}
		if named, ok := keys[e.rel.FullName()]; ok {
			if err := namedKey(ctx, conn, e, named); err != nil {
				refused = append(refused, err)
				continue
			}
		}
		if why := refusal(e); why != "" {
			refused = append(refused, fmt.Errorf("table %s cannot be captured: %s, or exclude it with \"!%s\" under source.tables", e.rel.FullName(), why, e.rel.FullName()))
			continue
		}
		out = append(out, e)
	}
	if len(refused) > 0 {
		return nil, fmt.Errorf("%w: %w", cdc.ErrRefused, cdc.OneLine(refused...))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no table of database %s is named by source.tables. Try: tables: [\"public.*\"]", cdc.ErrRefused, database)
	}
	return out, nil
}

func refusal(e *entry) string {
	switch {
	case e.kind == "p":
		return "it is partitioned, which this release does not capture yet. Try: name its leaves instead"
	case e.persistence == "u":
		return "it is UNLOGGED, so Postgres' log does not hold its changes. Try: ALTER TABLE " + e.rel.FullName() + " SET LOGGED"
	case e.notKey != "":
		return e.notKey
	}
	return ""
}

// namedKey takes the key that the config names; a table that has a key keeps it, and naming another one is refused.
func namedKey(ctx context.Context, conn *pgx.Conn, e *entry, named []string) error {
	if len(e.rel.Key) == 0 {
		return keyFromConfig(ctx, conn, e, named)
	}
	own := keyNames(e.rel)
	if !slices.Equal(own, named) {
		return fmt.Errorf("source.keys names (%s) for %s, whose key is (%s). Try: leave it out of source.keys", strings.Join(named, ", "), e.rel.FullName(), strings.Join(own, ", "))
	}
	return nil
}

// keyFromConfig takes the key that the config names, if a unique, immediate index without NULLs backs it (rule 9).
func keyFromConfig(ctx context.Context, conn *pgx.Conn, e *entry, named []string) error {
	var backed bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid
		AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality($2::text[])
		AND NOT EXISTS (SELECT FROM unnest(i.indcollation::oid[]) x(coll) JOIN pg_collation l ON l.oid = x.coll WHERE NOT l.collisdeterministic)
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, at)
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n AND a.attnotnull WHERE k.at <= i.indnkeyatts)
		= (SELECT array_agg(x ORDER BY x) FROM unnest($2::text[]) x))`, e.rel.OID, named).Scan(&backed)
	if err != nil {
		return fmt.Errorf("read pg_index: %w", err)
	}
	if !backed {
		return fmt.Errorf("source.keys names (%s) for %s, but no unique, non-deferrable, NOT NULL index of deterministic collation backs it. Try: CREATE UNIQUE INDEX ON %s (%s), and SET NOT NULL", strings.Join(named, ", "), e.rel.FullName(), e.rel.FullName(), strings.Join(named, ", "))
	}
	if e.rel.Identity != schemas.IdentityFull {
		return fmt.Errorf("%s has no primary key, so Postgres sends no key with its deletes. Try: ALTER TABLE %s REPLICA IDENTITY FULL, or USING INDEX", e.rel.FullName(), e.rel.FullName())
	}
	e.rel.Key, e.notKey = nil, ""
	for _, name := range named {
		at := slices.IndexFunc(e.rel.Columns, func(c schemas.Column) bool { return c.Name == name })
		if at < 0 {
			return fmt.Errorf("source.keys names column %s of %s, which is generated: Postgres does not send it", name, e.rel.FullName())
		}
		e.rel.Key = append(e.rel.Key, at)
	}
	return nil
}
