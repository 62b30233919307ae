package postgres

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"dirtbike/cdc"
)

// How a connection names itself in pg_stat_activity. Only those of capture have CaptureName, so that others
// can see whether a capture is there.
const (
	CaptureName = "dirtbike"
	MonitorName = "dirtbike monitor"
)

// Login says where and how to connect. Its methods change nothing in it; their errors are Problems: ErrRefused if a
// person has to act (password, rights, the database's name), ErrUnreachable if another try may succeed.
type Login struct {
	URL  string // of the database in one of libpq's forms; it may hold a password and is never printed
	Name string // the application_name; empty is CaptureName
	// Settings go beyond those that every session has, or replace some of them.
	Settings map[string]string
	Key      string // what messages call the place that the URL comes from; empty is source.url
	// MaxRecord is the largest record that a row may become, in bytes. Rows that could become none are not read into
	// memory: see TooLarge. 0, and anything below, is 8 MiB.
	MaxRecord int
}

// With is the login with one more setting of its sessions.
func (l Login) With(setting, value string) Login {
	settings := map[string]string{}
	maps.Copy(settings, l.Settings)
	settings[setting] = value
	l.Settings = settings
	return l
}

// ReadOnly is the login with sessions that cannot write.
func (l Login) ReadOnly() Login { return l.With("default_transaction_read_only", "on") }

// Connect opens a connection.
func (l Login) Connect(ctx context.Context) (conn *pgx.Conn, err error) {
	config, err := l.config()
	if err != nil {
		return nil, err
	}
	err = l.begin(config, func() (err error) {
		conn, err = pgx.ConnectConfig(ctx, config)
		return err
	})
	return conn, err
}

// ConnectPlain opens a connection for those who read the wire's bytes themselves.
func (l Login) ConnectPlain(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := l.config()
	if err != nil {
		return nil, err
	}
	return l.connectPlain(ctx, config)
}

// connectReplication opens a connection that speaks the replication protocol, and notices a host that is gone.
func (l Login) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := l.config()
	if err != nil {
		return nil, err
	}
	config.DialFunc = dialer(config.ConnectTimeout)
	config.RuntimeParams["replication"] = "database"
	config.BuildFrontend = l.shortening
	return l.connectPlain(ctx, config)
}

func (l Login) connectPlain(ctx context.Context, config *pgx.ConnConfig) (conn *pgconn.PgConn, err error) {
	err = l.begin(config, func() (err error) {
		conn, err = pgconn.ConnectConfig(ctx, &config.Config)
		return err
	})
	return conn, err
}

// Pool opens at most that many connections, each at its first use.
func (l Login) Pool(most int32) (*pgxpool.Pool, error) {
	if err := l.checkFiles(); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(l.URL)
	if err != nil {
		return nil, l.problem(err)
	}
	config.MaxConns, config.MinConns = most, 0
	l.pin(config.ConnConfig)
	l.beginAll(config)
	return pgxpool.NewWithConfig(context.Background(), config)
}

// User is the role that logs in; empty if the URL cannot be read.
func (l Login) User() string {
	if config, err := l.config(); err == nil {
		return config.User
	}
	return ""
}

// Config is the configuration of the login's connections, for those who only look at it.
func (l Login) Config() (*pgx.ConnConfig, error) { return l.config() }

func (l Login) config() (*pgx.ConnConfig, error) {
	if err := l.checkFiles(); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(l.URL)
	if err != nil {
		return nil, l.problem(err)
	}
	l.pin(config)
	return config, nil
}

// ConnectError explains why connecting to source.url failed: where, why, what to do. Of the URL it holds only host and
// port, and user and database where a command needs them.
func ConnectError(err error) error { return Login{}.problem(err) }

