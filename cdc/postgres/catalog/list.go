package catalog

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// ListCaptured reads the tables that the config names, for verbs that read while a capture runs (wait, verify): a table
// that can no longer be captured exactly is in refused, by "schema.table", with why and what to do; the others are not
// affected by it. Selection.Check is not asked, since a table may have gone since the names were right. An error means
// that Postgres could not be asked, or that no table is named (cdc.ErrRefused).
func ListCaptured(ctx context.Context, conn *pgx.Conn, sel Selection, keys map[string][]string) (
	relations []*schemas.Relation, refused map[string]*cdc.Problem, err error,
) {
	all, database, err := readDatabase(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	refused = map[string]*cdc.Problem{}
	for _, e := range all {
		if !sel.Match(e.rel.Schema, e.rel.Name) {
			continue
		}
		why, err := namedKey(ctx, conn, e, keys)
		if err != nil {
			return nil, nil, err
		}
		if why = cmp.Or(why, refusal(e)); why != nil {
			refused[e.rel.FullName()] = why
		} else {
			relations = append(relations, e.rel)
		}
	}
	if len(relations)+len(refused) == 0 {
		return nil, nil, cdc.Refused("no table of database %s is named by source.tables", database).Fix(`tables: ["public.*"]`)
	}
	return relations, refused, nil
}

// All reads every table of the database, by OID, whether it can be captured or not. Their keys are the present ones,
// empty where none identifies a row; keys named in source.keys are not included.
func All(ctx context.Context, conn *pgx.Conn) (map[uint32]*schemas.Relation, error) {
	all, _, err := readDatabase(ctx, conn)
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]*schemas.Relation, len(all))
	for _, e := range all {
		out[e.rel.OID] = e.rel
	}
	return out, nil
}

func readDatabase(ctx context.Context, conn *pgx.Conn) (all []*entry, database string, err error) {
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_database()").Scan(&database); err != nil {
		return nil, "", fmt.Errorf("ask Postgres for the database's name: %w", err)
	}
	all, err = read(ctx, conn, database)
	return all, database, err
}
