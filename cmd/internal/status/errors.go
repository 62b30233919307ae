package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/console"
)

// postgresError makes one line, with what to do, of what Postgres or the way to it said; began is when it was asked.
func postgresError(ctx context.Context, doing string, began time.Time, err error) error {
	const reach = "%s: %w. Try: see that Postgres runs and source.url is right"
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, hangs("Postgres", "source.url", began))
	case errors.As(err, &connect):
		if err = postgres.ConnectError(err); errors.Is(err, cdc.ErrRefused) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		return fmt.Errorf(reach, doing, oneLineError{err})
	case errors.As(err, &said) && passing(said.Code):
		return fmt.Errorf("%s: %s. Try: see that Postgres runs and source.url is right", doing, OneLine(postgres.ServerError(said.Code, said.Message)))
	case said != nil:
		return fmt.Errorf("%s: %w: %s. Try: dirtbike explain postgres-rights", doing, cdc.ErrRefused, OneLine(postgres.ServerError(said.Code, said.Message)))
	}
	return fmt.Errorf(reach, doing, oneLineError{err})
}

// passing reports whether an error of that code goes by itself: the server starts, stops, or has no resources left.
func passing(code string) bool { return strings.HasPrefix(code, "57") || strings.HasPrefix(code, "53") }

// oneLineError keeps an error to one line.
type oneLineError struct{ error }

func (e oneLineError) Error() string { return OneLine(e.error.Error()) }

// OneTry makes an error end with one way out: its own first one, or else try. It wraps err.
func OneTry(err error, try string) error { return oneTry{err, try} }

type oneTry struct {
	error
	try string
}

func (e oneTry) Unwrap() error { return e.error }

func (e oneTry) Error() string {
	text := OneLine(e.error.Error())
	if ways := console.Way.FindAllStringIndex(text, 2); len(ways) == 2 {
		return text[:ways[1][0]]
	} else if len(ways) == 1 {
		return text
	}
	return strings.TrimRight(text, ".;,") + ". Try: " + e.try
}

// JoinReasons joins reasons in one line that has at most one way out, the first one's, at its end.
func JoinReasons(reasons []string) string {
	var what []string
	try := ""
	for _, reason := range reasons {
		what = append(what, withoutTry(reason))
		ways := console.Way.FindAllStringIndex(OneLine(reason), 2)
		switch {
		case try != "" || len(ways) == 0:
		case len(ways) == 1:
			try = OneLine(reason)[ways[0][0]:]
		default:
			try = OneLine(reason)[ways[0][0]:ways[1][0]]
		}
	}
	if try != "" {
		try = "." + try
	}
	return strings.Join(what, "; ") + try
}

func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
