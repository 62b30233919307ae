package cdc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError makes one line of what came of connecting to Postgres: where, why, what to do. It holds nothing of the URL but host
// and port. What only somebody can mend (password, rights, the database's name) is ErrRefused, everything else is worth
// another try.
func ConnectError(err error) error {
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		return fmt.Errorf("%w: source.url is no Postgres URL. Try: postgres://user@host:5432/database", ErrRefused)
	}
	where := "Postgres"
	connect := (*pgconn.ConnectError)(nil)
	if errors.As(err, &connect) {
		where, err = fmt.Sprintf("Postgres at %s:%d", connect.Config.Host, connect.Config.Port), connect.Unwrap()
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		switch pg.Code {
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			return fmt.Errorf("%w: connect to %s: %s. Try: check user and password in source.url, and pg_hba.conf", ErrRefused, where, pg.Message)
		case "3D000": // invalid_catalog_name
			return fmt.Errorf("%w: connect to %s: %s. Try: check the database in source.url", ErrRefused, where, pg.Message)
		case "42501": // insufficient_privilege
			return fmt.Errorf("%w: connect to %s: %s. Try: ALTER ROLE … WITH REPLICATION, and GRANT CONNECT on the database", ErrRefused, where, pg.Message)
		}
		return fmt.Errorf("connect to %s: %s (%s)", where, pg.Message, pg.Code)
	}
	return fmt.Errorf("connect to %s: %w", where, oneLine{err})
}

// oneLine writes an error of several lines, as errors.Join makes them, in one.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.error }

// OneLine joins errors in one line; nil if there are none.
func OneLine(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return oneLine{err}
	}
	return nil
}
