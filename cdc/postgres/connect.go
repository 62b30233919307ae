package postgres

import (
	"dirtbike/cdc"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError makes one line of what came of connecting to Postgres: where, why, what to do. It holds nothing of the URL but host,
// port, and where they are to be typed user and database. What only somebody can mend (password, rights, the database's name) is ErrRefused, everything else is worth
// another try.
func ConnectError(err error) error {
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		return parseError(parse)
	}
	where, at, user, database := "Postgres", "", "", ""
	connect := (*pgconn.ConnectError)(nil)
	if errors.As(err, &connect) {
		at, err = net.JoinHostPort(connect.Config.Host, strconv.Itoa(int(connect.Config.Port))), connect.Unwrap()
		user, database = connect.Config.User, connect.Config.Database
		where += " at " + at
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		switch pg.Code {
		case "28000": // invalid_authorization_specification
			if strings.HasSuffix(pg.Message, "no encryption") {
				return fmt.Errorf("%w: connect to %s: %s. Try: sslmode=verify-full in source.url, or see pg_hba.conf", cdc.ErrRefused, where, pg.Message)
			}
			fallthrough
		case "28P01": // invalid_password
			return fmt.Errorf("%w: connect to %s: %s. Try: check user and password in source.url, and pg_hba.conf", cdc.ErrRefused, where, pg.Message)
		case "3D000": // invalid_catalog_name
			return fmt.Errorf("%w: connect to %s: %s. Try: check the database in source.url", cdc.ErrRefused, where, pg.Message)
		case "42501": // insufficient_privilege
			return fmt.Errorf("%w: connect to %s: %s. Try, as a superuser: %s", cdc.ErrRefused, where, pg.Message, grant(pg.Message, user, database))
		}
		return fmt.Errorf("connect to %s: %s", where, ServerError(pg.Code, pg.Message))
	}
	if way := cdc.TLSWayOut(err, sourceTLS); way != "" {
		return fmt.Errorf("%w: connect to %s: %w. Try: %s", cdc.ErrRefused, where, attempts{err, at}, way)
	}
	return fmt.Errorf("connect to %s: %w", where, attempts{err, at})
}

// grant is the statement that lets the user connect, for a stream or at all.
func grant(message, user, database string) string {
	if strings.Contains(message, " for database ") && user != "" && database != "" {
		return "GRANT CONNECT ON DATABASE " + quoted(database) + " TO " + quoted(user)
	}
	return LetReplicate(user)
}

// LetReplicate is the statement that gives a role the right to stream.
func LetReplicate(user string) string {
	if user == "" {
		return "give the role of source.url the attribute REPLICATION"
	}
	return "ALTER ROLE " + quoted(user) + " REPLICATION"
}

// quoted is an identifier as SQL takes it, whatever word it is.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

var sourceTLS = cdc.TLSKeys{Address: "source.url", CA: "sslrootcert in source.url", Cert: "sslcert and sslkey in source.url", Use: "sslmode in source.url"}

// parseError says why an address cannot be used. Of pgconn's own words only those are passed on that hold nothing of the address but
// a file's name.
func parseError(err *pgconn.ParseConfigError) error {
	var file *fs.PathError
	switch cause := err.Unwrap(); {
	case errors.As(cause, &file):
		return fmt.Errorf("%w: a file that source.url names (sslrootcert, sslcert or sslkey): %w. Try: an absolute path that dirtbike's user may read", cdc.ErrRefused, file)
	case cause != nil && strings.HasPrefix(cause.Error(), "unable to add CA"):
		return fmt.Errorf("%w: sslrootcert in source.url names a file without a PEM certificate. Try: a file with -----BEGIN CERTIFICATE-----", cdc.ErrRefused)
	case cause != nil && strings.Contains(cause.Error(), "sslmode is invalid"):
		return fmt.Errorf("%w: source.url has an unknown sslmode. Try: sslmode=verify-full", cdc.ErrRefused)
	case cause != nil && (strings.Contains(cause.Error(), "sslkey") || strings.HasPrefix(cause.Error(), "unable to load cert")):
		return fmt.Errorf("%w: sslcert and sslkey in source.url do not fit together. Try: give both, a certificate and its own key, as PEM", cdc.ErrRefused)
	}
	return fmt.Errorf("%w: source.url is no Postgres URL. Try: postgres://user@host:5432/database", cdc.ErrRefused)
}

// attempts writes what came of pgconn's attempts to connect, in one line: each outcome once, whatever ways (TLS, plain) led to it,
// and the address only where it is not the one that was asked for.
type attempts struct {
	error
	at string
}

func (e attempts) Unwrap() error { return e.error }

// attempt is one line of pgconn's: "address (name): dial error: dial tcp address: why".
var attempt = regexp.MustCompile(`^(\S+) \(.*?\): (?:dial error: )?(?:dial \w+ \S+: )?(?:connect: )?(.*)$`)

func (e attempts) Error() string {
	var out []string
	for line := range strings.Lines(e.error.Error()) {
		said := strings.TrimPrefix(strings.TrimSpace(line), "hostname resolving error: ")
		if m := attempt.FindStringSubmatch(said); m != nil {
			if said = m[2]; m[1] != e.at {
				said = m[1] + ": " + said
			}
		}
		if said != "" && !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return strings.Join(out, "; ")
}
