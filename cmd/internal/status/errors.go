package status

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// postgresError explains what Postgres or the way to it said; began is when it was asked.
func postgresError(ctx context.Context, doing string, began time.Time, err error) *cdc.Problem {
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	p := cdc.Failed("%s", doing)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Because(hangs("Postgres", "source.url", began))
	case errors.As(err, &connect):
		p.Because(postgres.ConnectError(err))
	case errors.As(err, &said):
		p.What += ": " + postgres.ServerError(said.Code, said.Message)
		if !passing(said.Code) {
			p.Of(cdc.ErrRefused).Fix("dirtbike explain postgres-rights")
		}
	default:
		p.Because(err)
	}
	return p.OrFix("see that Postgres runs and source.url is right")
}

// passing reports whether an error of that code goes by itself: the server starts, stops, or has no resources left.
func passing(code string) bool { return strings.HasPrefix(code, "57") || strings.HasPrefix(code, "53") }
