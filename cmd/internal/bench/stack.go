package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
)

// This file is the only one of the package that knows where the engines come from.

// engines is what a measure runs against; what was not asked for is empty.
type engines struct {
	// postgres gives the superuser's connection string for a database.
	postgres func(database string) string
	// createDatabase creates one in Postgres.
	createDatabase func(ctx context.Context, name string) error
	clickhouse     string // native protocol, user and password included
	brokers        []string
	registry       string
	stop           func(ctx context.Context) error
}

// needs is what to start.
type needs int

const (
	onlyPostgres needs = iota
	wholeStack
)

// quiet keeps checkpoints and autovacuum out of the passes that are compared.
var quiet = map[string]string{"autovacuum": "off", "max_wal_size": "16GB", "checkpoint_timeout": "1h"}

func (o *Options) stack(n needs) embedded.Options {
	options := embedded.Options{Engines: o.Engines, Kafka: o.Kafka, PostgresSettings: quiet, Progress: embedded.NewProgress(o.progress())}
	if n == onlyPostgres {
		options.Parts = embedded.Parts{Postgres: true}
	}
	return options
}

// prepareEngines downloads what is missing, or says that it cannot be had, before anything is measured.
func prepareEngines(ctx context.Context, o Options, n needs) error {
	return engineError(embedded.Prepare(ctx, o.stack(n)))
}

// startEngines starts them in a new directory below dir.
func startEngines(ctx context.Context, dir string, o Options, n needs) (*engines, error) {
	options := o.stack(n)
	options.Dir = filepath.Join(dir, "stack")
	stack, err := embedded.Start(ctx, options)
	if err != nil {
		return nil, engineError(err)
	}
	e := &engines{postgres: stack.Postgres.DatabaseURL, createDatabase: stack.Postgres.CreateDatabase, stop: stack.Stop}
	if n == wholeStack {
		e.clickhouse, e.brokers, e.registry = stack.ClickHouse.URL(), stack.Kafka.Brokers(), stack.Registry.URL()
	}
	return e, nil
}

// checkEngines refuses options that no stack has.
func checkEngines(o Options) error {
	return engineError(embedded.Options{Engines: o.Engines, Kafka: o.Kafka}.Check())
}

// engineError gives the errors of the embedded stack this package's names.
func engineError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrOptions):
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (o *Options) progress() io.Writer {
	if o.Progress == nil {
		return io.Discard
	}
	return o.Progress
}

// stopTimeout bounds the end of everything that was started.
const stopTimeout = time.Minute

// withEngines starts engines in a temporary directory, calls f, and leaves nothing behind.
func withEngines(ctx context.Context, o Options, n needs, f func(ctx context.Context, dir string, e *engines) error) (err error) {
	dir, err := os.MkdirTemp("", "dirtbike-bench-")
	if err != nil {
		return cdc.Failed("make a temporary directory").Because(err).Fix("another TMPDIR")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user when we are root
		return err
	}
	e, err := startEngines(ctx, dir, o, n)
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, e.stop(stopping))
	}()
	return f(ctx, dir, e)
}