func (l Login) problem(err error) error {
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		return l.parseProblem(parse)
	}
	where, at, user, database, given := "connect to Postgres", "", "", "", true
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
		at, err = net.JoinHostPort(connect.Config.Host, strconv.Itoa(int(connect.Config.Port))), connect.Unwrap()
		user, database, given = connect.Config.User, connect.Config.Database, connect.Config.Password != ""
		where += " at " + at
	}
	said := (*pgconn.PgError)(nil)
	isServers := errors.As(err, &said)
	if isServers && said.Code == codeBadPassword && !given {
		return cdc.Refused("%s: no password was given, and Postgres asks for one", where).
			Fix("the variable PGPASSWORD in dirtbike's environment, or ${env:PGPASSWORD} as the password in %s", l.key())
	}
	if isServers {
		return l.serverProblem(said, where, user, database)
	}
	key := l.key()
	keys := cdc.TLSKeys{Address: key, CA: "sslrootcert in " + key, Cert: "sslcert and sslkey in " + key, Use: "sslmode in " + key}
	if way := cdc.TLSWayOut(err, keys); way != "" {
		return cdc.Refused("%s", where).Because(attempts{err, at}).Fix("%s", way)
	}
	return cdc.Failed("%s", where).Of(cdc.ErrUnreachable).Because(attempts{err, at}).Fix("see that Postgres runs and %s is right", key)
}

const codeBadPassword = "28P01" // invalid_password

// serverProblem explains the server's refusal of a login.
func (l Login) serverProblem(said *pgconn.PgError, where, user, database string) error {
	refused := cdc.Refused("%s: %s", where, said.Message)
	switch code := said.Code; {
	case code == "28000" && strings.HasSuffix(said.Message, "no encryption"): // invalid_authorization_specification
		return refused.Fix("sslmode=verify-full in %s, or see pg_hba.conf", l.key())
	case code == "28000", code == codeBadPassword:
		return refused.Fix("check user and password in %s, and pg_hba.conf", l.key())
	case code == "3D000": // invalid_catalog_name
		return refused.Fix("check the database in %s", l.key())
	case code == codeUndefined: // a setting
		return refused.Fix("Postgres 14 to 18, and in %s no setting that it does not know", l.key())
	case code == codeNoRight:
		return refused.FixBy("a superuser", "%s", grant(said.Message, user, database))
	}
	return cdc.Failed("%s: %s", where, ServerError(said.Code, said.Message)).Of(cdc.ErrUnreachable).Fix("see that Postgres runs and %s is right", l.key())
}

func (l Login) key() string { return cmp.Or(l.Key, "source.url") }

// grant is the statement that lets the user connect to the database, or stream from it.
func grant(message, user, database string) string {
	if strings.Contains(message, " for database ") && user != "" && database != "" {
		return "GRANT CONNECT ON DATABASE " + quote(database) + " TO " + quote(user)
	}
	return LetReplicate(user)
}

// LetReplicate is the statement that gives a role the right to stream.
func LetReplicate(user string) string {
	if user == "" {
		return "give the role of source.url the attribute REPLICATION"
	}
	return "ALTER ROLE " + quote(user) + " REPLICATION"
}

// quote is an identifier as SQL takes it, also where it is a key word.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// parseProblem says why an address cannot be used. Of pgconn's own words only those are passed on that hold nothing of
// the address but a file's name.
func (l Login) parseProblem(err *pgconn.ParseConfigError) error {
	var file *fs.PathError
	switch cause := err.Unwrap(); {
	case errors.As(cause, &file):
		return cdc.Refused("a file that %s names (sslrootcert, sslcert or sslkey)", l.key()).Because(file).Fix("an absolute path that dirtbike's user may read")
	case cause != nil && strings.HasPrefix(cause.Error(), "unable to add CA"):
		return cdc.Refused("sslrootcert in %s names a file without a PEM certificate", l.key()).Fix("a file with -----BEGIN CERTIFICATE-----")
	case cause != nil && strings.Contains(cause.Error(), "sslmode is invalid"):
		return cdc.Refused("%s has an unknown sslmode", l.key()).Fix("sslmode=verify-full")
	case cause != nil && (strings.Contains(cause.Error(), "sslkey") || strings.HasPrefix(cause.Error(), "unable to load cert")):
		return cdc.Refused("sslcert and sslkey in %s do not fit together", l.key()).Fix("give both, a certificate and its own key, as PEM")
	}
	return cdc.Refused("%s is no Postgres URL", l.key()).Fix("postgres://user@host:5432/database")
}

// attempts writes the outcomes of pgconn's attempts to connect in one line: each outcome once, with the ways (TLS,
// plain) that led to it, and the address only where it differs from the configured one.
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
