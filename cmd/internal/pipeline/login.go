package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// loginTime is how long a part may take to answer a login.
const loginTime = 10 * time.Second

// Parts are those that a leg logs in to.
type Parts struct{ Postgres, Kafka, Registry, ClickHouse bool }

// Login logs in to the parts with the config's credentials, once and all at the same time, and goes again. Its error
// names the first of them that refused us: it is cdc.ErrRefused if only another config or the part's administrator can
// fix it, and cdc.ErrUnreachable if there was no answer. Nothing is changed anywhere.
func Login(ctx context.Context, c *config.Config, parts Parts) error {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	logins := []struct {
		wanted bool
		login  func(context.Context, *config.Config) error
	}{{parts.Postgres, postgresLogin}, {parts.Kafka, kafkaLogin}, {parts.Registry, registryLogin}, {parts.ClickHouse, clickHouseLogin}}
	errs := make([]error, len(logins))
	var group errgroup.Group
	for i, l := range logins {
		if l.wanted {
			group.Go(func() error { errs[i] = l.login(ctx, c); return nil })
		}
	}
	_ = group.Wait() // the errors are in errs: all parts are asked
	return worst(errs)
}

// worst picks the first refusal, else the first error.
func worst(errs []error) (first error) {
	for _, err := range errs {
		if errors.Is(err, cdc.ErrRefused) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// postgresLogin logs in as the catalog's readers do, and as the stream does.
func postgresLogin(ctx context.Context, c *config.Config) error {
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // nothing is open on it
	_, err = newSource(Options{Config: c, Log: zap.NewNop()}, MonitorLogin(c)).Identify(ctx)
	if err == nil || errors.Is(err, cdc.ErrRefused) {
		return err
	}
	return unreachable(err, "see that Postgres runs and source.url is right")
}

func unreachable(err error, try string) error {
	return (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).OrFix("%s", try)
}

func kafkaLogin(ctx context.Context, c *config.Config) error {
	opts, err := KafkaClient(c)
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RetryTimeout(loginTime/2))...)
	if err != nil {
		return fmt.Errorf("%w: kafka: %w", cdc.ErrRefused, err)
	}
	defer client.Close()
	if _, err = kadm.NewClient(client).BrokerMetadata(ctx); err == nil {
		return nil
	}
	if err = kafkaError(err); errors.Is(err, cdc.ErrRefused) {
		return err
	}
	return unreachable(fmt.Errorf("log in to Kafka: %w", err), "see that the brokers named in kafka.brokers run, and that kafka.tls and kafka.sasl are what their listener asks for")
}

func registryLogin(ctx context.Context, c *config.Config) error {
	client, err := Registry(c)
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	defer client.Close()
	if err = client.Login(ctx); err == nil || errors.Is(err, cdc.ErrRefused) {
		return err
	}
	return unreachable(err, "see that the registry runs and registry.url is right")
}

func clickHouseLogin(ctx context.Context, c *config.Config) error {
	conn, err := ClickHouse(c)
	if err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	_, err = status.Within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, conn.Ping(ctx) })
	if refused := status.ClickHouseLogin(err); refused != nil {
		return refused
	}
	if err == nil {
		return nil
	}
	return unreachable(fmt.Errorf("log in to ClickHouse: %w", status.ClickHouseAway(err)), "see that ClickHouse runs and clickhouse.url is right")
}
