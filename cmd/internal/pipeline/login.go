package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
	"dirtbike/sinks/kafka"
)

// loginTime is how long a part may take to answer a login.
const loginTime = 10 * time.Second

// What to do about a part that does not answer.
const (
	tryPostgres   = "see that Postgres runs and source.url is right"
	tryClickHouse = "see that ClickHouse runs and clickhouse.url is right"
)

// Parts are those that a leg logs in to.
type Parts struct{ Postgres, Kafka, Registry, ClickHouse bool }

// Login logs in to the parts with the config's credentials, once and all at the same time, and disconnects. Its error
// is that of the first part that refused: cdc.ErrRefused if only another config or the part's administrator can help,
// cdc.ErrUnreachable if there was no answer. Nothing is changed anywhere.
func Login(ctx context.Context, c *config.Config, parts Parts) error {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	logins := []struct {
		wanted bool
		login  func(context.Context, *config.Config) error
	}{{parts.Postgres, postgresLogin}, {parts.Kafka, kafkaLogin}, {parts.Registry, registryLogin}, {parts.ClickHouse, clickHouseLogin}}
	errs := make([]error, len(logins))
	var group sync.WaitGroup
	for i, l := range logins {
		if l.wanted {
			group.Go(func() { errs[i] = l.login(ctx, c) })
		}
	}
	group.Wait()
	if at := slices.IndexFunc(errs, func(err error) bool { return errors.Is(err, cdc.ErrRefused) }); at >= 0 {
		return errs[at]
	}
	return cmp.Or(errs...)
}

// postgresLogin logs in as the catalog's readers do, and as the stream does.
func postgresLogin(ctx context.Context, c *config.Config) error {
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // nothing is open on it
	_, err = newSource(Options{Config: c, Log: zap.NewNop()}, MonitorLogin(c)).Identify(ctx)
	return unreachable(err, tryPostgres)
}

// unreachable makes cdc.ErrUnreachable of an error that is no refusal; nil for nil.
func unreachable(err error, try string) error {
	if err == nil || errors.Is(err, cdc.ErrRefused) {
		return err
	}
	return (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).OrFix("%s", try)
}

func kafkaLogin(ctx context.Context, c *config.Config) error {
	client, err := NewKafka(c, kgo.RetryTimeout(loginTime/2))
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	defer client.Close()
	if _, err = kadm.NewClient(client).BrokerMetadata(ctx); err == nil {
		return nil
	}
	if err = KafkaError(err); errors.Is(err, cdc.ErrRefused) {
		return err
	}
	return unreachable(fmt.Errorf("log in to Kafka: %w", err),
		"see that the brokers named in kafka.brokers run, and that kafka.tls and kafka.sasl are what their listener asks for")
}

func registryLogin(ctx context.Context, c *config.Config) error {
	client, err := Registry(c)
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	defer client.Close()
	return unreachable(client.Login(ctx), "see that the registry runs and registry.url is right")
}

func clickHouseLogin(ctx context.Context, c *config.Config) error {
	conn, err := ClickHouse(c)
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	if err = status.Answers(ctx, conn.Ping); err == nil {
		return nil
	}
	if refused := status.ClickHouseLogin(err); refused != nil {
		return refused
	}
	return unreachable(fmt.Errorf("log in to ClickHouse: %w", status.ClickHouseAway(err)), tryClickHouse)
}

// KafkaClient gives the options that every Kafka client of the pipeline has in common.
func KafkaClient(c *config.Config) ([]kgo.Opt, error) {
	k := c.Kafka
	opts := []kgo.Opt{kgo.SeedBrokers(k.Brokers...), kgo.ClientID("dirtbike")}
	tls, err := k.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	if tls != nil {
		opts = append(opts, kgo.DialTLSConfig(tls))
	}
	if k.SASL != nil {
		opts = append(opts, kgo.SASL(mechanism(k.SASL)))
	}
	return opts, nil
}

// NewKafka makes a client; it connects at its first use.
func NewKafka(c *config.Config, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := KafkaClient(c)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

// KafkaError turns errors that another try cannot fix into refusals with what to do; others stay as they are.
func KafkaError(err error) error {
	way := cdc.TLSWayOut(err, kafka.TLS)
	for _, refusal := range []error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState} {
		if errors.Is(err, refusal) {
			way = "check mechanism, user and password under kafka.sasl, and the brokers' listener"
		}
	}
	if way == "" {
		return err
	}
	return cdc.Refused("log in to Kafka").Because(err).Fix("%s", way)
}

func mechanism(s *config.SASL) sasl.Mechanism {
	login := scram.Auth{User: s.User, Pass: s.Password.Reveal()}
	switch s.Mechanism {
	case config.MechanismScramSHA256:
		return login.AsSha256Mechanism()
	case config.MechanismScramSHA512:
		return login.AsSha512Mechanism()
	case config.MechanismPlain:
	}
	return plain.Auth{User: s.User, Pass: s.Password.Reveal()}.AsMechanism()
}
