package catalog

import (
	"context"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
)

// Tolerant reads the tables that the config names for those who look on while a capture goes on (wait, verify): a table that can
// no longer be captured exactly does not take the others along, but stands in refused, by "schema.table", with why and what to
// do. It does not ask Selection.Check, since a table may have gone since the names were right. An error means that Postgres
// could not be asked, or that no table is named (cdc.ErrRefused).
func Tolerant(ctx context.Context, conn *pgx.Conn, sel Selection, keys map[string][]string) (relations []*schemas.Relation, refused map[string]string, err error) {
	all, database, err := readDatabase(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	refused = map[string]string{}
	for _, e := range all {
		if !sel.Match(e.rel.Schema, e.rel.Name) {
			continue
		}
		name := e.rel.FullName()
		var wrongKey error
		if named, ok := keys[name]; ok {
			if wrongKey, err = namedKey(ctx, conn, e, named); err != nil {
				return nil, nil, err
			}
		}
		switch why := refusal(e); {
		case wrongKey != nil:
			refused[name] = wrongKey.Error()
		case why != "":
			refused[name] = why
		default:
			relations = append(relations, e.rel)
		}
	}
	if len(relations)+len(refused) == 0 {
		return nil, nil, fmt.Errorf("%w: no table of database %s is named by source.tables. Try: tables: [\"public.*\"]", cdc.ErrRefused, database)
	}
	return relations, refused, nil
}

// All reads every table of the database, by OID, whether it can be captured or not. Their keys are those of the moment, and empty where
// there is none that identifies a row; those of source.keys are not among them.
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
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return nil, "", fmt.Errorf("ask Postgres for the database's name: %w", err)
	}
	all, err = read(ctx, conn, database)
	return all, database, err
}
