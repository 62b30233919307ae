package ops

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
)

// ErrRefused says that a server answered, and would not: a password or a right is missing.
var ErrRefused = cdc.ErrRefused

// postgresError makes one line, with what to do, of what Postgres or the way to it said.
func postgresError(doing string, err error) error {
	const reach = "%s: %w. Try: see that Postgres runs and source.url is right"
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	switch {
	case errors.As(err, &connect):
		if err = cdc.ConnectError(err); errors.Is(err, ErrRefused) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		return fmt.Errorf(reach, doing, oneLineError{err})
	case errors.As(err, &said) && passing(said.Code):
		return fmt.Errorf("%s: %s (%s). Try: see that Postgres runs and source.url is right", doing, oneLine(said.Message), said.Code)
	case said != nil:
		return fmt.Errorf("%s: %w: %s (%s). Try: see the rights under Postgres in the README", doing, ErrRefused, oneLine(said.Message), said.Code)
	}
	return fmt.Errorf(reach, doing, oneLineError{err})
}

// passing reports whether an error of that code goes by itself: the server starts, stops, or has no resources left.
func passing(code string) bool { return strings.HasPrefix(code, "57") || strings.HasPrefix(code, "53") }

// oneLineError keeps an error to one line.
type oneLineError struct{ error }

func (e oneLineError) Error() string { return oneLine(e.error.Error()) }
