package secure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"dirtbike/docker/embedded"
)

// User is the only one that the parts of a Stack let in over TLS.
const User = "dirtbike"

// Stack is an embedded stack with Apache Kafka, each part of which has a listener with TLS and a login. Certificates
// name 127.0.0.1 and nothing else. Postgres does not take User without TLS; the embedded stack's own addresses stay as
// they are, for the comparison.
type Stack struct {
	*embedded.Stack
	// CA is the file of the authority that issued all certificates.
	CA string
	// Authority issues more of them.
	Authority       *Authority
	ClickHouseFront *ClickHouse
	RegistryFront   *Registry
}

// Start starts everything in dir, with that password for User everywhere.
func Start(ctx context.Context, dir, password string) (s *Stack, err error) {
	s = &Stack{CA: filepath.Join(dir, "ca.pem")}
	if s.Authority, err = NewAuthority("dirtbike's test authority"); err != nil {
		return nil, err
	}
	certificate, err := s.Authority.Issue("127.0.0.1")
	if err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "kafka.pem")
	err = errors.Join(os.WriteFile(s.CA, s.Authority.PEM, 0o600), os.WriteFile(store, append(certificate.Key, certificate.Cert...), 0o600))
	if err != nil {
		return nil, err
	}
	s.Stack, err = embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(dir, "stack"), Kafka: "apache", KafkaLogin: &embedded.KafkaLogin{User: User, Password: password, KeyStore: store},
	})
	if err != nil {
		return nil, err
	}
	if err := s.fronts(ctx, certificate, password); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

func (s *Stack) fronts(ctx context.Context, certificate Certificate, password string) (err error) {
	if err = s.securePostgres(ctx, certificate, password); err != nil {
		return err
	}
	if s.ClickHouseFront, err = StartClickHouse(s.ClickHouse.URL(), certificate, User, password); err != nil {
		return err
	}
	s.RegistryFront, err = StartRegistry(s.Registry.URL(), certificate, User, password)
	return err
}

// Stop ends everything; data is intact.
func (s *Stack) Stop(ctx context.Context) error {
	if s.RegistryFront != nil {
		s.RegistryFront.Close()
	}
	if s.ClickHouseFront != nil {
		s.ClickHouseFront.Close()
	}
	return s.Stack.Stop(ctx)
}

// securePostgres gives the server its certificate and the role of User, which has every right, but can connect with TLS
// only.
func (s *Stack) securePostgres(ctx context.Context, certificate Certificate, password string) error {
	data := s.Postgres.DataDir()
	info, err := os.Stat(data)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the owner of Postgres' data is unknown")
	}
	for name, content := range map[string][]byte{"server.crt": certificate.Cert, "server.key": certificate.Key} {
		path := filepath.Join(data, name)
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chown(path, int(owner.Uid), int(owner.Gid))); err != nil {
			return err
		}
	}
	rules := filepath.Join(data, "pg_hba.conf")
	was, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	const only = "hostnossl all " + User + " all reject\nhostnossl replication " + User + " all reject\n"
	if err := os.WriteFile(rules, append([]byte(only), was...), 0o600); err != nil {
		return err
	}
	return s.exec(ctx, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()", "CREATE ROLE "+User+" SUPERUSER REPLICATION LOGIN "+passwordSQL(password))
}

func passwordSQL(password string) string {
	return "PASSWORD '" + strings.ReplaceAll(password, "'", "''") + "'"
}

// SetPostgresPassword replaces the password of User; open connections stay open.
func (s *Stack) SetPostgresPassword(ctx context.Context, password string) error {
	return s.exec(ctx, "ALTER ROLE "+User+" "+passwordSQL(password))
}

func (s *Stack) exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.Postgres.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // nothing is open on it
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", strings.Fields(sql)[0], err)
		}
	}
	return nil
}
