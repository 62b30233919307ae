package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// ReadError says whose the error is that reading a table's rows ended with: a TableTrouble is the table's. what is the
// command.
func (l Login) ReadError(ctx context.Context, what string, t *cdc.Table, err error) error {
	if large := TooLarge(err); large != nil {
		return &cdc.TableTrouble{Lasting: true, Err: large}
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return fmt.Errorf("%s: %w", what, err)
	}
	said := Said(pgErr)
	switch {
	case Passing(pgErr):
		return errors.New(what + ": " + said)
	case pgErr.Code == codeNoRight:
		return &cdc.TableTrouble{Err: l.MayRead(ctx, cdc.Refused("%s: %s", what, said), t)}
	case BadValue(pgErr.Code):
		return &cdc.TableTrouble{Lasting: true, Err: cdc.Failed("%s: %s: a row holds what cannot be read", what, said).
			Fix("find the row and correct it: %s", findRows(t)).Fix("add %s to source.tables", strconv.Quote("!"+t.FullName()))}
	}
	return &cdc.TableTrouble{Err: cdc.Failed("%s: %s", what, said).
		Fix("in psql, as the role of source.url, SELECT * FROM %s.%s LIMIT 1, and look at what Postgres says", schemas.SQLIdentifier(t.Schema), schemas.SQLIdentifier(t.Name))}
}

// findRows prints, as notices, where the rows are whose values Postgres cannot give as text, or not as UTF-8. An error
// of COPY itself does not say it.
func findRows(t *cdc.Table) string {
	table := schemas.SQLIdentifier(t.Schema) + "." + schemas.SQLIdentifier(t.Name)
	return "DO $$ DECLARE place tid; BEGIN FOR place IN SELECT ctid FROM ONLY " + table + " LOOP BEGIN PERFORM pg_catalog.convert_to(t::text, 'UTF8') FROM ONLY " +
		table + " t WHERE ctid = place; EXCEPTION WHEN data_exception THEN RAISE NOTICE 'ctid %', place; END; END LOOP; END $$"
}
